"""ReplicaSets and ReplicationControllers: as many pods as wanted, no more, no less.

https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/ ("Scaling a ReplicaSet": who goes first).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import NamedTuple

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.pod_control import (
    OwnerKind,
    PodControl,
    claim,
    dependents_of,
    from_template,
    in_growing_batches,
)
from heeler.controllers.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, meta, name_of
from heeler.workloads import owners, pods

#: So many pods are made or deleted in one step at most.
BURST = 500
#: Changes of sets with so many pods are gathered, so long.
GATHER_FROM = 20
GATHER_SECONDS_A_POD = 0.0002
MAX_GATHER_SECONDS = 5.0
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class Flavour:
    """What differs between the two kinds."""

    resource: GroupVersionResource
    kind: str
    component: str
    counts_terminating: bool

    def selector(self, obj: Object) -> selectors.LabelSelector:
        found = obj["spec"].get("selector")
        return selectors.of_object(found) if self.kind == "ReplicaSet" else selectors.of_map(found)


REPLICA_SET = Flavour(REPLICA_SETS, "ReplicaSet", "replicaset-controller", True)
REPLICATION_CONTROLLER = Flavour(REPLICATION_CONTROLLERS, "ReplicationController", "replication-controller", False)


class Plan(NamedTuple):
    create: int
    delete: list[Object]


def plan(wanted: int, active: Sequence[Object], related: Sequence[Object], now: float) -> Plan:
    """How many pods to make, or which to delete. `related` are the active pods of all sets of the same owner."""
    missing = wanted - len(active)
    if missing >= 0:
        return Plan(min(missing, BURST), [])
    count = min(-missing, BURST)
    if count >= len(active):
        return Plan(0, list(active))
    return Plan(0, deletion_order(active, related, now)[:count])


def deletion_order(active: Sequence[Object], related: Sequence[Object], now: float) -> list[Object]:
    """Pods, those that are missed least first."""
    crowd: dict[str, int] = {}
    for pod in related:
        node = pods.node_name(pod)
        crowd[node] = crowd.get(node, 0) + 1
    ranks = {meta(pod)["uid"]: crowd.get(pods.node_name(pod), 0) for pod in active}

    def compare(left: Object, right: Object) -> int:
        for a, b in zip(_early(left, ranks), _early(right, ranks), strict=True):
            if a != b:
                return -1 if a < b else 1
        if pods.is_ready(left) and pods.is_ready(right):
            order = _by_age(pods.ready_since(left), pods.ready_since(right), left, right, now)
            if order:
                return order
        restarts = pods.restarts(left), pods.restarts(right)
        if restarts[0] != restarts[1]:
            return -1 if restarts[0] > restarts[1] else 1
        return _by_age(_created(left), _created(right), left, right, now)

    return sorted(active, key=cmp_to_key(compare))


def _early(pod: Object, ranks: dict[str, int]) -> tuple[int, ...]:
    """What counts before age: without a node, not running, not ready, cheap, many on one node."""
    return (
        1 if pods.node_name(pod) else 0,
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(pods.phase(pod), 2),
        1 if pods.is_ready(pod) else 0,
        deletion_cost(pod),
        -ranks[meta(pod)["uid"]],
    )


def deletion_cost(pod: Object) -> int:
    """The annotation's value; what is no number counts as 0."""
    text = (meta(pod).get("annotations") or {}).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _created(obj: Object) -> float | None:
    text = meta(obj).get("creationTimestamp")
    return parse_rfc3339(text) if text else None


def _by_age(a: float | None, b: float | None, left: Object, right: Object, now: float) -> int:
    """The younger one first; ages of the same power of two are taken for equal and the uid decides."""
    if a == b:
        return 0
    if a is None or b is None:
        return -1 if a is None else 1
    difference = _magnitude(now - a) - _magnitude(now - b)
    if difference:
        return -1 if difference < 0 else 1
    return -1 if meta(left)["uid"] < meta(right)["uid"] else 1


def _magnitude(age: float) -> int:
    return -1 if age <= 0 else int(math.log2(max(1.0, age * 1e9)))


def status(
    obj: Object, active: Sequence[Object], terminating: int | None, now: float, failure: tuple[str, str] | None
) -> Object:
    """The status for these pods. `failure` is (reason, message) of a pod that could not be made or deleted."""
    old = obj.get("status") or {}
    template = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
    min_ready = obj["spec"].get("minReadySeconds") or 0
    labelled = sum(template.items() <= labels_of(pod).items() for pod in active)
    ready = [pod for pod in active if pods.is_ready(pod)]
    out: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": labelled,
        "readyReplicas": len(ready),
        "availableReplicas": sum(pods.is_available(pod, min_ready, now) for pod in ready) if min_ready else len(ready),
    }
    out = {key: value for key, value in out.items() if value or key == "replicas"}
    if terminating is not None:
        out["terminatingReplicas"] = terminating
    out["observedGeneration"] = meta(obj).get("generation") or 0
    conditions = [c for c in old.get("conditions") or () if c.get("type") != "ReplicaFailure"]
    if failure is not None:
        known = pods.condition(obj, "ReplicaFailure")
        fresh = {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": rfc3339(now),
            "reason": failure[0],
            "message": failure[1],
        }
        conditions.append(known if known is not None and known.get("reason") == failure[0] else fresh)
    if conditions:
        out["conditions"] = conditions
    return out


class ReplicaSetController:
    """Shell around `plan` and `status`."""

    def __init__(self, context: Context, flavour: Flavour = REPLICA_SET) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client, self._flavour = context, context.client, flavour
        self._owner = OwnerKind(flavour.resource, flavour.kind)
        self._sets = context.informers.get(flavour.resource)
        self._pods = context.informers.get(PODS)
        self._control = PodControl(self._client, self._pods, context.recorder(flavour.component), self._owner)
        self._pods.add_index("controller", lambda pod: [owners.controller_uid(pod)])
        self._pods.add_index("namespace", lambda pod: [meta(pod).get("namespace", "")])
        self._sets.add_index("controller", lambda obj: [owners.controller_uid(obj)])
        self._sets.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old or {}
        told = old is not None and new is not None and meta(old).get("generation") == meta(new).get("generation")
        # A change of its status mostly is our own.
        self.queue.add_after(key_of(obj), self._pause(obj["metadata"]["uid"]) if told else 0.0)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            ref = owners.controller_of(pod)
            if ref is not None and ref.get("kind") == self._flavour.kind:
                key = f"{pod['metadata']['namespace']}/{ref['name']}"
                self.queue.add_after(key, self._pause(ref["uid"]))
        if new is not None and owners.controller_of(new) is None:
            for obj in self._sets.by_index("namespace", new["metadata"]["namespace"]):
                if self._flavour.selector(obj).matches(labels_of(new)):
                    self.queue.add(key_of(obj))

    def _pause(self, uid: str) -> float:
        """A look costs time for each pod: large sets gather changes for a moment instead of looking at each."""
        count = self._pods.count_by_index("controller", uid)
        return 0.0 if count < GATHER_FROM else min(count * GATHER_SECONDS_A_POD, MAX_GATHER_SECONDS)

    async def reconcile(self, key: str) -> None:
        obj = self._sets.get(key)
        if obj is None:
            return
        active = await self._claim(obj)
        now = self._context.clock.time()
        failure: tuple[str, str] | None = None
        error: StatusError | OSError | None = None
        wanted = obj["spec"].get("replicas")
        if "deletionTimestamp" not in obj["metadata"]:
            wanted = 1 if wanted is None else wanted
            related = self._related(obj) if len(active) > wanted else []
            step = plan(wanted, active, related, now)
            made, error, reason = await self._perform(obj, step)
            gone = {meta(pod)["uid"]: None for pod in step.delete} if not error else {}
            active = [pod for pod in active if meta(pod)["uid"] not in gone] + made
            if error is not None:
                failure = (reason, str(error))
            if step.create == BURST and error is None:
                self.queue.add(key)  # there is more to make than one step's
        await self._update_status(obj, active, failure, now)
        if error is not None:
            raise error

    async def _claim(self, obj: Object) -> list[Object]:
        """The set's active pods, after adopting and letting go what it must."""
        candidates = [pod for pod in dependents_of(self._pods, obj) if pods.is_active(pod)]
        selector = self._flavour.selector(obj)
        return await claim(self._client, self._owner, obj, selector, self._pods, candidates, pods.is_active)

    def _related(self, obj: Object) -> list[Object]:
        """Active pods of all sets with the same controller as this one. For a set without one there are none, upstream too:
        where its pods are doesn't count."""
        ref = owners.controller_of(obj)
        if ref is None:
            return []
        found: list[Object] = []
        for other in self._sets.by_index("controller", ref["uid"]):
            found += [p for p in self._pods.by_index("controller", other["metadata"]["uid"]) if pods.is_active(p)]
        return found

    async def _perform(self, obj: Object, step: Plan) -> tuple[list[Object], StatusError | OSError | None, str]:
        """(pods made, first error, its reason)."""
        if step.delete:
            return [], await self._control.delete_all(obj, step.delete), "FailedDelete"
        template = obj["spec"].get("template") or {}
        pod = from_template(template, name_of(obj), self._owner.reference(obj))
        made, error = await in_growing_batches([lambda: self._control.create(obj, pod)] * step.create)
        return made, error, "FailedCreate" if error is not None else ""

    async def _update_status(
        self, obj: Object, active: Sequence[Object], failure: tuple[str, str] | None, now: float
    ) -> None:
        terminating = None
        if self._flavour.counts_terminating:
            mine = self._pods.by_index("controller", obj["metadata"]["uid"])
            terminating = sum(pods.is_terminating(pod) and not pods.is_finished(pod) for pod in mine)
        new = status(obj, active, terminating, now, failure)
        if new != _comparable(obj.get("status") or {}):
            done = await self._client.update(self._flavour.resource, {**obj, "status": new}, subresource="status")
            self._sets.assume(done)
        seconds = obj["spec"].get("minReadySeconds") or 0
        if seconds and new.get("readyReplicas", 0) != new.get("availableReplicas", 0):
            self.queue.add_after(key_of(obj), self._until_available(active, seconds, now))

    @staticmethod
    def _until_available(active: Sequence[Object], seconds: int, now: float) -> float:
        """Seconds until the next ready pod counts as available."""
        waits = [since + seconds - now for pod in active if (since := pods.ready_since(pod)) is not None]
        return min((wait for wait in waits if wait > 0), default=float(seconds)) + 0.01


def _comparable(status: Object) -> Object:
    return {key: value for key, value in status.items() if value or key in ("replicas", "terminatingReplicas")}
