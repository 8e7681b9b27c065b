"""SPDY connections served: streams that a client opens, for remote commands (`SpdySession`) and port-forwards.

The connection is an upgraded one, or a tunnel in a WebSocket (kubectl since 1.30: KEP-4006). A stream that isn't read
holds the whole connection up, as it does upstream; that keeps what is stored bounded.
"""

from __future__ import annotations

import asyncio
import contextlib

import orjson

from heeler.objects.value import Object
from heeler.wire.http.messages import Stream
from heeler.wire.streams import spdy, websocket

#: Bytes of one data frame; pieces that wait in one stream; streams of one connection.
PIECE, MAX_PIECES, MAX_STREAMS = 32 * 1024, 8, 1024
TUNNEL = "SPDY/3.1+portforward.k8s.io"


class Tunnel:
    """The byte stream inside a WebSocket's binary messages (the server's end)."""

    def __init__(self, outer: Stream) -> None:
        self._outer = outer
        self._decoder = websocket.Decoder(masked=True, limit=4 << 20)
        self._ended = False

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes (possibly more than `limit`: a message is not cut); b"" at the end."""
        while not self._ended:
            data = await self._outer.read(65536)
            if not data:
                break
            found = b""
            try:
                messages = self._decoder.feed(data)
            except websocket.WebSocketError as error:
                await self._outer.write(websocket.close_frame(error.code, str(error)))
                break
            for message in messages:
                if message.opcode == websocket.PING:
                    await self._outer.write(websocket.encode(websocket.PONG, message.data))
                elif message.opcode == websocket.CLOSE:
                    self._ended = True
                elif message.opcode == websocket.BINARY:
                    found += message.data
            if found:
                return found
        self._ended = True
        return b""

    async def write(self, data: bytes) -> None:
        await self._outer.write(websocket.encode(websocket.BINARY, data))

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._outer.write(websocket.close_frame())
        await self._outer.close()


class SpdyStream:
    """One stream that the client opened."""

    def __init__(self, connection: SpdyConnection, number: int, headers: dict[str, str]) -> None:
        self._connection, self.number, self.headers = connection, number, headers
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=MAX_PIECES)
        self._ended = False
        self._closed = False

    async def take(self, data: bytes, ended: bool) -> None:
        """What the client sent (called by the connection)."""
        if data:
            await self._pieces.put(data)
        if ended:
            await self._pieces.put(b"")

    def cut(self) -> None:
        """The stream was reset or the connection is gone."""
        self._ended = self._closed = True
        if self._pieces.full():
            self._pieces.get_nowait()
        self._pieces.put_nowait(b"")

    async def read(self) -> bytes:
        """Some bytes; b"" at the end."""
        if self._ended and self._pieces.empty():
            return b""
        data = await self._pieces.get()
        self._ended = self._ended or not data
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when nobody listens any more."""
        for start in range(0, len(data), PIECE):
            if self._closed:
                raise ConnectionResetError
            await self._connection.send(self._connection.codec.data(self.number, data[start : start + PIECE]))

    async def end(self) -> None:
        """Nothing more is written."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(ConnectionError):
                await self._connection.send(self._connection.codec.data(self.number, b"", end=True))


class SpdyConnection:
    """A client's connection. `run` reads it; streams come out of `accept`."""

    def __init__(self, stream: Stream | Tunnel) -> None:
        self._stream, self.codec = stream, spdy.Codec()
        self._streams: dict[int, SpdyStream] = {}
        self._fresh: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self.gone = asyncio.Event()
        self._last = 0

    async def run(self) -> None:
        """Read until the connection ends; never raises for what the client does."""
        try:
            while data := await self._stream.read(65536):
                for event in self.codec.feed(data):
                    await self._take(event)
        except (spdy.SpdyError, ConnectionError):
            with contextlib.suppress(ConnectionError):
                await self.send(self.codec.go_away(self._last))
        finally:
            self.gone.set()
            for stream in self._streams.values():
                stream.cut()
            self._fresh.put_nowait(None)

    async def _take(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened(stream=number, headers=headers, ended=ended):
                await self._open(number, headers, ended)
            case spdy.Data(stream=number, data=data, ended=ended):
                found = self._streams.get(number)
                if found is not None:
                    await found.take(data, ended)
            case spdy.Reset(stream=number):
                found = self._streams.pop(number, None)
                if found is not None:
                    found.cut()
            case spdy.Pinged(id=number):
                await self.send(self.codec.ping(number))

    async def _open(self, number: int, headers: dict[str, str], ended: bool) -> None:
        if len(self._streams) >= MAX_STREAMS or number in self._streams:
            await self.send(self.codec.reset(number, spdy.REFUSED_STREAM))
            return
        self._last = number
        made = SpdyStream(self, number, headers)
        self._streams[number] = made
        await self.send(self.codec.reply(number, {}))
        if ended:
            await made.take(b"", True)
        self._fresh.put_nowait(made)

    async def accept(self) -> SpdyStream | None:
        """The next stream that the client opens; None when the connection is gone."""
        return await self._fresh.get()

    def forget(self, stream: SpdyStream) -> None:
        self._streams.pop(stream.number, None)

    async def send(self, frame: bytes) -> None:
        async with self._writing:
            await self._stream.write(frame)

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.send(self.codec.go_away(self._last))
        await self._stream.close()


class SpdySession:
    """A remote command's session over SPDY (see `sessions.Session`); `wait` until the client has opened its streams."""

    def __init__(self, connection: SpdyConnection, wanted: tuple[str, ...]) -> None:
        self._connection, self._wanted = connection, wanted
        self._streams: dict[str, SpdyStream] = {}

    async def wait(self) -> bool:
        """False when the client went away before."""
        while any(name not in self._streams for name in self._wanted):
            stream = await self._connection.accept()
            if stream is None:
                return False
            self._streams[stream.headers.get("streamtype", "").lower()] = stream
        return True

    async def read(self) -> bytes:
        return await self._streams["stdin"].read()

    async def size(self) -> tuple[int, int]:
        if "resize" not in self._streams:
            await self._connection.gone.wait()
            await asyncio.Event().wait()
        while True:
            data = await self._streams["resize"].read()
            if not data:
                await asyncio.Event().wait()
            for line in data.splitlines():
                try:
                    told = orjson.loads(line)
                    return int(told["Width"]), int(told["Height"])
                except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                    continue

    async def write(self, name: str, data: bytes) -> None:
        if name in self._streams:
            await self._streams[name].write(data)

    async def finish(self, status: Object) -> None:
        with contextlib.suppress(ConnectionError):
            await self._streams["error"].write(orjson.dumps(status))
            for name in ("stdout", "stderr", "error"):
                if name in self._streams:
                    await self._streams[name].end()

    async def gone(self) -> None:
        await self._connection.gone.wait()
