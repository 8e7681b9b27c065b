"""An HTTP/1.1 server on asyncio and httptools: TLS with client certificates, streamed answers, upgrades.

It knows nothing of Kubernetes. One connection serves its requests one after the other; a request under way stops reading
the next one, so what a client can queue is bounded. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http
import logging
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

import httptools

from heeler.wire.http.messages import Handler, Peer, Request, Response, Upgrade
from heeler.wire.http.query import parse_query

log = logging.getLogger(__name__)

#: Bytes of request line and headers together (Go's DefaultMaxHeaderBytes is 1 MiB; nobody needs that much).
MAX_HEADER_BYTES = 256 * 1024
#: Bytes of a body (kube-apiserver's --max-request-body-bytes has this default).
MAX_BODY_BYTES = 3 * 1024 * 1024
#: Seconds that a client may take to send a request's head, and its whole body.
HEAD_SECONDS = 32.0
BODY_SECONDS = 60.0
#: Requests that may wait for the one that is being answered (HTTP/1.1 pipelining); reading pauses at the first.
MAX_PIPELINED = 256
#: Seconds that TLS may take to begin.
HANDSHAKE_SECONDS = 10.0
#: Seconds that a connection may be idle between requests.
IDLE_SECONDS = 180.0
#: Seconds that a client may take nothing in of what is written to it.
STALL_SECONDS = 120.0
#: Bytes that wait to be written before a stream's producer has to wait.
WRITE_HIGH_WATER = 256 * 1024
#: Bytes of a stream that are gathered before they are written; less is when its producer pauses.
GATHERED_BYTES = 64 * 1024

_REASONS = {s.value: s.phrase for s in http.HTTPStatus}
#: A request line up to its target; methods of more than 32 characters are nobody's.
_METHOD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """A listening server. `port` is the port that was bound."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None, max_body: int) -> None:
        self.handler = handler
        self.tls = tls
        self.max_body = max_body
        self.connections: dict[_Connection, None] = {}
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, bound: socket.socket | None = None) -> None:
        """Bind and listen (on `bound`, if one is given). Raises OSError (EADDRINUSE and its kin)."""
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"host": host, "port": port} if bound is None else {"sock": bound}
        self._server = await loop.create_server(
            lambda: _Connection(self),
            **where,
            ssl=self.tls,
            backlog=1024,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self.tls else None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self, grace_seconds: float = 2.0) -> None:
        """Stop listening, end streams, give requests under way a moment, then cut."""
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.finish()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        while self.connections and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._server:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 1.0)

    def __repr__(self) -> str:
        return f"<Server port={self.port} connections={len(self.connections)}>"


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    max_body: int = MAX_BODY_BYTES,
    bound: socket.socket | None = None,
) -> Server:
    """Start a server; port 0 takes a free one, `bound` is a socket that has one."""
    server = Server(handler, tls, max_body)
    await server.start(host, port, bound)
    return server


class _Connection(asyncio.Protocol):
    """One client's connection: parses requests, writes answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser: Any = None
        self._peer = Peer()
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._oversized = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._paused: asyncio.Future[None] | None = None
        self._stream: UpgradedStream | None = None
        self._streaming = False
        self._in_head = True
        self._waiting: deque[tuple[Request, bool]] = deque()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._server.connections[self] = None
        self._parser = httptools.HttpRequestParser(self)
        self._peer = _peer_of(self._transport)
        self._arm(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.pop(self, None)
        self._disarm()
        self._wake()
        if self._stream:
            self._stream.feed_end()
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._stream:
            self._stream.feed(data)
            return
        if self._closing:
            return
        self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            if self._stream is not None or self._task is not None:
                rest = data[upgrade.args[0] :] if upgrade.args else b""
                self._transport.pause_reading()
                self._early = rest
        except httptools.HttpParserInvalidMethodError:
            self._take_other_method(data)
        except httptools.HttpParserError:
            self._refuse(400, "400 Bad Request")
        # a line that never ends calls nothing back: what came for the head (or for trailers) is counted here
        if self._header_bytes > MAX_HEADER_BYTES and self._stream is None:
            self._refuse(431, "431 Request Header Fields Too Large")

    def _take_other_method(self, data: bytes) -> None:
        """The parser knows registered methods only; any other is for the application to refuse (RFC 9110 section 9.1).

        The request is read as a GET, its own method kept beside. Only where it begins with this data."""
        found = _METHOD.match(data)
        if found is None or self._method or self._header_bytes != len(data):
            self._refuse(400, "400 Bad Request")
            return
        self._parser = httptools.HttpRequestParser(self)
        self._method, self._header_bytes = found[1].decode(), 0
        self.data_received(b"GET " + data[found.end() :])

    #: Of the request being read, where the parser doesn't know it.
    _method = ""
    _early = b""
    #: The client asked for another protocol: the parser takes nothing more, whatever the answer is.
    _upgrading = False

    def eof_received(self) -> bool:
        """A stream may still be written to, but TLS knows no half-closed connections."""
        if self._stream:
            self._stream.feed_end()
            return self._server.tls is None
        return False

    def pause_writing(self) -> None:
        if self._paused is None:
            self._paused = self._loop.create_future()

    def resume_writing(self) -> None:
        self._wake()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._in_head = True
        self._target = b""
        self._headers = {}
        self._body = []
        self._body_bytes = 0
        self._oversized = False

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > MAX_HEADER_BYTES:
            self._refuse(414, "414 URI Too Long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # trailers are no headers: they would be trusted like them
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._header_bytes = 0
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(_CONTINUE)
        self._arm(BODY_SECONDS)

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._server.max_body:
            if not self._oversized:
                self._oversized = True
                self._body = []
                self._begin(keep_alive=False)
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._header_bytes = 0
        if self._closing or self._oversized:
            return
        self._begin(keep_alive=self._parser.should_keep_alive())

    # serving

    def _begin(self, keep_alive: bool) -> None:
        """Hand a whole request to the handler; nothing more is read until it is answered."""
        self._disarm()
        target = self._target.decode("latin-1")
        path, _, query = target.partition("?")
        request = Request(
            method=self._method or self._parser.get_method().decode("latin-1"),
            target=target,
            path=unquote(path) if "%" in path else path,
            query=parse_query(query) if query else {},
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            oversized=self._oversized,
            peer=self._peer,
        )
        self._body, self._method = [], ""
        if self._task is not None:  # it came while another is answered: answers keep the order of requests
            if len(self._waiting) >= MAX_PIPELINED:
                self._refuse(400, "400 Bad Request: too many requests at once")
                return
            self._waiting.append((request, keep_alive))
            self._transport.pause_reading()
            return
        self._task = self._loop.create_task(self._answer(request, keep_alive))

    async def _answer(self, request: Request, keep_alive: bool) -> None:
        try:
            answer = await self._server.handler(request)
            if isinstance(answer, Upgrade):
                await self._upgrade(answer)
                return
            keep_alive = keep_alive and not self._closing and not self._upgrading
            if isinstance(answer.body, bytes):
                await self._write_whole(answer, request.method == "HEAD", keep_alive)
            else:
                chunked = self._parser.get_http_version() != "1.0"
                keep_alive = keep_alive and chunked
                await self._write_stream(answer, keep_alive, chunked=chunked)
        except asyncio.CancelledError:
            self._transport.abort()
            return
        except ConnectionError:
            self._transport.abort()
            return
        except Exception:
            log.exception("a handler failed")
            self._transport.write(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            keep_alive = False
        self._task = None
        if keep_alive and self._waiting and not self._closing:
            self._task = self._loop.create_task(self._answer(*self._waiting.popleft()))
            if not self._waiting:
                self._transport.resume_reading()
        elif keep_alive and not self._closing:
            self._arm(IDLE_SECONDS)
        else:
            self._transport.close()

    def _head(self, status: int, headers: list[tuple[str, str]], more: str) -> bytes:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        text = "\r\n".join(lines) + "\r\n" + more + "\r\n"
        return text.encode("utf-8")

    async def _write_whole(self, answer: Response, head_only: bool, keep_alive: bool) -> None:
        body = cast(bytes, answer.body)
        more = f"Content-Length: {len(body)}\r\n" if answer.status not in (204, 304) else ""
        if not keep_alive:
            more += "Connection: close\r\n"
        head = self._head(answer.status, answer.headers, more)
        if head_only or not body:
            self._transport.write(head)
        elif len(body) < 65536:
            self._transport.write(head + body)
        else:
            # in pieces: what is encrypted ahead of a client that reads slowly would be as large as the body, for each
            self._transport.write(head)
            whole = memoryview(body)
            for start in range(0, len(body), WRITE_HIGH_WATER):
                self._transport.write(whole[start : start + WRITE_HIGH_WATER])
                await self._drained()
        await self._drained()

    async def _drained(self) -> None:
        """Until the client has taken in most of what was written. Raises ConnectionResetError if it doesn't, or is gone."""
        if self._paused is not None:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._paused
            except TimeoutError:
                raise ConnectionResetError("the client takes nothing in") from None
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")

    async def _write_stream(self, answer: Response, keep_alive: bool, *, chunked: bool) -> None:
        """HTTP/1.0 knows no chunks: there the end of the connection is the end of the body."""
        more = ("Transfer-Encoding: chunked\r\n" if chunked else "") + ("" if keep_alive else "Connection: close\r\n")
        self._transport.write(self._head(answer.status, answer.headers, more))
        body = cast(Any, answer.body)
        self._streaming = True
        gathered: list[bytes] = []
        size = 0

        def flush() -> None:
            nonlocal size
            if gathered:
                data = b"".join(gathered)
                self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
                gathered.clear()
                size = 0

        try:
            async for chunk in body:
                if not chunk:
                    continue
                # what comes in one go is encrypted and sent in one go: events come in crowds
                if not gathered:
                    self._loop.call_soon(flush)
                gathered.append(chunk)
                size += len(chunk)
                if size >= GATHERED_BYTES:
                    flush()
                    await asyncio.sleep(0)  # a long answer to a fast client isn't everybody's
                if self._paused is not None or self._transport.is_closing():
                    await self._drained()
            flush()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        finally:
            gathered.clear()
            self._streaming = False
            with contextlib.suppress(AttributeError):
                await body.aclose()

    async def _upgrade(self, answer: Upgrade) -> None:
        self._stream = UpgradedStream(self._transport, self._drained)
        self._transport.write(self._head(101, answer.headers, ""))
        if self._early:
            self._stream.feed(self._early)
            self._early = b""
        self._transport.resume_reading()
        try:
            await answer.run(self._stream)
        except (ConnectionError, EOFError):
            pass
        finally:
            self._task = None
            self._transport.close()

    def finish(self) -> None:
        """End streams, and the connection after the request under way."""
        self._closing = True
        if self._task is None:
            self._transport.close()
        elif self._streaming or self._stream:
            self._task.cancel()

    def abort(self) -> None:
        self._transport.abort()

    def _refuse(self, status: int, text: str) -> None:
        if self._closing:
            return
        self._closing = True
        body = text.encode()
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        more = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        self._transport.write(self._head(status, headers, more) + body)
        self._transport.close()

    def _arm(self, seconds: float) -> None:
        """Close the connection unless something happens within so many seconds."""
        self._disarm()
        # aborted: a close waits half a minute more for the client's end of TLS
        self._timer = self._loop.call_later(seconds, self._transport.abort)

    def _disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._paused is not None:
            if not self._paused.done():
                self._paused.set_result(None)
            self._paused = None


class UpgradedStream:
    """The byte stream that an upgraded connection is; reading stops the client once `HIGH` bytes wait."""

    HIGH = 256 * 1024

    def __init__(self, transport: asyncio.Transport, writable: Callable[[], Any]) -> None:
        self._transport = transport
        self._writable = writable
        self._buffer = bytearray()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self.HIGH:
            self._transport.pause_reading()
        self._notify()

    def feed_end(self) -> None:
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    async def read(self, limit: int = 65536) -> bytes:
        while not self._buffer:
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        if len(self._buffer) <= self.HIGH and not self._ended:
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        await self._writable()

    async def close(self) -> None:
        self._transport.close()


def _peer_of(transport: asyncio.Transport) -> Peer:
    """The client's address, and the names in its certificate, which the TLS layer has verified."""
    address = transport.get_extra_info("peername")
    host = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else ""
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return Peer(host)
    names: dict[str, list[str]] = {}
    for part in certificate.get("subject", ()):
        for key, value in part:
            names.setdefault(key, []).append(value)
    tls = transport.get_extra_info("ssl_object")
    fingerprint = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
    name, organizations = (names.get("commonName") or [""])[-1], tuple(names.get("organizationName") or ())
    return Peer(host, name, organizations, fingerprint)
