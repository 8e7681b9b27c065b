"""Commands in running containers over containerd's Tasks API: real end of input, terminal size, exit code.

CRI's own Exec can't tell a command that its input has ended; so commands are run as containerd's CRI plugin does it,
one level below. The process is described like the container's first one, with other arguments.
Source: https://github.com/containerd/containerd/blob/main/docs/cri/architecture.md and the facts in wire/protobuf.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from heeler.base.clock import Clock
from heeler.base.files import remove_tree
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.wire.protobuf.schema import schema, unix_channel

SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
PIECE = 32 * 1024
#: Seconds that output may be silent after the command has ended (a child may hold it open).
QUIET = 2.0


class Tasks:
    """containerd's Tasks service for the containers of one node."""

    def __init__(self, socket: Path, task_state: Path, scratch: Path, clock: Clock) -> None:
        self._channel = unix_channel(str(socket))
        self._service = schema("containerd").service(
            self._channel, "containerd.services.tasks.v1.Tasks", (("containerd-namespace", "k8s.io"),)
        )
        self._bundles, self._scratch, self.clock = task_state, scratch, clock

    async def close(self) -> None:
        await self._channel.close()

    async def call(self, method: str, timeout: float | None = 30.0, **fields: Any) -> Any:
        """Raises RuntimeFault."""
        import grpc

        try:
            return await self._service.call(method, timeout=timeout, **fields)
        except grpc.aio.AioRpcError as error:
            raise RuntimeFault(error.code().name, error.details() or error.code().name) from error

    def process(self, container: str, command: Sequence[str], tty: bool) -> dict[str, Any]:
        """The description of the container's first process with another command. Raises RuntimeFault."""
        try:
            spec = orjson.loads((self._bundles / container / "config.json").read_bytes())["process"]
        except OSError as error:
            raise RuntimeFault("NOT_FOUND", f"container {container} is not running") from error
        spec["args"], spec["terminal"] = list(command), tty
        if tty:
            spec["env"] = [e for e in spec.get("env") or [] if not e.startswith("TERM=")] + ["TERM=xterm"]
        spec.pop("consoleSize", None)
        return dict(spec)

    async def start(self, container: str, command: Sequence[str], *, stdin: bool, tty: bool, name: str) -> Command:
        """Start a command; `name` must be unique. Raises RuntimeFault."""
        described = self.process(container, command, tty)
        folder = self._scratch / name
        folder.mkdir(parents=True, mode=0o700)
        paths: dict[str, Any]
        wanted = [n for n, have in (("stdin", stdin), ("stdout", True), ("stderr", not tty)) if have]
        paths = {n: str(folder / n) for n in wanted}
        for path in paths.values():
            os.mkfifo(path, 0o600)
        made = Command(self, container, name, folder, tty)
        try:
            made.open_outputs(paths)
            await self.call(
                "Exec",
                container_id=container,
                exec_id=name,
                terminal=tty,
                spec={"type_url": SPEC_TYPE, "value": orjson.dumps(described)},
                **paths,
            )
            made.made = True
            await self.call("Start", 120.0, container_id=container, exec_id=name)
            if stdin:
                await made.open_input(paths["stdin"])
        except BaseException:
            await made.close()
            raise
        return made


class Command:
    """A command that runs. `close` must be called at the end; it kills the command if it still runs."""

    def __init__(self, tasks: Tasks, container: str, name: str, folder: Path, tty: bool) -> None:
        self._tasks, self._container, self._name, self._folder, self._tty = tasks, container, name, folder, tty
        self._outputs: dict[str, int] = {}
        self._input = -1
        self.made = False
        self._ended = False

    def open_outputs(self, paths: dict[str, str]) -> None:
        for name in ("stdout", "stderr"):
            if name in paths:
                self._outputs[name] = os.open(paths[name], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    async def open_input(self, path: str) -> None:
        for _ in range(200):
            try:
                self._input = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                return
            except OSError as error:
                # The shim opens its end a moment later.
                if error.errno != errno.ENXIO:
                    raise
            await self._tasks.clock.sleep(0.01)
        raise RuntimeFault("UNAVAILABLE", "the command's input was not opened")

    @property
    def outputs(self) -> list[str]:
        return list(self._outputs)

    async def read(self, name: str) -> bytes:
        """Some of what the command wrote; b"" at the end."""
        descriptor = self._outputs[name]
        while True:
            await _ready(descriptor, write=False)
            try:
                return os.read(descriptor, PIECE)
            except BlockingIOError:
                continue

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError once the command doesn't read any more."""
        rest = memoryview(data)
        while rest:
            if self._input < 0:
                raise BrokenPipeError
            try:
                rest = rest[os.write(self._input, rest[:PIECE]) :]
            except BlockingIOError:
                await _ready(self._input, write=True)

    async def end_input(self) -> None:
        """The command reads an end of file. A terminal is left open: its end would hang the command up."""
        if self._input < 0 or self._tty:
            return
        os.close(self._input)
        self._input = -1
        with contextlib.suppress(RuntimeFault):
            await self._tasks.call("CloseIO", container_id=self._container, exec_id=self._name, stdin=True)

    async def resize(self, width: int, height: int) -> None:
        with contextlib.suppress(RuntimeFault):
            await self._tasks.call(
                "ResizePty", container_id=self._container, exec_id=self._name, width=width, height=height
            )

    async def wait(self) -> int:
        """The exit code."""
        answer = await self._tasks.call("Wait", None, container_id=self._container, exec_id=self._name)
        self._ended = True
        return int(answer.exit_status)

    async def close(self) -> None:
        """Kill what still runs, and remove all traces."""
        if self.made:
            if not self._ended:
                with contextlib.suppress(RuntimeFault):
                    await self._tasks.call(
                        "Kill", container_id=self._container, exec_id=self._name, signal=int(signal.SIGKILL)
                    )
                with contextlib.suppress(RuntimeFault, TimeoutError):
                    await asyncio.wait_for(self.wait(), 5.0)
            with contextlib.suppress(RuntimeFault):
                await self._tasks.call("DeleteProcess", container_id=self._container, exec_id=self._name)
        for descriptor in [*self._outputs.values(), *([self._input] if self._input >= 0 else [])]:
            os.close(descriptor)
        self._outputs, self._input = {}, -1
        remove_tree(self._folder)


async def _ready(descriptor: int, write: bool) -> None:
    """Wait until a descriptor can be read or written."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(descriptor, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        remove(descriptor)
