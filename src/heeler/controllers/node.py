"""Nodes that fall silent: their conditions become Unknown, taints follow conditions, pods are no longer ready.

Eviction is the work of `taint_eviction`. https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from __future__ import annotations

from dataclasses import dataclass

from heeler.base.clock import rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.node_plan import labels, sign_of_life, taints, unheard
from heeler.controllers.resources import LEASES, NODES, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, name_of
from heeler.workloads import pods

LEASE_NAMESPACE = "kube-node-lease"


@dataclass(slots=True)
class _Health:
    sign: tuple[object, ...]
    at: float


class NodeController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("node-controller")
        self._nodes = context.informers.get(NODES)
        self._leases = context.informers.get(LEASES)
        self._pods = context.informers.get(PODS)
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        self._nodes.add_handler(self._node_changed)
        self._health: dict[str, _Health] = {}

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            name = name_of(old)
            self._health.pop(name, None)
            self._event(old, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")
        elif new is not None:
            if old is None:
                name = name_of(new)
                message = f"Node {name} event: Registered Node {name} in Controller"
                self._event(new, "Normal", "RegisteredNode", message)
            self.queue.add(key_of(new))

    def _event(self, node: Object, type: str, reason: str, message: str) -> None:
        # An event about a node names it as its uid too, as kubelets do.
        metadata = {"name": name_of(node), "uid": name_of(node)}
        self._events.record({"kind": "Node", "apiVersion": "v1", "metadata": metadata}, type, reason, message)

    async def run(self) -> None:
        """Look at all nodes every few seconds."""
        for informer in (self._nodes, self._leases, self._pods):
            await informer.wait_synced()
        while True:
            for node in self._nodes:
                if self._silent(node):
                    self.queue.add(key_of(node))
            await self._context.clock.sleep(self._context.settings.node_monitor_period)

    def _silent(self, node: Object) -> bool:
        """Not heard of for the grace period, and not marked yet."""
        name, now = name_of(node), self._context.clock.monotonic()
        sign = sign_of_life(node, self._leases.get(f"{LEASE_NAMESPACE}/{name}"))
        health = self._health.get(name)
        if health is None or health.sign != sign:
            self._health[name] = _Health(sign, now)
            return False
        if now - health.at < self._context.settings.node_monitor_grace_period:
            return False
        ready = pods.condition(node, "Ready")
        return ready is None or ready.get("status") != "Unknown"

    async def reconcile(self, key: str) -> None:
        node = self._nodes.get(key)
        if node is None:
            return
        now = self._context.clock.time()
        if self._silent(node):
            node = await self._mark_unknown(node, now)
        wanted_taints, wanted_labels = taints(node, now), labels(node)
        current = (node.get("spec") or {}).get("taints") or []
        if wanted_taints != current or wanted_labels != labels_of(node):
            spec = {key: value for key, value in (node.get("spec") or {}).items() if key != "taints"}
            if wanted_taints:
                spec["taints"] = wanted_taints
            metadata = {**node["metadata"], "labels": wanted_labels}
            node = await self._client.update(NODES, {**node, "metadata": metadata, "spec": spec})
            self._nodes.assume(node)
        if pods.has_condition(node, "Ready", "Unknown") and self._health.get(name_of(node)) is not None:
            await self._mark_pods(node, now)

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
