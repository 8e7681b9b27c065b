"""exec, attach and port-forward: a client's session joined to a command, a container's own streams, or a port.

Outcomes are v1.Status objects as kubectl reads them (an exit code stands in the causes).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson

from heeler.base.netns import NetNamespace
from heeler.base.random import Random
from heeler.base.together import end
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.kubelet.runtime.tasks import QUIET, Command, Tasks
from heeler.kubelet.sessions import Session
from heeler.objects.status import internal_error
from heeler.objects.value import Object
from heeler.wire.streams import channels, websocket

SUCCESS: Object = {"metadata": {}, "status": "Success"}


def exit_status(command: Sequence[str], code: int) -> Object:
    """The outcome of a command that ended with `code`."""
    if code == 0:
        return SUCCESS
    shown = " ".join(command)
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: error executing command [{shown}], exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(what: str, error: Exception) -> Object:
    return internal_error(f"{what}: {error}").status()


async def execute(
    tasks: Tasks, container: str, command: Sequence[str], *, stdin: bool, tty: bool, session: Session, random: Random
) -> None:
    """Run a command for a session. When the client goes away the command is killed."""
    name = random.uuid().replace("-", "")
    try:
        running = await tasks.start(container, command, stdin=stdin, tty=tty, name=name)
    except (RuntimeFault, OSError) as error:
        text = f'error executing command in container: failed to exec in container: failed to start exec "{name}"'
        await session.finish(failure(text, error))
        return
    helpers = [asyncio.ensure_future(_sizes(session, running))]
    if stdin:
        helpers.append(asyncio.ensure_future(_input(session, running)))
    work = asyncio.ensure_future(_outputs(session, running))
    gone = asyncio.ensure_future(session.gone())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await session.finish(exit_status(command, work.result()))
    except ConnectionError:
        pass
    finally:
        await end([*helpers, work, gone])
        await running.close()


async def _sizes(session: Session, running: Command) -> None:
    while True:
        width, height = await session.size()
        await running.resize(width, height)


async def _input(session: Session, running: Command) -> None:
    try:
        while data := await session.read():
            await running.write(data)
    except BrokenPipeError:
        return
    await running.end_input()


async def _outputs(session: Session, running: Command) -> int:
    """Carry all output; the exit code once it is through."""
    busy = asyncio.Event()

    async def carry(name: str) -> None:
        while data := await running.read(name):
            busy.set()
            await session.write(name, data)

    carriers = [asyncio.ensure_future(carry(name)) for name in running.outputs]
    try:
        code = await running.wait()
        # A child may hold the output open for ever: it is waited for as long as it writes.
        while any(not c.done() for c in carriers):
            busy.clear()
            done, _ = await asyncio.wait(carriers, timeout=QUIET)
            if len(done) < len(carriers) and not busy.is_set():
                break
        for carrier in carriers:
            if carrier.done():
                carrier.result()
        return code
    finally:
        for carrier in carriers:
            carrier.cancel()


class _Attached:
    """A WebSocket connection to the runtime's streaming server, as a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, random: Random) -> None:
        self._reader, self._writer, self._random = reader, writer, random
        self._decoder = websocket.Decoder(masked=False, limit=4 << 20)

    @classmethod
    async def open(cls, url: str, netns: NetNamespace, random: Random) -> _Attached:
        parts = urlsplit(url)
        made = await netns.connect(str(parts.hostname), parts.port or 80)
        reader, writer = await asyncio.open_connection(sock=made)

        key = base64.b64encode(random.bytes(16)).decode()
        lines = [
            f"GET {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {channels.V4}",
        ]
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            writer.close()
            raise RuntimeFault("UNAVAILABLE", head.split(b"\r\n")[0].decode(errors="replace"))
        return cls(reader, writer, random)

    async def send(self, channel: int, data: bytes) -> None:
        self._writer.write(websocket.encode(websocket.BINARY, channels.encode(channel, data), self._random.bytes(4)))
        await self._writer.drain()

    async def messages(self) -> list[channels.Piece] | None:
        """Some pieces; None at the end."""
        data = await self._reader.read(65536)
        if not data:
            return None
        out: list[channels.Piece] = []
        for message in self._decoder.feed(data):
            if message.opcode == websocket.CLOSE:
                return out or None
            piece = channels.decode(message.data, channels.V4) if message.opcode == websocket.BINARY else None
            if piece is not None:
                out.append(piece)
        return out

    def close(self) -> None:
        self._writer.close()


async def attach(
    runtime: Runtime, container: str, *, stdin: bool, tty: bool, session: Session, netns: NetNamespace, random: Random
) -> None:
    """Join a session to a container's own input and output, through the runtime's streaming server."""
    try:
        url = await runtime.attach_url(container, stdin, tty, True, not tty)
        attached = await _Attached.open(url, netns, random)
    except (RuntimeFault, OSError, EOFError) as error:
        await session.finish(failure("error attaching to container", error))
        return
    helpers = [asyncio.ensure_future(_attach_sizes(session, attached))]
    if stdin:
        helpers.append(asyncio.ensure_future(_attach_input(session, attached)))
    work = asyncio.ensure_future(_attach_output(session, attached))
    gone = asyncio.ensure_future(session.gone())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await session.finish(work.result())
    except (OSError, EOFError):
        await session.finish(SUCCESS)
    finally:
        await end([*helpers, work, gone])
        attached.close()


async def _attach_sizes(session: Session, attached: _Attached) -> None:
    while True:
        width, height = await session.size()
        await attached.send(channels.RESIZE, orjson.dumps({"Width": width, "Height": height}))


async def _attach_input(session: Session, attached: _Attached) -> None:
    while data := await session.read():
        await attached.send(channels.STDIN, data)


async def _attach_output(session: Session, attached: _Attached) -> Object:
    names = {channels.STDOUT: "stdout", channels.STDERR: "stderr"}
    status = SUCCESS
    while (pieces := await attached.messages()) is not None:
        for piece in pieces:
            if piece.channel in names and piece.data:
                await session.write(names[piece.channel], piece.data)
            elif piece.channel == channels.ERROR and piece.data:
                with contextlib.suppress(orjson.JSONDecodeError):
                    status = orjson.loads(piece.data)
    return status
