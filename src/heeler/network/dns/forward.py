"""Names outside the cluster: asked of the host's resolvers, in the host's own network; bounded and kept for a while.

Everything that can go wrong ends in time: each try, all tries together, the number of questions under way, what is kept.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import dnslib

from heeler.base.clock import Clock
from heeler.base.files import read_text
from heeler.base.random import Random
from heeler.network.dns.message import EDNS_SIZE, FAULTS, TCP_SIZE, Query

log = logging.getLogger(__name__)

#: Seconds for one try, and how often all servers are tried: together less than an asker waits (5 s).
TRY_SECONDS, ROUNDS, ALL_SECONDS = 1.5, 2, 4.5
#: Questions under way at a time, answers kept, and seconds for which they are kept at most; a failure is kept briefly.
MAX_ASKED, MAX_KEPT, MAX_SECONDS, NEGATIVE_SECONDS, FAILED_SECONDS = 256, 1024, 3600, 300, 5
RESOLV_CONF = Path("/etc/resolv.conf")
MAX_SERVERS = 3
FAILURES = (2, 5)  # SERVFAIL, REFUSED: another server may know better


class HostServers:
    """The host's resolvers, read again when the file changes (a laptop goes from one network to another)."""

    def __init__(self, path: Path = RESOLV_CONF) -> None:
        self._path, self._seen, self._servers = path, (0, 0), ()

    _seen: tuple[int, int]
    _servers: tuple[str, ...]

    def __call__(self) -> tuple[str, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return self._servers
        if self._seen != (found.st_mtime_ns, found.st_ino):
            self._seen = (found.st_mtime_ns, found.st_ino)
            self._servers = name_servers(read_text(self._path))
        return self._servers


def name_servers(text: str) -> tuple[str, ...]:
    """The servers that a resolv.conf names: the first three."""
    words = [line.split() for line in text.splitlines()]
    return tuple(w[1] for w in words if w[:1] == ["nameserver"] and len(w) > 1 and _is_address(w[1]))[:MAX_SERVERS]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


class Kept(NamedTuple):
    """An answer (None: nobody gave one), from when and until when it is good."""

    message: Any
    since: float
    until: float


class Forwarder:
    """`ask` gives the answer of the first server that has one. `servers` are asked for anew each time."""

    def __init__(self, clock: Clock, random: Random, servers: HostServers | tuple[str, ...], port: int = 53) -> None:
        self._clock, self._random, self._servers, self._port = clock, random, servers, port
        self._kept: OrderedDict[tuple[str, int, bool], Kept] = OrderedDict()
        self._asked: dict[tuple[str, int, bool], asyncio.Task[Kept]] = {}

    async def ask(self, query: Query) -> tuple[Any, int] | None:
        """(the answer, its age in seconds); None where nobody answers. Several who ask the same wait for one answer."""
        key, now = query.key, self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is None or kept.until <= now:
            task = self._asked.get(key)
            if task is None:
                if len(self._asked) >= MAX_ASKED:
                    return None
                task = asyncio.ensure_future(self._fresh(query))
                self._asked[key] = task
                task.add_done_callback(lambda _: self._asked.pop(key, None))
            kept = await asyncio.shield(task)
        if kept.message is None:
            return None
        return kept.message, int(max(0.0, self._clock.monotonic() - kept.since))

    async def _fresh(self, query: Query) -> Kept:
        found: Any = None
        try:
            async with asyncio.timeout(ALL_SECONDS):
                found = await self._from_any(query)
        except TimeoutError:
            log.info("nobody answers for %s", query.name)
        now = self._clock.monotonic()
        kept = Kept(found, now, now + (lifetime(found) if found is not None else FAILED_SECONDS))
        if kept.until > now:
            self._kept[query.key] = kept
            self._kept.move_to_end(query.key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return kept

    async def _from_any(self, query: Query) -> Any:
        servers = self._servers() if callable(self._servers) else self._servers
        last: Any = None
        for server in list(servers) * ROUNDS:
            try:
                async with asyncio.timeout(TRY_SECONDS):
                    found = await self._from(server, query)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, *FAULTS) as error:
                log.debug("%s: %s: %s", server, query.name, error)
                continue
            if found.header.rcode not in FAILURES:
                return found
            last = found
        return last

    async def _from(self, server: str, query: Query) -> Any:
        question = dnslib.DNSRecord(q=dnslib.DNSQuestion(query.message.q.qname, query.type, query.message.q.qclass))
        question.header.id = self._random.below(1 << 16)
        question.add_ar(dnslib.EDNS0(udp_len=EDNS_SIZE, flags="do" if query.dnssec else ""))
        data = bytes(question.pack())
        found = await self._by_udp(server, data, query)
        return await self._by_tcp(server, data, query) if found.header.tc else found

    async def _by_udp(self, server: str, data: bytes, query: Query) -> Any:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
            made.connect((server, self._port))  # from a port of its own each time: harder to forge an answer
            await loop.sock_sendall(made, data)
            while True:
                received = await loop.sock_recv(made, TCP_SIZE)
                if _answers(received, data, query):
                    return dnslib.DNSRecord.parse(received)

    async def _by_tcp(self, server: str, data: bytes, query: Query) -> Any:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(data).to_bytes(2, "big") + data)
            received = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if not _answers(received, data, query):
            raise ValueError("the answer is to something else")
        return dnslib.DNSRecord.parse(received)


def _answers(received: bytes, asked: bytes, query: Query) -> bool:
    """Whether a message answers the question that was asked."""
    if len(received) < 12 or received[:2] != asked[:2] or not received[2] & 0x80:
        return False
    try:
        message = dnslib.DNSRecord.parse(received)
    except FAULTS:
        return False
    same = str(message.q.qname).lower() == str(query.message.q.qname).lower() and message.q.qtype == query.type
    return same or not message.questions


def lifetime(message: Any) -> float:
    """Seconds for which an answer may be kept: the shortest of its records, negative ones by their SOA (RFC 2308)."""
    if message.header.rcode in FAILURES:
        return FAILED_SECONDS
    if message.rr:
        return float(min(MAX_SECONDS, *(rr.ttl for rr in message.rr)))
    for rr in message.auth:
        if rr.rtype == dnslib.QTYPE.SOA:
            return float(min(NEGATIVE_SECONDS, rr.ttl, rr.rdata.times[4]))
    return 0.0
