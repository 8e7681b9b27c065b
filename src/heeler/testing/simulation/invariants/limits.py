"""Quotas and disruption budgets.

A quota's account is kept by compare-and-swap, but its controller counts anew off watches that may lag each by itself, and
may so give back what was just taken: late watches excuse it, here and upstream. Without any, too, a count may leave out what
was made in that very moment, as the first one of a new quota, which nobody's account is for before: so much may be too much
until it is counted again.

A budget is judged at each eviction of a ready pod: those that stay ready are as many as the budget wants. Pods that were
lost otherwise in the recent past, and a scale that was changed, excuse it, since the budget's count may be older.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.base.clock import EPOCH
from heeler.objects import selectors
from heeler.objects.quantities import Quantity
from heeler.objects.value import Object, labels_of, namespace_of, uid_of
from heeler.testing.simulation.faults import CLOCK_FORWARD
from heeler.testing.simulation.invariants.invariant import Invariant
from heeler.testing.simulation.world import Step, World
from heeler.workloads import owners, pods, quota, rollout
from heeler.workloads.limits import Amounts, parsed

QUOTA_CONTROLLER = "resourcequota-controller"
GROUPS = {
    "pods": "",
    "services": "",
    "persistentvolumeclaims": "",
    "configmaps": "",
    "deployments": "apps",
    "jobs": "batch",
}


class _Quotas:
    def __init__(self) -> None:
        #: when objects were made, by key, in that order; only those of the recent past.
        self._made: dict[str, float] = {}
        #: what the last count of a quota left out, by the quota's uid.
        self._missed: dict[str, Amounts] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "resourcequotas":
            if step.new is not None and step.by(QUOTA_CONTROLLER):
                self._missed[uid_of(step.new)] = self._recent(world, step.new, step.at)
            return
        if step.old is not None or step.new is None:
            return
        self._forget(step.at - world.lag)
        self._made.pop(step.key, None)  # the newest stand last
        self._made[step.key] = step.at
        for one in world.all("resourcequotas"):
            if namespace_of(one) != namespace_of(step.new) or not _counts(one, step.plural, step.new):
                continue
            hard = parsed((one.get("status") or {}).get("hard"))
            mine = _usage(step.plural, step.new, step.at)
            missed = self._missed.get(uid_of(one), {})
            for name in hard.keys() & mine.keys():
                used = _total(world, one, step.plural, name, step.at)
                most = hard[name] + missed[name] if name in missed else hard[name]
                if mine[name].nano and used > most:
                    yield f"makes {used} of {name}, quota {one['metadata']['name']} has {hard[name]}"

    def _forget(self, before: float) -> None:
        while self._made and next(iter(self._made.values())) < before:
            del self._made[next(iter(self._made))]

    def _recent(self, world: World, one: Object, at: float) -> Amounts:
        """What the quota's account lacks, as far as objects that were just made explain it."""
        self._forget(at - world.lag)
        out: Amounts = {}
        said = parsed((one.get("status") or {}).get("used"))
        for plural in GROUPS:
            objects = [o for key in self._made if (o := world.objects.get(plural, {}).get(key)) is not None]
            fresh = [o for o in objects if namespace_of(o) == namespace_of(one) and _counts(one, plural, o)]
            for name in said:
                most = quota.total((_usage(plural, o, at) for o in fresh), [name])[name]
                lacking = _total(world, one, plural, name, at) - said[name]
                if most.nano and lacking.nano > 0:
                    out[name] = min(most, lacking)
        return out


def _counts(one: Object, plural: str, obj: Object) -> bool:
    return quota.counts(one, GROUPS[plural], plural, obj)


def _usage(plural: str, obj: Object, at: float) -> Amounts:
    # whose clock is ahead may hold for gone already what is about to go
    return quota.usage(GROUPS[plural], plural, obj, EPOCH + at + 2 * CLOCK_FORWARD)


def _total(world: World, one: Object, plural: str, name: str, at: float) -> Quantity:
    """What a kind's objects use of a quota."""
    found = (o for o in world.all(plural) if namespace_of(o) == namespace_of(one) and _counts(one, plural, o))
    return quota.total((_usage(plural, o, at) for o in found), [name])[name]


class _Budgets:
    def __init__(self) -> None:
        #: when a namespace's pods or their numbers last changed otherwise than by eviction.
        self._disturbed: dict[str, float] = {}
        self._wanted: dict[str, tuple[int, float]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural != "pods":
            self._notice_scale(world, step)
            return
        old, new = step.old, step.new
        was = old is not None and pods.is_ready(old) and pods.is_active(old)
        still = new is not None and pods.is_ready(new) and pods.is_active(new)
        if not was or still:
            return
        if not _evicted(step.obj):
            self._disturbed[namespace_of(step.obj)] = step.at
            return
        if step.at - self._disturbed.get(namespace_of(step.obj), float("-inf")) <= world.lag:
            return
        yield from self._judge(world, step)

    def _notice_scale(self, world: World, step: Step) -> None:
        before = None if step.old is None else step.old["spec"]
        after = None if step.new is None else step.new["spec"]
        if before != after:
            self._disturbed[namespace_of(step.obj)] = step.at

    def _judge(self, world: World, step: Step) -> Iterator[str]:
        for budget in world.all("poddisruptionbudgets"):
            spec = budget["spec"]
            if namespace_of(budget) != namespace_of(step.obj) or spec.get("selector") is None:
                continue
            selector = selectors.of_object(spec["selector"])
            if not selector.matches(labels_of(step.obj)):
                continue
            mine = [
                p
                for p in world.all("pods")
                if namespace_of(p) == namespace_of(budget) and selector.matches(labels_of(p))
            ]
            healthy = sum(pods.is_ready(p) and pods.is_active(p) for p in mine)
            least = _least(world, spec, mine)
            if healthy < least:
                yield f"was evicted, which leaves {healthy} of {least} that {budget['metadata']['name']} wants"


def _least(world: World, spec: Object, mine: list[Object]) -> int:
    """How many must stay healthy."""
    if spec.get("minAvailable") is not None and not str(spec["minAvailable"]).endswith("%"):
        return int(spec["minAvailable"])
    expected, seen = 0, dict[str, None]()
    for pod in mine:
        owner = world.by_uid(owners.controller_uid(pod))
        top = owner
        if owner is not None and (above := world.by_uid(owners.controller_uid(owner))) is not None:
            top = above
        if top is not None and uid_of(top) not in seen:
            seen[uid_of(top)] = None
            expected += int(top["spec"].get("replicas", 1))
    if spec.get("minAvailable") is not None:
        return rollout.scaled(spec["minAvailable"], expected, round_up=True)
    return max(0, expected - rollout.scaled(spec.get("maxUnavailable"), expected, round_up=True))


def _evicted(pod: Object) -> bool:
    found = pods.condition(pod, "DisruptionTarget")
    return found is not None and found.get("reason") == "EvictionByEvictionAPI"


INVARIANTS = (
    Invariant(
        "a quota is never exceeded",
        (*GROUPS, "resourcequotas"),
        _Quotas,
        frozenset({"late", "stalled", "delay", "broken", "expired", "slow"}),
    ),
    Invariant(
        "an eviction never violates a disruption budget",
        ("pods", "deployments", "statefulsets", "replicasets", "poddisruptionbudgets"),
        _Budgets,
    ),
)
