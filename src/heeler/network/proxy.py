"""The services of the cluster applied to a node: watches Services and EndpointSlices, keeps the nft table in step.

Changes that come together go into one transaction. After a failure (somebody removed the table) all of it is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from heeler.base.clock import Clock
from heeler.base.processes import ProgramError, find_program, run
from heeler.base.together import together
from heeler.client.client import Client
from heeler.network import conntrack
from heeler.network import services as rules
from heeler.network.follow import Mirror
from heeler.network.table import Table
from heeler.objects.value import GroupVersionResource, Object

log = logging.getLogger(__name__)

SERVICES = GroupVersionResource("", "v1", "services")
ENDPOINT_SLICES = GroupVersionResource("discovery.k8s.io", "v1", "endpointslices")
#: Seconds: changes within this time go together; an untouched table is checked this often.
GATHER, CHECK = 0.02, 30.0


class Proxy:
    """`run` until cancelled; `services()` are all Services known, `synced` is set once they are. Others may listen to the
    two mirrors."""

    def __init__(self, client: Client, clock: Clock, netns: Path, settings: rules.Settings) -> None:
        self._clock, self._netns, self.settings = clock, netns, settings
        self._dirty = asyncio.Event()
        self.synced = asyncio.Event()
        self.applied = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._ready = 0
        self.services_mirror = Mirror(client, SERVICES, clock, self._changed, synced=self._one_ready)
        self.slices_mirror = Mirror(client, ENDPOINT_SLICES, clock, self._changed, synced=self._one_ready)
        self._host_ports: tuple[rules.HostPort, ...] = ()
        self._table = Table(settings.table, netns)
        self._ports: list[rules.ServicePort] | None = None
        self._applied: list[Callable[[list[rules.ServicePort]], None]] = []

    def services(self) -> list[Object]:
        return list(self.services_mirror.items.values())

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change of the services."""
        self._listeners.append(changed)

    def after(self, applied: Callable[[list[rules.ServicePort]], None]) -> None:
        """Call `applied` with all ports of services each time the rules are in step with them."""
        self._applied.append(applied)

    def host_ports(self, wanted: tuple[rules.HostPort, ...]) -> None:
        """The host ports of the node's pods now."""
        if wanted != self._host_ports:
            self._host_ports = wanted
            self._dirty.set()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._dirty.set()
        for listener in self._listeners:
            listener()

    def _one_ready(self) -> None:
        self._ready += 1
        if self._ready >= 2:
            self.synced.set()
            self._dirty.set()

    async def run(self) -> None:
        """Mirror and apply until cancelled."""
        await together(self.services_mirror.run(), self.slices_mirror.run(), self._apply())

    async def _apply(self) -> None:
        # Until all is known nothing is changed: rules of an earlier run go on working.
        await self.synced.wait()
        while True:
            try:
                await asyncio.wait_for(self._dirty.wait(), CHECK)
            except TimeoutError:
                if await self._table.is_there("services"):
                    continue
                self._table.forget()
            await self._clock.sleep(GATHER)
            self._dirty.clear()
            try:
                await self._step()
            except ProgramError as error:
                log.warning("services not applied: %s", error)
                self._dirty.set()
                await self._clock.sleep(1.0)

    async def _step(self) -> None:
        ports = rules.service_ports(self.services(), list(self.slices_mirror.items.values()), self.settings)
        wanted = rules.ruleset(ports, self._host_ports, self.settings)
        if await self._table.apply(wanted):
            await self._forget_connections(ports)
        self._ports = ports
        for applied in self._applied:
            applied(ports)
        self.applied.set()

    async def _forget_connections(self, ports: list[rules.ServicePort]) -> None:
        """UDP flows stick to an endpoint by conntrack: those that a change cut off are dropped."""
        if self._ports is None or find_program("conntrack") is None:
            return
        for arguments in conntrack.stale(self._ports, ports):
            await run(["nsenter", f"--net={self._netns}", "conntrack", "-D", *arguments])
