"""Gives each node a range of addresses for its pods (`spec.podCIDRs`), where --allocate-node-cidrs asks for it.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/ — Heeler's own nodes
share one network and need none: it is for clusters whose network goes by these ranges.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.node_cidrs import CidrSet
from heeler.controllers.resources import NODES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of


class NodeIpamController:
    """Keys are nodes. Does nothing unless asked to. Raises ValueError for ranges that can't be cut."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, settings = context.client, context.settings
        self._events = context.recorder("cidrAllocator")
        masks = settings.node_cidr_mask_sizes
        self._sets = sets_of(settings.cluster_cidrs, masks) if settings.allocate_node_cidrs else []
        for cidr in settings.service_cidrs:
            for one in self._sets:
                one.occupy(cidr)
        #: Ranges that were taken for a node whose patch isn't known to have arrived.
        self._taken: dict[str, list[str]] = {}
        self._nodes = context.informers.get(NODES)
        if self._sets:
            self._nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        for node, keep in ((old, False), (new, True)):
            for cidr in _ranges_of(node) if node is not None else ():
                for one in self._sets:
                    one.occupy(cidr) if keep else one.release(cidr)
        if new is None:
            for cidr in self._taken.pop(name_of(old or {}), ()):
                for one in self._sets:
                    one.release(cidr)
            for node in self._nodes:  # there is room for one that waits
                if not _ranges_of(node):
                    self.queue.add(key_of(node))
        elif not _ranges_of(new):
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        node = self._nodes.get(key)
        if node is None or _ranges_of(node) or "deletionTimestamp" in meta(node):
            return
        cidrs = self._taken.get(key) or self._take()
        if cidrs is None:
            self._tell(node, "CIDRNotAvailable")
            raise StatusError(507, "", f"no range of pod addresses is left for node {key}")
        self._taken[key] = cidrs
        patch: Object = {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}}
        try:
            done = await self._client.patch(NODES, key, patch, type="application/strategic-merge-patch+json")
        except StatusError as error:
            if error.code == 404:
                return
            self._tell(node, "CIDRAssignmentFailed")
            raise
        self._nodes.assume(done)
        self._taken.pop(key, None)

    def _take(self) -> list[str] | None:
        """A range of each of the cluster's; none is taken if one of them is full."""
        out: list[str] = []
        for one in self._sets:
            cidr = one.take()
            if cidr is None:
                for other, taken in zip(self._sets, out, strict=False):
                    other.release(taken)
                return None
            out.append(cidr)
        return out

    def _tell(self, node: Object, reason: str) -> None:
        name = name_of(node)
        about = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "uid": name}}
        self._events.record(about, "Normal", reason, f"Node {name} status is now: {reason}")


def sets_of(cidrs: Sequence[str], masks: Mapping[int, int]) -> list[CidrSet]:
    """One set for each of the cluster's ranges; `masks` by version of IP. Raises ValueError."""
    if not cidrs:
        raise ValueError("invalid CIDR[0]: <nil> (invalid CIDR address: )")
    return [CidrSet(cidr, masks.get(ipaddress.ip_network(cidr, strict=False).version)) for cidr in cidrs]


def _ranges_of(node: Object) -> list[str]:
    spec = node.get("spec") or {}
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
