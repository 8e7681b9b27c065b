"""PodDisruptionBudgets: how many pods may be evicted now; the eviction subresource asks the status for it.

https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from heeler.base.clock import parse_rfc3339
from heeler.client.discovery import Discovery, discover
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from heeler.objects import selectors
from heeler.objects.status import StatusError, qualified
from heeler.objects.value import GroupVersionResource, Object, labels_of, meta, name_of
from heeler.workloads import disruption, owners, pods, rollout

log = logging.getLogger(__name__)

BUDGETS = GroupVersionResource("policy", "v1", "poddisruptionbudgets")
#: How often discovery is asked.
DISCOVERY_SECONDS = 30.0
#: An eviction that was granted must show as a deletion within this time, or it counts no more.
GRANT_SECONDS = 120.0


class Counts(NamedTuple):
    expected: int
    desired: int
    healthy: int

    @property
    def allowed(self) -> int:
        return max(0, self.healthy - self.desired) if self.expected > 0 else 0


def count(spec: Object, members: Sequence[Object], scale: int, granted: dict[str, str], now: float) -> Counts:
    """`scale` is the size that the pods' controllers want together; `granted` are evictions under way (name: when)."""
    healthy = sum(
        pods.is_ready(pod) and not pods.is_terminating(pod) and not _is_granted(pod, granted, now) for pod in members
    )
    most = spec.get("maxUnavailable")
    if most is not None:
        return Counts(scale, max(0, scale - rollout.scaled(most, scale, round_up=True)), healthy)
    least = spec.get("minAvailable")
    if isinstance(least, str):
        return Counts(scale, rollout.scaled(least, scale, round_up=True), healthy)
    return Counts(len(members), int(least or 0), healthy)


def needs_scale(spec: Object) -> bool:
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def _is_granted(pod: Object, granted: dict[str, str], now: float) -> bool:
    since = granted.get(pod["metadata"]["name"])
    return since is not None and parse_rfc3339(since) + GRANT_SECONDS > now


def still_granted(granted: dict[str, str], members: Sequence[Object], now: float) -> dict[str, str]:
    """Evictions that have not shown as deletions yet."""
    waiting = {name_of(pod): None for pod in members if not pods.is_terminating(pod)}
    return {n: at for n, at in granted.items() if n in waiting and parse_rfc3339(at) + GRANT_SECONDS >= now}


def not_deleted(granted: dict[str, str], members: Sequence[Object], now: float) -> list[Object]:
    """Pods whose eviction was granted, but which nobody deleted in time."""
    return [
        pod
        for pod in members
        if not pods.is_terminating(pod)
        and name_of(pod) in granted
        and parse_rfc3339(granted[name_of(pod)]) + GRANT_SECONDS < now
    ]


class DisruptionController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("controllermanager")
        self._budgets = context.informers.get(BUDGETS)
        self._pods = context.informers.get(PODS)
        self._sets = context.informers.get(REPLICA_SETS)
        self._deployments = context.informers.get(DEPLOYMENTS)
        self._known, self._discovered = Discovery([], []), float("-inf")
        self._pods.add_index("namespace", lambda pod: [meta(pod).get("namespace", "")])
        self._budgets.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])
        self._budgets.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        self._pods.add_handler(self._pod_changed)
        for informer in (self._sets, self._deployments, context.informers.get(STATEFUL_SETS)):
            informer.add_handler(self._scaled)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        found = self._budgets.by_index("namespace", (new or old or {})["metadata"]["namespace"])
        for budget in found:
            selector = selectors.of_object(budget["spec"].get("selector"))
            if any(pod is not None and selector.matches(labels_of(pod)) for pod in (old, new)):
                self.queue.add(key_of(budget))

    def _scaled(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old["spec"].get("replicas") == new["spec"].get("replicas"):
            return
        for budget in self._budgets.by_index("namespace", (new or old or {})["metadata"]["namespace"]):
            self.queue.add(key_of(budget))

    async def run(self) -> None:
        """Follow what the server serves: known from the start, and kept while there are budgets."""
        wanted = True
        while True:
            if wanted:
                try:
                    await self._discover()
                except (StatusError, OSError) as error:
                    log.warning("discovery failed: %s", error)
            await self._context.clock.sleep(DISCOVERY_SECONDS)
            wanted = len(self._budgets) > 0

    async def _discover(self) -> None:
        """Ask what is served, unless that was just done: pods whose owner has a kind that nobody serves don't make every look
        ask. A kind that was defined just now is therefore known a little later, as it is upstream."""
        now = self._context.clock.monotonic()
        if now - self._discovered < DISCOVERY_SECONDS:
            return
        before, self._known = self._known, await discover(self._client, self._known)
        self._discovered = now
        if self._known is not before:
            self._look_at_failed()

    def _look_at_failed(self) -> None:
        for budget in self._budgets:
            if (pods.condition(budget, "DisruptionAllowed") or {}).get("reason") == "SyncFailed":
                self.queue.add(key_of(budget))

    async def reconcile(self, key: str) -> None:
        budget = self._budgets.get(key)
        if budget is None or "deletionTimestamp" in budget["metadata"]:
            return
        selector = selectors.of_object(budget["spec"].get("selector"))
        everybody = self._pods.by_index("namespace", budget["metadata"]["namespace"])
        members = [pod for pod in everybody if selector.matches(labels_of(pod))]
        about = {"kind": "PodDisruptionBudget", "apiVersion": "policy/v1", **budget}
        if not members:
            self._events.record(about, "Normal", "NoPods", "No matching pods found")
        now = self._context.clock.time()
        try:
            scale = await self._scale(members) if needs_scale(budget["spec"]) else 0
        except StatusError as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self._events.record(about, "Warning", "CalculateExpectedPodCountFailed", message)
            await self._write(budget, self._failed(budget, str(error), now))
            raise
        if needs_scale(budget["spec"]) and any(owners.controller_of(pod) is None for pod in members):
            self._events.record(about, "Warning", "UnmanagedPods", _unmanaged(budget["spec"].get("selector") or {}))
        granted = (budget.get("status") or {}).get("disruptedPods") or {}
        found = count(budget["spec"], members, scale, granted, now)
        for pod in not_deleted(granted, members, now):
            namespace = budget["metadata"]["namespace"]
            message = f"Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't"  # so upstream
            self._events.record({"kind": "Pod", "apiVersion": "v1", **pod}, "Warning", "NotDeleted", message)
        granted = still_granted(granted, members, now)
        await self._write(budget, self._status(budget, found, granted, now))
        if granted:
            until = min(parse_rfc3339(at) for at in granted.values()) + GRANT_SECONDS
            self.queue.add_after(key, until - now + 0.01)

    async def _scale(self, members: Sequence[Object]) -> int:
        """What the controllers of the pods want together; pods without one don't count."""
        sizes: dict[str, int] = {}
        for pod in members:
            ref = owners.controller_of(pod)
            if ref is not None and ref["uid"] not in sizes:
                uid, size = await self._size(ref, pod["metadata"]["namespace"])
                sizes[ref["uid"]] = 0
                sizes[uid] = size
        return sum(sizes.values())

    async def _size(self, ref: Object, namespace: str) -> tuple[str, int]:
        """(uid, size) of what decides about a pod's controller: a Deployment for its ReplicaSets."""
        if ref["kind"] == "ReplicaSet":
            owner = self._sets.get(f"{namespace}/{ref['name']}")
            up = owners.controller_of(owner) if owner is not None else None
            if up is not None and up["kind"] == "Deployment":
                deployment = self._deployments.get(f"{namespace}/{up['name']}")
                return up["uid"], _replicas(deployment)
            return ref["uid"], _replicas(owner)
        if ref["kind"] == "ReplicationController":
            return ref["uid"], _replicas(await self._client.get(REPLICATION_CONTROLLERS, ref["name"], namespace))
        await self._discover()
        resource = self._known.of_kind(ref["apiVersion"], ref["kind"])
        if resource is None:
            raise StatusError(404, "", f'no matches for kind "{ref["kind"]}" in version "{ref["apiVersion"]}"')
        code, body = await self._client.request("GET", resource.name.path(namespace, ref["name"], "scale"))
        if code != 200:
            told = StatusError.from_status(_status(body), code)
            message = told.message
            if code == 404 and not told.details:
                message = (
                    f"{qualified(resource.name.resource, resource.name.group)} does not implement the scale subresource"
                )
            raise StatusError(code, told.reason, message, told.details)
        return ref["uid"], _replicas(orjson.loads(body))

    def _status(self, budget: Object, found: Counts, granted: dict[str, str], now: float) -> Object:
        generation = meta(budget).get("generation") or 0
        status: Object = {
            "observedGeneration": generation,
            "disruptionsAllowed": found.allowed,
            "currentHealthy": found.healthy,
            "desiredHealthy": found.desired,
            "expectedPods": found.expected,
        }
        if granted:
            status["disruptedPods"] = granted
        status["conditions"] = disruption.counted(budget, found.allowed, now)
        return status

    def _failed(self, budget: Object, message: str, now: float) -> Object:
        status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
        for name in ("currentHealthy", "desiredHealthy", "expectedPods"):
            status.setdefault(name, 0)
        return {**status, "conditions": disruption.conditions(budget, "False", "SyncFailed", message, now, 0)}

    async def _write(self, budget: Object, status: Object) -> None:
        if status == (budget.get("status") or {}):
            return
        done = await self._client.update(BUDGETS, {**budget, "status": status}, subresource="status")
        self._budgets.assume(done)


def _unmanaged(selector: Object) -> str:
    """The warning about pods without a controller."""
    shown = selectors.go_text(selector)
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {shown}) were found to be unmanaged. As a result, the "
        "status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for "
        'these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
    )


def _status(body: bytes) -> Object:
    """The Status of a refusal; an empty one if the answer is none."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _replicas(obj: Object | None) -> int:
    return int(obj["spec"].get("replicas") or 0) if obj is not None else 0
