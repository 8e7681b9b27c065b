"""Services published on the host's loopback: a listener outside that connects inside the node's network namespace.

Published are services of type NodePort (on the same port) and those with the annotation `heeler.dev/publish`: "8080"
(the host's port for the first service port) or "8080:http,8443:https" (host port : service port's name or number).
A host port that is taken gives way to a free one; where each service is to be found stands in `published.json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from heeler.base.files import read_text, write_atomic
from heeler.base.netns import NetNamespace
from heeler.base.together import end
from heeler.objects.value import Object, meta, name_of, namespace_of

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[socket.socket]]

ANNOTATION = "heeler.dev/publish"
HOST = "127.0.0.1"
#: Connections at a time through one listener; bytes in one piece; seconds to connect inside.
MAX_CONNECTIONS, PIECE, CONNECT_SECONDS = 512, 64 * 1024, 10.0


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A service's port to publish: wanted on `host_port` of the host, reached at (`address`, `port`) inside."""

    namespace: str
    service: str
    name: str
    host_port: int
    address: str
    port: int


def targets(services: Sequence[Object], node_ip: str) -> list[Target]:
    """What is to be published, in a fixed order. A wrong annotation is logged and left out."""
    out = []
    for service in services:
        spec = service.get("spec") or {}
        ip = str(spec.get("clusterIP") or "None")
        if ip == "None" or ":" in ip:
            continue
        ports = [p for p in spec.get("ports") or [] if (p.get("protocol") or "TCP") == "TCP"]
        wanted = (meta(service).get("annotations") or {}).get(ANNOTATION)
        where = (namespace_of(service), name_of(service))
        if wanted:
            out += _annotated(where, str(wanted), ports, ip)
        elif spec.get("type") in ("NodePort", "LoadBalancer"):
            for port in ports:
                if port.get("nodePort"):
                    number = int(port["nodePort"])
                    out.append(Target(*where, str(port.get("name") or ""), number, node_ip, number))
    return sorted(out)


def _annotated(where: tuple[str, str], text: str, ports: Sequence[Object], ip: str) -> list[Target]:
    out = []
    for part in text.split(","):
        host, _, inner = part.strip().partition(":")
        found = [p for p in ports if not inner or inner in (p.get("name"), str(p.get("port")))]
        if not host.isdigit() or not 0 < int(host) < 65536 or not found:
            log.warning("service %s/%s: %s: %r is no HOSTPORT[:PORT] of it", *where, ANNOTATION, part)
            continue
        out.append(Target(*where, str(found[0].get("name") or ""), int(host), ip, int(found[0]["port"])))
    return out


class Relay:
    """One listening socket; what connects is connected on, bytes go both ways until both sides have ended."""

    def __init__(self, listening: socket.socket, connect: Connect) -> None:
        self._listening, self._connect = listening, connect
        self._connections: dict[asyncio.Task[None], None] = {}
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._task = asyncio.ensure_future(self._accept())

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                made, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                log.warning("published port %d: %s", self.port, error)
                self._free.release()
                await asyncio.sleep(0.5)
                continue
            task = asyncio.ensure_future(self._serve(made))
            self._connections[task] = None
            task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        self._free.release()

    async def _serve(self, outer: socket.socket) -> None:
        try:
            try:
                inner = await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
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
        await end([self._task, *self._connections])
        self._listening.close()


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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket of the host, on this port or, if it is taken, on a free one."""
    for number in (port, 0):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, number))
            made.listen(128)
            made.setblocking(False)
        except OSError as error:
            made.close()
            if number == 0 or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return made
    raise AssertionError("one of the two was returned or raised")


class Publisher:
    """Keeps a relay for each target; `update` with what is wanted now."""

    def __init__(self, netns: NetNamespace, record: Path) -> None:
        self._netns, self._record = netns, record
        self._relays: dict[Target, Relay] = {}
        self._known = _known(record)

    async def update(self, wanted: Sequence[Target]) -> None:
        """Open what is new, close what is gone. A port that can't be opened is logged."""
        for target in [t for t in self._relays if t not in wanted]:
            await self._relays.pop(target).close()
        for target in wanted:
            if target not in self._relays:
                self._open(target)
        self._write()

    def _open(self, target: Target) -> None:
        # The port that it had before an agent's restart comes first: links go on working.
        before = self._known.get(_key(target), target.host_port)
        try:
            listening = listen(HOST, before)
        except OSError as error:
            log.warning("service %s/%s is not published: %s", target.namespace, target.service, error)
            return
        self._relays[target] = Relay(listening, lambda: self._netns.connect(target.address, target.port))

    def _write(self) -> None:
        entries = [
            {
                "namespace": target.namespace,
                "service": target.service,
                "port": target.name,
                "wanted": target.host_port,
                "address": f"{HOST}:{relay.port}",
            }
            for target, relay in sorted(self._relays.items())
        ]
        text = orjson.dumps(entries, option=orjson.OPT_INDENT_2)
        if text.decode() != read_text(self._record):
            write_atomic(self._record, text, 0o644)

    async def close(self) -> None:
        for relay in self._relays.values():
            await relay.close()
        self._relays = {}


def _key(target: Target) -> str:
    return f"{target.namespace}/{target.service}:{target.name}:{target.host_port}"


def _known(record: Path) -> dict[str, int]:
    """Where services were published before."""
    return {
        f"{e['namespace']}/{e['service']}:{e['port']}:{e['wanted']}": int(e["address"].rpartition(":")[2])
        for e in published(record)
    }


def published(record: Path) -> list[Object]:
    """What `published.json` says: entries with namespace, service, port (name) and address ("127.0.0.1:30080")."""
    text = read_text(record)
    try:
        entries: list[Object] = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []
    return entries


def outside(host: str) -> socket.socket:
    """A TCP socket of the host's own network, not connected and not blocking."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
