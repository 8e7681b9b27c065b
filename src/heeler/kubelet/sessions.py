"""A remote command's session with its client: input, output, terminal sizes and the final status, over WebSocket.

The connection is an upgraded one (`wire.http.messages.Stream`). What comes in faster than it is taken waits in the
client: the reader stops after one message until somebody wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import orjson

from heeler.objects.value import Object
from heeler.wire.http.messages import Stream
from heeler.wire.streams import channels, websocket

#: Terminal sizes that wait; bytes of output in one message.
MAX_SIZES, PIECE = 32, 32 * 1024


class Session(Protocol):
    """What a command needs of its client."""

    async def read(self) -> bytes:
        """Some input; b"" at its end, or when the client is gone."""
        ...

    async def size(self) -> tuple[int, int]:
        """The next terminal size, (width, height)."""
        ...

    async def write(self, name: str, data: bytes) -> None:
        """Output for "stdout" or "stderr". Raises ConnectionError when the client is gone."""
        ...

    async def finish(self, status: Object) -> None:
        """Tell the outcome (a v1.Status) and end the session."""
        ...

    async def gone(self) -> None:
        """Returns when the client is gone."""
        ...


class WebSocketSession:
    """The server's end of v4 or v5 of the channel protocol. `run` reads until the client is gone."""

    def __init__(self, stream: Stream, protocol: str) -> None:
        self._stream, self._protocol = stream, protocol
        self._decoder = websocket.Decoder(masked=True)
        self._input: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)
        self._sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue(maxsize=MAX_SIZES)
        self._writing = asyncio.Lock()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Read until the connection ends. Never raises for what the client does."""
        try:
            while True:
                data = await self._stream.read(65536)
                if not data:
                    return
                for message in self._decoder.feed(data):
                    if message.opcode == websocket.CLOSE:
                        return
                    await self._take(message)
        except websocket.WebSocketError as error:
            await self._send(websocket.close_frame(error.code, str(error)))
        except ConnectionError:
            return
        finally:
            self._gone.set()
            if self._input.full():
                self._input.get_nowait()
            self._input.put_nowait(b"")

    async def _take(self, message: websocket.Message) -> None:
        if message.opcode == websocket.PING:
            await self._send(websocket.encode(websocket.PONG, message.data))
        if message.opcode not in (websocket.BINARY, websocket.TEXT):
            return
        piece = channels.decode(message.data, self._protocol)
        if piece is None:
            return
        if piece.channel == channels.STDIN and (piece.closed or piece.data):
            await self._input.put(piece.data)
        elif piece.channel == channels.RESIZE and piece.data:
            self._resize(piece.data)

    def _resize(self, data: bytes) -> None:
        try:
            told = orjson.loads(data)
            wanted = int(told["Width"]), int(told["Height"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return
        if self._sizes.full():
            self._sizes.get_nowait()
        self._sizes.put_nowait(wanted)

    async def read(self) -> bytes:
        return await self._input.get()

    async def size(self) -> tuple[int, int]:
        return await self._sizes.get()

    async def write(self, name: str, data: bytes) -> None:
        channel = channels.STDOUT if name == "stdout" else channels.STDERR
        for start in range(0, len(data), PIECE):
            await self._send(websocket.encode(websocket.BINARY, channels.encode(channel, data[start : start + PIECE])))

    async def finish(self, status: Object) -> None:
        try:
            await self._send(websocket.encode(websocket.BINARY, channels.encode(channels.ERROR, orjson.dumps(status))))
            await self._send(websocket.close_frame())
        except ConnectionError:
            return

    async def gone(self) -> None:
        await self._gone.wait()

    async def _send(self, frame: bytes) -> None:
        async with self._writing:
            await self._stream.write(frame)


def handshake(headers: dict[str, str], protocols: Sequence[str]) -> tuple[list[tuple[str, str]], str] | None:
    """The headers of a 101 answer and the protocol chosen; None if the request is no WebSocket or offers none of
    `protocols`."""
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or not key:
        return None
    offered = [p.strip() for p in headers.get("sec-websocket-protocol", "").split(",") if p.strip()]
    chosen = next((p for p in protocols if p in offered), "")
    if not chosen:
        return None
    answer = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", websocket.accept_value(key)),
        ("sec-websocket-protocol", chosen),
    ]
    return answer, chosen
