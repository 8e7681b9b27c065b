"""Relays: a socket of the host that leads to an address inside a node's network namespace, by TCP and by UDP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from heeler.base.together import end

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[socket.socket]]

#: Connections at a time through one listener; bytes in one piece; seconds to connect inside; tries where that is refused
#: (an endpoint that just went: the next try finds another), seconds between them.
MAX_CONNECTIONS, PIECE, CONNECT_SECONDS, TRIES, PAUSE = 512, 64 * 1024, 10.0, 4, 0.15
#: Askers at a time through one UDP socket, and seconds after which a silent one is forgotten.
MAX_ASKERS, ASKER_SECONDS = 512, 60.0


class Relay:
    """One listening socket; what connects is connected on, bytes go both ways until both sides have ended."""

    def __init__(self, listening: socket.socket, connect: Connect, tries: int = 1) -> None:
        self._listening, self._connect, self._tries = listening, connect, tries
        self._connections: dict[asyncio.Task[None], None] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = self._waits = False
        self._wait()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def _wait(self) -> None:
        """Take what connects, unless there is too much already."""
        if not self._closed and not self._waits and len(self._connections) < MAX_CONNECTIONS:
            self._loop.add_reader(self._listening, self._accept)
            self._waits = True

    def _rest(self) -> None:
        self._loop.remove_reader(self._listening)
        self._waits = False

    def _accept(self) -> None:
        """Taken and given to its task at once: nothing that ends the relay can come between and leave it open."""
        try:
            made, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("published port %d: %s", self.port, error)
            self._rest()
            self._loop.call_later(0.5, self._wait)
            return
        made.setblocking(False)
        task = asyncio.ensure_future(self._serve(made))
        self._connections[task] = None
        task.add_done_callback(partial(self._served, made))
        if len(self._connections) >= MAX_CONNECTIONS:
            self._rest()

    def _served(self, made: socket.socket, task: asyncio.Task[None]) -> None:
        made.close()  # a task that ends before it begins leaves that to us
        self._connections.pop(task, None)
        self._wait()

    async def _serve(self, outer: socket.socket) -> None:
        try:
            try:
                inner = await asyncio.wait_for(_patiently(self._connect, self._tries), CONNECT_SECONDS)
            except (OSError, TimeoutError) as error:
                log.info("published port %d: %s", self.port, error)
                # A reset says "refused" more clearly than an orderly end.
                outer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            try:
                await join(outer, inner)
            finally:
                inner.close()
        finally:
            outer.close()

    async def close(self) -> None:
        self._closed = True
        self._rest()
        self._listening.close()  # first: whoever closes may be cancelled while connections end
        await end(self._connections)


async def join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways. When one side ends, the other is told so and may still answer."""
    ways = [asyncio.ensure_future(_carry(one, other)), asyncio.ensure_future(_carry(other, one))]
    try:
        await asyncio.gather(*ways)
    except OSError:
        pass
    finally:
        for way in ways:
            way.cancel()


async def _carry(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, PIECE):
        await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def listen(host: str, port: int, kind: int = socket.SOCK_STREAM, *, other: bool = True) -> socket.socket:
    """A socket of the host on this port or, if it is taken and `other` will do, on a free one. Raises OSError."""
    for number in (port, 0) if other else (port,):
        made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        try:
            if kind == socket.SOCK_STREAM:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, number))
            if kind == socket.SOCK_STREAM:
                made.listen(128)
        except OSError as error:
            made.close()
            if number == 0 or not other or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return made
    raise AssertionError("one of the two was returned or raised")


async def _patiently(connect: Connect, tries: int) -> socket.socket:
    for _ in range(tries - 1):
        try:
            return await connect()
        except ConnectionRefusedError:
            await asyncio.sleep(PAUSE)
    return await connect()


class _Asker(asyncio.DatagramProtocol):
    """One client's socket inside: what comes back goes to the client."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._answer(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there: UDP says nothing of that."""


class UdpRelay(asyncio.DatagramProtocol):
    """One bound UDP socket; each client gets a socket of its own inside, so that answers find their way back."""

    def __init__(self, bound: socket.socket, connect: Connect) -> None:
        self._bound, self._connect = bound, connect
        self._askers: OrderedDict[Any, tuple[asyncio.DatagramTransport, float]] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._spawn(self._start())

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._bound)
        self._transport = transport

    @property
    def port(self) -> int:
        return int(self._bound.getsockname()[1])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        now = asyncio.get_running_loop().time()
        known = self._askers.pop(addr, None)
        if known is not None:
            self._askers[addr] = (known[0], now)
            known[0].sendto(data)
        elif len(self._tasks) < MAX_ASKERS:
            self._spawn(self._first(data, addr, now))

    async def _first(self, data: bytes, addr: Any, now: float) -> None:
        try:
            inner = await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            log.info("published port %d: %s", self.port, error)
            return
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Asker(lambda d: self._back(d, addr)), sock=inner)
        self._askers[addr] = (transport, now)
        transport.sendto(data)
        while self._askers:
            old, (oldest, seen) = next(iter(self._askers.items()))
            if now - seen < ASKER_SECONDS and len(self._askers) <= MAX_ASKERS:
                break
            del self._askers[old]
            oldest.close()

    def _back(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)

    async def close(self) -> None:
        try:
            await end(self._tasks)
        finally:
            for transport, _ in self._askers.values():
                transport.close()
            self._askers.clear()
            if self._transport is not None:
                self._transport.close()
            self._bound.close()


def outside(host: str) -> socket.socket:
    """A TCP socket of the host's own network, not connected and not blocking."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
