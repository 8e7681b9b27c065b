"""A rolling update stays between maxUnavailable and maxSurge.

Surge is judged where the Deployment's controller decides it: at each write that makes a ReplicaSet larger, the sum of all of
its sets' replicas. Its own writes go by compare-and-swap, so that nothing but a write that arrives after its author's death
can break it. The specs of the recent past count, since the controller may act on an older one.

Unavailability is judged at each write that makes a set smaller: what is available then, less what this takes away, is what
the Deployment must have. Upstream (and here) the controller goes by the sets' status, which may be behind: pods that
died, were evicted or deleted by others in the recent past excuse it, and so do set clocks (minReadySeconds). A change of the
scale does, too: it is shared out among the sets by their sizes, whatever is available in each; a set notes the scale of which
it has its share, so that a change that was made long before anybody acted on it is one as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.base.clock import EPOCH
from heeler.controllers.deployment_plan import desired_annotation
from heeler.objects.value import Object, uid_of
from heeler.testing.simulation.invariants.invariant import Invariant, Recent
from heeler.testing.simulation.world import Step, World
from heeler.workloads import owners, pods, rollout

CONTROLLER = "deployment-controller"
SETS_CONTROLLER = "replicaset-controller"


class _Surge:
    def __init__(self) -> None:
        self._specs = Recent()

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "deployments":
            self._specs.see(world, step)
            return
        grew = step.new is not None and _replicas(step.new) > (_replicas(step.old) if step.old is not None else 0)
        if not grew or not step.by(CONTROLLER):
            return
        owner = world.by_uid(owners.controller_uid(step.obj))
        if owner is None:
            return
        uid = uid_of(owner)
        total = sum(_replicas(one) for one in world.of(uid, "replicasets"))
        specs = [s for s in self._specs.specs(world, _key(owner), step.at) if s["uid"] == uid]
        most = max((_most(spec) for spec in specs), default=total)
        if total > most:
            yield f"its Deployment's sets want {total} pods together, {most} at most are allowed"


def _replicas(one: Object) -> int:
    found = one["spec"].get("replicas")
    return 1 if found is None else int(found)


def _key(owner: Object) -> str:
    return f"/registry/apps/deployments/{owner['metadata']['namespace']}/{owner['metadata']['name']}"


def _most(spec: Object) -> int:
    replicas = int(spec.get("replicas", 1))
    return replicas + rollout.bounds(spec["strategy"], replicas).surge


def _least(spec: Object) -> int:
    replicas = int(spec.get("replicas", 1))
    if spec["strategy"].get("type") != "RollingUpdate":
        return 0
    return replicas - rollout.bounds(spec["strategy"], replicas).unavailable


class _Available:
    def __init__(self) -> None:
        self._specs = Recent()
        #: when a pod of a Deployment was last lost by anything but its ReplicaSet's getting smaller, by the Deployment's uid.
        self._lost: dict[str, float] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "deployments":
            self._specs.see(world, step)
        elif step.plural == "pods":
            self._notice_loss(world, step)
        elif step.new is not None and step.old is not None and _replicas(step.new) < _replicas(step.old):
            yield from self._judge(world, step, step.old)

    def _notice_loss(self, world: World, step: Step) -> None:
        was = step.old is not None and pods.is_ready(step.old) and pods.is_active(step.old)
        still = step.new is not None and pods.is_ready(step.new) and pods.is_active(step.new)
        if was and not still and not step.by(SETS_CONTROLLER):
            one = world.by_uid(owners.controller_uid(step.obj))
            if one is not None and (uid := owners.controller_uid(one)):
                self._lost[uid] = step.at

    def _judge(self, world: World, step: Step, old: Object) -> Iterator[str]:
        owner = world.by_uid(owners.controller_uid(step.obj))
        if owner is None or not step.by(CONTROLLER):
            return
        uid, key = uid_of(owner), _key(owner)
        if step.at - self._lost.get(uid, float("-inf")) <= world.lag:
            return
        specs = [s for s in self._specs.specs(world, key, step.at) if s["uid"] == uid]
        scales = {spec.get("replicas", 1) for spec in specs}
        shared = desired_annotation(old)
        if len(scales if shared is None else scales | {shared}) > 1:
            return
        least = min((_least(spec) for spec in specs), default=0)
        now = EPOCH + step.at
        wait = int(owner["spec"].get("minReadySeconds") or 0)
        before = left = 0
        for one in world.of(uid, "replicasets"):
            mine = world.of(uid_of(one), "pods")
            available = sum(pods.is_active(p) and pods.is_available(p, wait, now) for p in mine)
            left += min(available, _replicas(one))
            before += min(available, _replicas(old if one is step.new else one))
        if left < least and left < before:
            yield f"leaves its Deployment {left} available pods of {before}, {least} at least must be"


INVARIANTS = (
    Invariant(
        "a rollout never has more pods than maxSurge allows",
        ("deployments", "replicasets"),
        _Surge,
        frozenset({"straggling"}),
    ),
    Invariant(
        "a rollout never takes more pods away than maxUnavailable allows",
        ("deployments", "replicasets", "pods"),
        _Available,
        frozenset({"straggling", "set-clock"}),
    ),
)
