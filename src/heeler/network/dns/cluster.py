"""The resolver of one node, put together: what it knows (mirrors), where it listens, whom it asks.

The cluster's DNS address stands on every node's loopback, so a pod's question never leaves its node and needs no address
translation. While the agent is away its rules keep quiet about the closed port: askers try again and are served by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging

from heeler.base.clock import Clock
from heeler.base.netns import NetNamespace
from heeler.network.dns.forward import Forwarder
from heeler.network.dns.records import Records
from heeler.network.dns.server import DnsServer, Resolver, bind
from heeler.network.follow import Mirror
from heeler.network.links import ip
from heeler.network.proxy import Proxy

log = logging.getLogger(__name__)

#: Seconds until a port that somebody else has is tried again.
BIND_WAIT = 2.0


class ClusterDns:
    """`run` until cancelled. `serving` is set once questions are answered; `named` tells that all namespaces are known."""

    def __init__(
        self,
        clock: Clock,
        proxy: Proxy,
        namespaces: Mirror,
        named: asyncio.Event,
        netns: NetNamespace,
        *,
        domain: str,
        address: str,
        node_ip: str,
        ranges: tuple[str, ...],
        forwarder: Forwarder | None,
    ) -> None:
        self._clock, self._netns, self._address, self._node_ip = clock, netns, address, node_ip
        self._ranges = [ipaddress.IPv4Network(text) for text in ranges]
        self._forwarder, self._proxy = forwarder, proxy
        self.serving = asyncio.Event()
        self._named = named
        self.records = Records(proxy.services_mirror.items, namespaces.items, domain=domain, address=address)
        namespaces.listen(self._changed)
        proxy.services_mirror.listen(self.records.object_changed)
        proxy.slices_mirror.listen(self.records.slice_changed)

    def _changed(self, old: object, new: object) -> None:
        self.records.object_changed(None, None)

    async def run(self) -> None:
        """Mirror and serve until cancelled."""
        synced = asyncio.Event()
        server = DnsServer(Resolver(self.records, self._forwarder, synced, self._ranges))
        try:
            await ip([f"address replace {self._address}/32 dev lo scope host"], self._netns.path.name)
            for address in (self._address, self._node_ip):
                await self._listen(server, address)
            await self._ready(synced)
            await asyncio.Event().wait()
        finally:
            await server.close()

    async def _listen(self, server: DnsServer, address: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                await server.serve(await self._netns.call(lambda: bind(address)))
                return
            log.warning("DNS can't listen on %s: port 53 is taken, by a pod in the node's network perhaps", address)
            await self._clock.sleep(BIND_WAIT)

    async def _ready(self, synced: asyncio.Event) -> None:
        await self._proxy.synced.wait()
        await self._named.wait()
        synced.set()
        self.serving.set()
