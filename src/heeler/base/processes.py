"""Other programs: found, run with a deadline, looked up and ended by their id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where system programs stand that a plain user's PATH leaves out.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class ProgramError(Exception):
    """A program ended with a failure, or could not be started at all."""


@dataclass(frozen=True, slots=True)
class Completed:
    code: int
    out: bytes
    err: bytes


def find_program(name: str) -> str | None:
    """The path of a program in PATH or a system folder."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    return shutil.which(name, path=path)


async def run(
    arguments: Sequence[str], *, input: bytes = b"", timeout: float = 60.0, environment: Mapping[str, str] | None = None
) -> Completed:
    """Run to the end; killed after `timeout` seconds (ProgramError). Output is kept whole: for programs known to be
    brief."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment) if environment is not None else None,
        )
    except OSError as error:
        raise ProgramError(f"{arguments[0]}: {error.strerror}") from error
    try:
        out, err = await asyncio.wait_for(process.communicate(input), timeout)
    except TimeoutError as error:
        raise ProgramError(f"{arguments[0]} did not end within {timeout:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Completed(process.returncode or 0, out, err)


async def check(
    arguments: Sequence[str], *, input: bytes = b"", timeout: float = 60.0, environment: Mapping[str, str] | None = None
) -> bytes:
    """The output of a program that must succeed. Raises ProgramError with its last words."""
    done = await run(arguments, input=input, timeout=timeout, environment=environment)
    if done.code != 0:
        words = (done.err.strip() or done.out.strip()).decode(errors="replace")[-2000:]
        raise ProgramError(f"{' '.join(arguments[:4])}: {words or f'ended with {done.code}'}")
    return done.out


def command_line(pid: int) -> list[str]:
    """The arguments of a running process; none when it is gone (or a zombie)."""
    try:
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in data.split(b"\0") if part]


def all_processes() -> Iterator[tuple[int, list[str]]]:
    """Every process' id and arguments."""
    for entry in sorted(os.listdir("/proc")):
        if entry.isdigit():
            yield int(entry), command_line(int(entry))


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie doesn't)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal one process by id; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def end(pid: int, grace: float) -> None:
    """Ask a process to end and kill it after `grace` seconds; returns once it is gone."""
    send_signal(pid, signal.SIGTERM)
    for _ in range(max(1, int(grace / 0.02))):
        if not alive(pid):
            return
        await asyncio.sleep(0.02)
    send_signal(pid, signal.SIGKILL)
    for _ in range(250):
        if not alive(pid):
            return
        await asyncio.sleep(0.02)
    raise ProgramError(f"process {pid} can't be killed")
