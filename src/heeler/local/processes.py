"""The processes of a local cluster: the control plane, one agent for each real node, and what supervises them.

Each is a daemon in a session of its own that logs to a file and says through a pipe when it is ready, or why it isn't.
A process is known by its pid file and by its command line (a pid that was given to somebody else doesn't count).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from heeler import __version__
from heeler.base.clock import Clock, SystemClock
from heeler.base.files import shorten, write_atomic
from heeler.local.layout import Layout, LocalError, Owner
from heeler.local.upkeep import MAX_LOG

#: Seconds that a process may take to be ready, and to stop before it is killed.
READY_SECONDS = 60.0
STOP_SECONDS = 25.0
#: The descriptor on which a daemon says that it is ready is named in this variable.
READY_VARIABLE = "HEELER_READY_FD"


def command(*arguments: str) -> list[str]:
    """How to run heeler itself again."""
    return [sys.executable, "-m", "heeler.cli.main", *arguments]


def running_pid(layout: Layout, component: str) -> int | None:
    """The pid of a component that runs, or None."""
    if not Path("/proc/self").exists():  # macOS: the file is all there is
        try:
            pid = int(layout.pid_file(component).read_text())
        except (OSError, ValueError):
            return None
        return pid if _alive(pid) else None
    try:
        pid = int(layout.pid_file(component).read_text())
        if _is(pid, layout, component):
            return pid
    except (OSError, ValueError):
        pass
    return components(layout).get(component)  # the file is lost, or another's


def _is(pid: int, layout: Layout, component: str) -> bool:
    words = _words(pid)
    return str(layout.root).encode() in words and component.encode() in words


def _words(pid: int) -> list[bytes]:
    """A process's command line; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def user_of(pid: int) -> int | None:
    """Whose process it is; None where that can't be seen."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def components(layout: Layout) -> dict[str, int]:
    """The cluster's daemons that run, whatever its pid files say: found by their command lines."""
    root, module = str(layout.root).encode(), b"heeler.cli.main"
    out: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            words = _words(int(entry)) if entry.isdigit() else []
            if module in words and root in words and words[0].rpartition(b"/")[2] != b"sudo":
                name = words[-1].decode("utf-8", "replace")
                if name in ("control-plane", "supervisor") or name.startswith("node-"):
                    out[name] = int(entry)
    return out


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def spawn(
    layout: Layout,
    component: str,
    arguments: list[str],
    who: Owner,
    *,
    as_root: bool = False,
    prefix: tuple[str, ...] = (),
    program: list[str] | None = None,
    needs: str = "",
) -> str:
    """Start a daemon (`heeler ARGUMENTS`, or another `program`), wait until it is ready: what it said. Raises LocalError.

    It can't be ready without the component `needs`: when that ends, nobody waits any longer, and it may become ready later."""
    log = layout.log(component)
    with contextlib.suppress(OSError):
        shorten(log, MAX_LOG)
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    environment = {**os.environ, READY_VARIABLE: str(writer)}
    drop = who.is_other and not as_root
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if drop:
            os.fchown(descriptor, who.uid, who.gid)
            environment |= {"HOME": str(who.home)}
        process = subprocess.Popen(
            [*prefix, *(program or command(*arguments))],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(writer,),
            start_new_session=True,
            env=environment,
            cwd="/",
            user=who.uid if drop else None,
            group=who.gid if drop else None,
            extra_groups=[] if drop else None,
        )
    except OSError as error:
        raise LocalError(f"cannot start the {component}: {error}") from error
    finally:
        os.close(descriptor)
        os.close(writer)
    try:
        said = _await_ready(reader, process, lambda: bool(needs) and running_pid(layout, needs) is None)
    finally:
        os.close(reader)
    if not said.startswith("ready"):
        process.poll()
        reason = said.strip() or f"it ended at once; the end of {log}:\n{tail(log)}"
        raise LocalError(f"the {component} did not start: {reason}")
    return said.removeprefix("ready").strip()


def _await_ready(reader: int, process: subprocess.Popen[bytes], in_vain: Callable[[], bool]) -> str:
    """What the daemon writes until it closes the pipe or says that it is ready; or why it is not waited for any longer."""
    import select

    said = b""
    clock = SystemClock()
    end = clock.monotonic() + READY_SECONDS
    while clock.monotonic() < end:
        readable, _, _ = select.select([reader], [], [], 0.5)
        if readable:
            data = os.read(reader, 65536)
            if not data:
                return said.decode("utf-8", "replace")
            said += data
            if said.startswith(b"ready") and said.endswith(b"\n"):
                return said.decode("utf-8", "replace")
        elif process.poll() is not None:
            return said.decode("utf-8", "replace")
        elif in_vain():
            return "what it needs ended meanwhile"
    return f"it was not ready after {READY_SECONDS:.0f} s"


def say_ready(text: str = "") -> None:
    """In a daemon: tell whoever started us that we are ready."""
    _say(f"ready {text}".strip() + "\n")


def say_failed(text: str) -> None:
    """In a daemon: tell whoever started us why we are not."""
    _say(text)


def _say(text: str) -> None:
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if descriptor.isdigit():
        with contextlib.suppress(OSError):
            os.write(int(descriptor), text.encode())
            os.close(int(descriptor))


def note_pid(layout: Layout, component: str) -> None:
    """In a daemon: leave our pid, and which version we are."""
    write_atomic(layout.pid_file(component).with_suffix(".version"), f"{__version__}\n".encode(), 0o644)
    write_atomic(layout.pid_file(component), f"{os.getpid()}\n".encode(), 0o644)


def noted_version(layout: Layout, component: str) -> str | None:
    """Which version of Heeler a component was started with, if it said so."""
    try:
        return layout.pid_file(component).with_suffix(".version").read_text().strip()
    except OSError:
        return None


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


#: Ends a node's agent and leaves its pods running: another one takes them over.
HAND_OVER = signal.SIGUSR1


async def stop(
    layout: Layout,
    component: str,
    clock: Clock,
    *,
    sudo: tuple[str, ...] = (),
    number: signal.Signals = signal.SIGTERM,
) -> bool:
    """End a component in an orderly way, then by force; False if it didn't run."""
    pid = running_pid(layout, component)
    if pid is None:
        layout.pid_file(component).unlink(missing_ok=True)
        return False
    _signal(pid, number, sudo)
    end = clock.monotonic() + STOP_SECONDS
    while running_pid(layout, component) == pid and clock.monotonic() < end:
        await clock.sleep(0.02)
    if running_pid(layout, component) == pid:
        _signal(pid, signal.SIGKILL, sudo)
        while running_pid(layout, component) == pid and clock.monotonic() < end + 5:
            await clock.sleep(0.02)
    with contextlib.suppress(OSError):
        layout.pid_file(component).unlink(missing_ok=True)
    return True


def _signal(pid: int, number: signal.Signals, sudo: tuple[str, ...]) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        if not sudo:
            raise LocalError(f"process {pid} belongs to root: call this with sudo") from None
        subprocess.run([*sudo, "kill", f"-{number.name.removeprefix('SIG')}", str(pid)], check=False)
