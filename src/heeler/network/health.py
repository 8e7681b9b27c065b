"""`healthCheckNodePort`: tells load balancers whether this node has endpoints of its own for a Service.

https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/#preserving-the-client-source-ip
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import orjson

from heeler.base.netns import NetNamespace
from heeler.network.services import ServicePort
from heeler.objects.value import Object, name_of, namespace_of

log = logging.getLogger(__name__)

#: Seconds for one request, bytes of its head, ports served at most.
SECONDS, MAX_HEAD, MAX_PORTS = 5.0, 8192, 256
Key = tuple[str, str]


def wanted(services: Sequence[Object]) -> dict[int, Key]:
    """Port -> the Service that it speaks for."""
    out = {}
    for service in services:
        spec = service.get("spec") or {}
        if spec.get("externalTrafficPolicy") == "Local" and spec.get("healthCheckNodePort"):
            out[int(spec["healthCheckNodePort"])] = (namespace_of(service), name_of(service))
    return dict(sorted(out.items())[:MAX_PORTS])


def local_endpoints(ports: Sequence[ServicePort]) -> dict[Key, int]:
    """Service -> how many ready endpoints it has on this node."""
    found: dict[Key, set[str]] = {}
    for port in ports:
        known = found.setdefault((port.namespace, port.service), set())
        known.update(e.ip for e in port.endpoints if e.local and not e.ending)
    return {key: len(ips) for key, ips in found.items()}


def answer(key: Key, count: int) -> bytes:
    """The whole HTTP answer: 200 with endpoints, 503 without."""
    namespace, name = key
    body = orjson.dumps(
        {"service": {"namespace": namespace, "name": name}, "localEndpoints": count, "serviceProxyHealthy": True}
    )
    status = "200 OK" if count else "503 Service Unavailable"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
        f"X-Load-Balancing-Endpoint-Weight: {count}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class HealthChecks:
    """One small HTTP server a port, inside the node's namespace."""

    def __init__(self, netns: NetNamespace) -> None:
        self._netns = netns
        self._servers: dict[tuple[int, Key], asyncio.Server] = {}
        self._counts: dict[Key, int] = {}

    async def update(self, services: Sequence[Object], ports: Sequence[ServicePort]) -> None:
        """Serve what is wanted now."""
        self._counts = local_endpoints(ports)
        keep = set(wanted(services).items())
        for gone in [entry for entry in self._servers if entry not in keep]:
            self._servers.pop(gone).close()
        for port, key in sorted(keep):
            if (port, key) not in self._servers:
                with contextlib.suppress(OSError):
                    self._servers[(port, key)] = await self._serve(port, key)
                    continue
                log.warning("health check port %d of service %s/%s can't be opened", port, *key)

    async def _serve(self, port: int, key: Key) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(SECONDS):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer(key, self._counts.get(key, 0)))
                    await writer.drain()
            writer.close()

        return await asyncio.start_server(connected, sock=await self._netns.listen("0.0.0.0", port), limit=MAX_HEAD)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers = {}
