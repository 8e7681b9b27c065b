"""The resolver's sockets: UDP and TCP at the cluster's DNS address and the node's own, inside the node's namespace."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from heeler.base.together import end
from heeler.network.dns import answers, message
from heeler.network.dns.forward import Forwarder
from heeler.network.dns.message import Malformed, Query
from heeler.network.dns.records import Records

log = logging.getLogger(__name__)

PORT = 53
#: Answers kept ready-made; questions that wait for something; TCP connections; seconds that one may be silent; seconds
#: that a question waits for the first look at the cluster.
MAX_READY, MAX_WAITING, MAX_CONNECTIONS, IDLE_SECONDS, SYNC_SECONDS = 1024, 512, 100, 10.0, 3.0


class Resolver:
    """From a question's bytes to an answer's."""

    def __init__(
        self,
        records: Records,
        forwarder: Forwarder | None,
        synced: asyncio.Event,
        own: Sequence[ipaddress.IPv4Network] = (),
    ) -> None:
        self._records, self._forwarder, self._synced, self._own = records, forwarder, synced, own
        self._ready: dict[bytes, bytes] = {}
        self._generation = -1
        self._turn = 0

    def at_once(self, data: bytes, tcp: bool = False) -> bytes | None:
        """The answer, where it needs no waiting; None where it does."""
        if not self._synced.is_set():
            return None
        if self._generation != self._records.generation:
            self._generation = self._records.generation
            self._ready.clear()
        known = self._ready.get(data[2:])
        if known is not None and not tcp:
            return data[:2] + known
        try:
            query = message.parse(data)
        except Malformed as fault:
            return fault.reply
        found = answers.answer(self._records, query.name, query.type_name, self._own)
        if found is None or found.chase:
            return None
        several = len(found.lines) > 1
        if several and found.lines[0].type in ("A", "AAAA"):
            self._rotate(found)
        reply = message.pack(query, message.encode(query, found), message.TCP_SIZE if tcp else query.size)
        if not several and not tcp:
            if len(self._ready) >= MAX_READY:
                self._ready.clear()
            self._ready[data[2:]] = reply[2:]
        return reply

    def _rotate(self, found: answers.Answer) -> None:
        """Who takes the first address gets another one each time."""
        self._turn += 1
        cut = self._turn % len(found.lines)
        found.lines = found.lines[cut:] + found.lines[:cut]

    async def in_time(self, data: bytes, tcp: bool = False) -> bytes:
        """The answer, waited for. Never raises; b"" for what deserves none."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._synced.wait(), SYNC_SECONDS)
        try:
            query = message.parse(data)
        except Malformed as fault:
            return fault.reply
        limit = message.TCP_SIZE if tcp else query.size
        if not self._synced.is_set():
            return message.pack(query, message.failed(query, answers.SERVFAIL), limit)
        ready = self.at_once(data, tcp)
        if ready is not None:
            return ready
        try:
            reply = await self._with_others(query)
        except message.FAULTS:  # an ExternalName may be no name that DNS has
            reply = message.failed(query, answers.SERVFAIL)
        return message.pack(query, reply, limit)

    async def _with_others(self, query: Query) -> Any:
        found = answers.answer(self._records, query.name, query.type_name, self._own)
        if self._forwarder is None and found is None:
            return message.failed(query, answers.REFUSED)
        if found is None:
            assert self._forwarder is not None
            given = await self._forwarder.ask(query)
            return message.failed(query, answers.SERVFAIL) if given is None else message.relayed(query, *given)
        # The name of an ExternalName Service: what it points to belongs to the answer, where it can be had.
        more: list[Any] = []
        if self._forwarder is not None:
            given = await self._forwarder.ask(message.about(query, found.chase))
            more = [message.older(rr, given[1]) for rr in given[0].rr] if given is not None else []
        return message.encode(query, found, more)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self.waiting: dict[asyncio.Task[None], None] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # it isn't one by its class

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            reply = self._resolver.at_once(data)
        except Exception:
            log.exception("a question was not answered")
            return
        if reply is not None:
            self._send(reply, addr)
        elif len(self.waiting) < MAX_WAITING:  # what is too much gets no answer: it is asked again
            task = asyncio.ensure_future(self._later(data, addr))
            self.waiting[task] = None
            task.add_done_callback(lambda done: self.waiting.pop(done, None))

    async def _later(self, data: bytes, addr: Any) -> None:
        self._send(await self._resolver.in_time(data), addr)

    def _send(self, reply: bytes, addr: Any) -> None:
        if reply and self._transport is not None:
            self._transport.sendto(reply, addr)

    def error_received(self, exc: Exception) -> None:
        """An asker that is gone already."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One address' two sockets, made inside the node's namespace."""

    udp: socket.socket
    tcp: socket.socket


def bind(address: str, port: int = PORT) -> Bound:
    """Bind both sockets. Raises OSError."""
    made = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            one = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
            made.append(one)
            if kind == socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
        made[1].listen(64)
    except BaseException:
        for one in made:
            one.close()
        raise
    return Bound(*made)


class DnsServer:
    """Serves bound sockets until `close`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._datagrams: list[tuple[asyncio.BaseTransport, _Datagrams]] = []
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[Any], None] = {}

    async def serve(self, bound: Bound) -> None:
        loop = asyncio.get_running_loop()
        self._datagrams.append(await loop.create_datagram_endpoint(lambda: _Datagrams(self._resolver), sock=bound.udp))
        self._servers.append(await asyncio.start_server(self._connected, sock=bound.tcp))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections[task] = None
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(size)
                reply = await self._resolver.in_time(data, tcp=True)
                if not reply:
                    return
                async with asyncio.timeout(IDLE_SECONDS):
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.pop(task, None)
            writer.close()

    async def close(self) -> None:
        for transport, protocol in self._datagrams:
            transport.close()
            await end(protocol.waiting)
        for server in self._servers:
            server.close()
        await end(self._connections)
