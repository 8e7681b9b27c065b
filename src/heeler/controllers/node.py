"""Nodes that fall silent: their conditions become Unknown, taints follow conditions, pods are no longer ready.

Taints that keep the scheduler away come at once; those that drive pods off as fast as the node's zone allows
(`node_zones`). Eviction is the work of `taint_eviction`. https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from heeler.base.clock import rfc3339
from heeler.base.tasks import later
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.node_plan import (
    evicted_by,
    evicting,
    labels,
    sign_of_life,
    taints,
    unheard,
    with_eviction,
)
from heeler.controllers.node_zones import Change, Zones, count, zone_of
from heeler.controllers.resources import LEASES, NODES, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, name_of
from heeler.workloads import pods

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
#: Nodes that die together are looked at together.
SHORTEST_WAIT_SECONDS = 0.05


@dataclass(slots=True)
class _Health:
    sign: tuple[object, ...]
    at: float


class NodeController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client, self._settings = context, context.client, context.settings
        self._events = context.recorder("node-controller")
        self._nodes = context.informers.get(NODES)
        self._leases = context.informers.get(LEASES)
        self._pods = context.informers.get(PODS)
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        self._nodes.add_handler(self._node_changed)
        self._health: dict[str, _Health] = {}
        self._zones = Zones(self._settings.eviction)
        #: Nodes whose pods are to leave, in the order in which they died, and those whose turn it is.
        self._dying: dict[str, None] = {}
        self._given_up: dict[str, None] = {}
        self._wake = asyncio.Event()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            name = name_of(old)
            self._forget(name)
            self._event(old, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")
        elif new is not None:
            if old is None:
                name = name_of(new)
                message = f"Node {name} event: Registered Node {name} in Controller"
                self._event(new, "Normal", "RegisteredNode", message)
            self.queue.add(key_of(new))

    def _forget(self, name: str) -> None:
        self._health.pop(name, None)
        self._dying.pop(name, None)
        self._given_up.pop(name, None)

    def _event(self, node: Object, type: str, reason: str, message: str) -> None:
        # An event about a node names it as its uid too, as kubelets do.
        metadata = {"name": name_of(node), "uid": name_of(node)}
        self._events.record({"kind": "Node", "apiVersion": "v1", "metadata": metadata}, type, reason, message)

    # looking at all of them

    async def run(self) -> None:
        """Look at all nodes every few seconds, and give dead ones up as fast as their zones allow."""
        for informer in (self._nodes, self._leases, self._pods):
            await informer.wait_synced()
        clock, looked = self._context.clock, float("-inf")
        while True:
            now = clock.monotonic()
            if now >= looked + self._settings.node_monitor_period:
                looked = now
                for node in self._nodes:
                    if self._silent(node):
                        self.queue.add(key_of(node))
                self._update_zones(now)
            wait = looked + self._settings.node_monitor_period - now
            if self._dying:
                self._update_zones(now)
                wait = min(wait, self._give_up(now))
            self._wake.clear()
            timer = later(max(wait, SHORTEST_WAIT_SECONDS), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    def _update_zones(self, now: float) -> None:
        change = self._zones.update(count(self._nodes), now)
        if change is Change.LOST:
            # It is rather us: nodes that were given up are so no longer.
            log.warning("no node is ready any more: pods are left where they are")
            for node in self._nodes:
                if evicted_by(node):
                    self._given_up.pop(name_of(node), None)
                    self._dying[name_of(node)] = None
                    self.queue.add(key_of(node))
        elif change is Change.FOUND:
            for health in self._health.values():
                health.at = now  # nobody was heard for a while: all have the grace period anew

    def _give_up(self, now: float) -> float:
        """Let dead nodes go whose zone allows it; the seconds until the next may."""
        waits = []
        for name in list(self._dying):
            node = self._nodes.get(name)
            if node is None:
                self._dying.pop(name)
                continue
            wait = self._zones.seconds_left(zone_of(node), now)
            if wait == 0:
                self._zones.take(zone_of(node))
                self._dying.pop(name)
                self._given_up[name] = None
                self.queue.add(key_of(node))
            elif wait is not None:
                waits.append(wait)
        return min(waits, default=float("inf"))

    def _silent(self, node: Object) -> bool:
        """Not heard of for the grace period, and not marked yet. One that never said anything may take longer to start."""
        name, now = name_of(node), self._context.clock.monotonic()
        sign = sign_of_life(node, self._leases.get(f"{LEASE_NAMESPACE}/{name}"))
        health = self._health.get(name)
        if health is None or health.sign != sign:
            self._health[name] = _Health(sign, now)
            return False
        ready = pods.condition(node, "Ready")
        settings = self._settings
        grace = settings.node_monitor_grace_period if ready is not None else settings.node_startup_grace_period
        if now - health.at < grace:
            return False
        return ready is None or ready.get("status") != "Unknown"

    # one node

    async def reconcile(self, key: str) -> None:
        node = self._nodes.get(key)
        if node is None:
            return
        now = self._context.clock.time()
        if self._silent(node):
            node = await self._mark_unknown(node, now)
        wanted = self._evicting(node)
        tainted = {**node, "spec": {**(node.get("spec") or {}), "taints": taints(node, now)}}
        spec = {**tainted["spec"], "taints": with_eviction(tainted, wanted, now)}
        if not spec["taints"]:
            del spec["taints"]
        wanted_labels = labels(node)
        if spec != (node.get("spec") or {}) or wanted_labels != labels_of(node):
            metadata = {**node["metadata"], "labels": wanted_labels}
            node = await self._client.update(NODES, {**node, "metadata": metadata, "spec": spec})
            self._nodes.assume(node)
        if pods.has_condition(node, "Ready", "Unknown") and self._health.get(name_of(node)) is not None:
            await self._mark_pods(node, now)

    def _evicting(self, node: Object) -> str:
        """The taint by which pods leave a node now ("" : none). A dead one waits for its turn; one that has a taint of this
        kind already may have the other one at once."""
        name, wanted = name_of(node), evicting(node)
        if not wanted:
            self._dying.pop(name, None)
            self._given_up.pop(name, None)
            return ""
        if name in self._given_up or (evicted_by(node) and name not in self._dying):
            self._given_up[name] = None
            return wanted
        if name not in self._dying:
            self._dying[name] = None
            self._wake.set()
        return ""

    async def _mark_unknown(self, node: Object, now: float) -> Object:
        fresh = unheard(node, now)
        kinds = {c["type"] for c in fresh}
        status = node.get("status") or {}
        others = [c for c in status.get("conditions") or () if c.get("type") not in kinds]
        status = {**status, "conditions": [*others, *fresh]}
        done = await self._client.update(NODES, {**node, "status": status}, subresource="status")
        self._nodes.assume(done)
        self._health[name_of(node)].sign = sign_of_life(done, self._leases.get(f"{LEASE_NAMESPACE}/{name_of(node)}"))
        self._event(node, "Normal", "NodeNotReady", f"Node {name_of(node)} status is now: NodeNotReady")
        return done

    async def _mark_pods(self, node: Object, now: float) -> None:
        """Pods of a dead node are not ready, so that Services leave them out."""
        if not self._is_dead(node):
            return
        for pod in self._pods.by_index("node", name_of(node)):
            if not pods.is_ready(pod):
                continue
            self._events.record(
                {"kind": "Pod", "apiVersion": "v1", **pod}, "Warning", "NodeNotReady", "Node is not ready"
            )
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(now)}
            patch: Object = {"status": {"conditions": [ready]}}
            try:
                done = await self._client.patch(
                    PODS,
                    name_of(pod),
                    patch,
                    pod["metadata"]["namespace"],
                    type="application/strategic-merge-patch+json",
                    subresource="status",
                )
            except StatusError as error:
                if error.code == 404:
                    continue
                raise
            self._pods.assume(done)

    @staticmethod
    def _is_dead(node: Object) -> bool:
        """Unknown since we said so, not since its agent did."""
        reason = (pods.condition(node, "Ready") or {}).get("reason")
        return reason in ("NodeStatusUnknown", "NodeStatusNeverUpdated")
