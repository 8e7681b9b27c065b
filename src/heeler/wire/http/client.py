"""An HTTP/1.1 client on asyncio and httptools: a pool of connections, streamed answers, upgrades.

It knows nothing of Kubernetes. Webhooks, proxies to nodes, OIDC and `heeler.client.https` use it. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools

#: Idle connections kept for each host.
MAX_IDLE = 32
#: Seconds to connect, TLS included.
CONNECT_SECONDS = 10.0
#: Bytes of an answer's headers together, and how many there may be.
MAX_HEAD, MAX_HEADERS = 256 * 1024, 1000
#: Bytes of a body that is read whole.
MAX_WHOLE = 256 * 1024 * 1024


#: Makes the connection to a host and port (it must not block); in the place of a plain one.
Dial = Callable[[str, int], Awaitable[socket.socket]]


@dataclass(slots=True)
class Answer:
    """Status and headers (names in lower case); the body comes through `chunks` or `read`."""

    status: int
    headers: dict[str, str]
    _connection: _Connection
    _client: HttpClient
    _ended: bool = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises ConnectionError when it is cut short."""
        connection = self._connection
        try:
            while True:
                while connection.body:
                    data = b"".join(connection.body)
                    connection.body.clear()
                    yield data
                if connection.complete:
                    self._ended = True
                    return
                await connection.receive()
        finally:
            await self.close()

    async def read(self, limit: int = MAX_WHOLE) -> bytes:
        """The whole body, of so many bytes at most. Raises ConnectionError for a larger one, and as `chunks`."""
        parts: list[bytes] = []
        size = 0
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise ConnectionError(f"the answer is larger than {limit >> 20} MiB")
                parts.append(chunk)
        return b"".join(parts)

    async def close(self) -> None:
        """Give the connection back, or cut it if the body wasn't read to its end."""
        self._client._give_back(self._connection, reuse=self._ended)

    def stream(self) -> ClientStream:
        """The connection itself, after a 101."""
        return ClientStream(self._connection)


class ClientStream:
    """The bytes of an upgraded connection (see `heeler.wire.http.messages.Stream`)."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rest = connection.rest

    async def read(self, limit: int = 65536) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:limit], self._rest[limit:]
            return data
        return await self._connection.reader.read(limit)

    async def write(self, data: bytes) -> None:
        self._connection.writer.write(data)
        await self._connection.writer.drain()

    async def close(self) -> None:
        self._connection.close()


@dataclass(eq=False)
class _Connection:
    """One connection and the parser of the answer that is under way."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    key: tuple[str, int]
    headers: dict[str, str] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    complete: bool = False
    head: bool = False
    keep_alive: bool = True
    upgraded: bool = False
    rest: bytes = b""
    fresh: bool = True
    head_bytes: int = 0
    header_bytes: int = 0
    skip_body: bool = False
    parser: Any = None

    def begin(self, *, skip_body: bool) -> None:
        self.headers, self.body = {}, []
        self.complete = self.head = self.upgraded = False
        self.head_bytes = self.header_bytes = 0
        self.skip_body = skip_body
        self.parser = httptools.HttpResponseParser(self)

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_bytes += len(name) + len(value)
        if self.header_bytes > MAX_HEAD or len(self.headers) > MAX_HEADERS or self.head:
            return  # `receive` ends what goes on like that; trailers are no headers
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.head = True
        if self.skip_body:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = True
        self.keep_alive = bool(self.parser.should_keep_alive())

    async def receive(self) -> None:
        """Take in what comes next. Raises ConnectionError."""
        data = await self.reader.read(262144)
        if not self.head:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD + 262144:
                raise ConnectionError(f"the answer's head is larger than {MAX_HEAD >> 10} KiB")
        if not data:
            if self.head and "content-length" not in self.headers and "transfer-encoding" not in self.headers:
                self.complete, self.keep_alive = True, False
                return
            raise ConnectionResetError("the connection was closed by the other side")
        try:
            self.parser.feed_data(data)
            if self.header_bytes > MAX_HEAD or len(self.headers) > MAX_HEADERS:
                raise ConnectionError(f"the answer's headers are larger than {MAX_HEAD >> 10} KiB, or too many")
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = True
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise ConnectionError(f"the answer is no HTTP: {error}") from error

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.writer.close()


class HttpClient:
    """Keeps connections open and uses them again. One per set of TLS credentials (and way to dial)."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, server_name: str | None = None, dial: Dial | None = None
    ) -> None:
        self._tls = tls
        self._server_name = server_name
        self._dial = dial
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._busy: dict[_Connection, None] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
        body: bytes = b"",
        connect_seconds: float = CONNECT_SECONDS,
    ) -> Answer:
        """Send a request and read the answer's head. Raises OSError (ConnectionError, TimeoutError)."""
        parts = urlsplit(url)
        key = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        data = _encode(method, target, key, headers, body)
        while True:
            connection = await self._connect(key, parts.scheme == "https", connect_seconds)
            try:
                connection.begin(skip_body=method == "HEAD")
                connection.writer.write(data)
                await connection.writer.drain()
                while not connection.head and not connection.upgraded:
                    await connection.receive()
            except ConnectionError:
                connection.close()
                self._busy.pop(connection, None)
                if not connection.fresh and not connection.head:
                    continue  # an idle connection was closed meanwhile: nothing was done yet
                raise
            except BaseException:
                connection.close()
                self._busy.pop(connection, None)
                raise
            return Answer(connection.parser.get_status_code(), connection.headers, connection, self)

    async def _connect(self, key: tuple[str, int], secure: bool, seconds: float) -> _Connection:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if not connection.reader.at_eof():
                connection.fresh = False
                self._busy[connection] = None
                return connection
            connection.close()
        name = self._server_name if secure else None
        async with asyncio.timeout(seconds):
            where: dict[str, Any] = {"host": key[0], "port": key[1]}
            if self._dial is not None:
                where = {"sock": await self._dial(*key)}
                name = name or (key[0] if secure else None)
            reader, writer = await asyncio.open_connection(
                **where, ssl=self._tls if secure else None, server_hostname=name, limit=1 << 20
            )
        connection = _Connection(reader, writer, key)
        self._busy[connection] = None
        return connection

    def _give_back(self, connection: _Connection, *, reuse: bool) -> None:
        if self._busy.pop(connection, self) is self:
            return
        idle = self._idle.setdefault(connection.key, [])
        if reuse and connection.keep_alive and not connection.upgraded and len(idle) < MAX_IDLE:
            idle.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        """Cut all connections."""
        for connection in [*self._busy, *(c for idle in self._idle.values() for c in idle)]:
            connection.writer.transport.abort()
        self._busy.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round, which may be its last

    def __repr__(self) -> str:
        return f"<HttpClient busy={len(self._busy)} idle={sum(map(len, self._idle.values()))}>"


def _encode(
    method: str,
    target: str,
    key: tuple[str, int],
    headers: Mapping[str, str] | list[tuple[str, str]],
    body: bytes,
) -> bytes:
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    host = f"[{key[0]}]" if ":" in key[0] else key[0]
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}:{key[1]}"]
    for name, value in pairs:
        if "\r" in value or "\n" in value:
            raise ValueError(f"a line break in the header {name}")
        lines.append(f"{name}: {value}")
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
