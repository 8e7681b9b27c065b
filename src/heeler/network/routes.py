"""Routes to the other nodes' pods, by their address in the fabric that all nodes share. Pure plan, thin apply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from heeler.base.clock import Clock
from heeler.base.processes import ProgramError
from heeler.base.together import together
from heeler.client.client import Client
from heeler.network.follow import Mirror
from heeler.network.links import ip
from heeler.objects.value import GroupVersionResource, Object, name_of

log = logging.getLogger(__name__)

NODES = GroupVersionResource("", "v1", "nodes")


def wanted(nodes: Sequence[Object], own: str) -> dict[str, str]:
    """Pod range -> address of the node that has it, for all other nodes."""
    out: dict[str, str] = {}
    for node in nodes:
        if name_of(node) == own:
            continue
        addresses = (node.get("status") or {}).get("addresses") or []
        inner = next((a["address"] for a in addresses if a.get("type") == "InternalIP" and ":" not in a["address"]), "")
        spec = node.get("spec") or {}
        for cidr in spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else []):
            if inner and ":" not in cidr:
                out[cidr] = inner
    return out


class Routes:
    """Keeps a node's routes in step with the Nodes."""

    def __init__(self, client: Client, clock: Clock, node: str, netns: str) -> None:
        self._node, self._netns, self._clock = node, netns, clock
        self._changed = asyncio.Event()
        self._nodes = Mirror(client, NODES, clock, lambda old, new: self._changed.set(), synced=self._changed.set)
        self._have: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        await together(self._nodes.run(), self._keep())

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._step(wanted(list(self._nodes.items.values()), self._node))

    async def _step(self, fresh: dict[str, str]) -> None:
        # Nodes outside of the fabric (simulated ones) have no reachable address: one bad route must not stop others.
        for cidr, via in fresh.items():
            if self._have.get(cidr) != via:
                try:
                    await ip([f"route replace {cidr} via {via}"], self._netns)
                    self._have[cidr] = via
                except ProgramError as error:
                    log.debug("no route to %s: %s", cidr, error)
        for cidr in [c for c in self._have if c not in fresh]:
            await ip([f"route delete {cidr}"], self._netns, force=True)
            del self._have[cidr]
