"""A rolling update of a StatefulSet or a DaemonSet takes no more pods away than maxUnavailable allows.

Both delete the old pods themselves, and each such deletion of a pod that is available is judged: what is left must be what
the set is to have. What was lost otherwise in the recent past excuses it, and what became available then (the controller's
picture may be older), set clocks (minReadySeconds), a scale that was changed, and for DaemonSets a node on which the pod isn't
wanted any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from heeler.base.clock import EPOCH
from heeler.objects.value import Object, labels_of, name_of, uid_of
from heeler.testing.simulation.invariants.invariant import Invariant, Recent
from heeler.testing.simulation.invariants.replicas import meant_for
from heeler.testing.simulation.world import Step, World
from heeler.workloads import owners, pods, rollout

GENERATION_LABEL, GENERATION_ANNOTATION = "pod-template-generation", "deprecated.daemonset.template.generation"


@dataclass(frozen=True, slots=True)
class _Kind:
    """`places`: what is to have a pod: numbers, or nodes; of all of the set's pods, those that go among them.
    `place`: the pod's. `least`: of so many places, those that must have an available pod. `replaced`: did the pod go by
    an update?
    """

    kind: str
    plural: str
    controller: str
    places: Callable[[World, Object, Sequence[Object]], set[str]]
    place: Callable[[Object], str]
    least: Callable[[Object, int], int]
    replaced: Callable[[World, Object, Object], bool]


def _number(pod: Object) -> str:
    return name_of(pod).rpartition("-")[2]


def _numbers(world: World, owner: Object, found: Sequence[Object]) -> set[str]:
    first = int((owner["spec"].get("ordinals") or {}).get("start") or 0)
    return {str(number) for number in range(first, first + int(owner["spec"].get("replicas", 1)))}


def _least_numbers(spec: Object, wanted: int) -> int:
    limit = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable")
    return wanted - max(1, rollout.scaled(1 if limit is None else limit, wanted, round_up=False))


def _nodes(world: World, owner: Object, found: Sequence[Object]) -> set[str]:
    return {node for pod in found if world.node(node := meant_for(pod)) is not None}


def _least_nodes(spec: Object, wanted: int) -> int:
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    return wanted - rollout.scaled(rolling.get("maxUnavailable"), wanted, round_up=True)


def _is_old_daemon(world: World, owner: Object, pod: Object) -> bool:
    """Of an older template, on a node that wants it still."""
    present = (owner["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION)
    node = world.node(meant_for(pod))
    if labels_of(pod).get(GENERATION_LABEL) == present or node is None:
        return False
    spec, template = node.get("spec") or {}, owner["spec"]["template"].get("spec") or {}
    chosen = template.get("nodeSelector") or {}
    return not spec.get("taints") and all(labels_of(node).get(key) == value for key, value in chosen.items())


_STATEFUL_SETS = _Kind(
    "StatefulSet",
    "statefulsets",
    "statefulset-controller",
    _numbers,
    _number,
    _least_numbers,
    lambda world, owner, pod: _number(pod) in _numbers(world, owner, ()),
)
_DAEMON_SETS = _Kind(
    "DaemonSet", "daemonsets", "daemon-set-controller", _nodes, meant_for, _least_nodes, _is_old_daemon
)


class _Rolling:
    def __init__(self, kind: _Kind) -> None:
        self._kind = kind
        self._specs = Recent()
        #: when a pod of a set was last lost by anything but its controller, by the set's uid.
        self._lost: dict[str, float] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == self._kind.plural:
            self._specs.see(world, step)
            return
        if (owners.controller_of(step.obj) or {}).get("kind") != self._kind.kind or not _works(step.old):
            return
        if _works(step.new):
            return
        if step.by(self._kind.controller):
            yield from self._judge(world, step)
        else:
            self._lost[owners.controller_uid(step.obj)] = step.at

    def _judge(self, world: World, step: Step) -> Iterator[str]:
        owner, kind = world.by_uid(owners.controller_uid(step.obj)), self._kind
        if owner is None or step.old is None or not kind.replaced(world, owner, step.old):
            return
        uid = uid_of(owner)
        if step.at - self._lost.get(uid, float("-inf")) <= world.lag:
            return
        key = f"/registry/apps/{kind.plural}/{owner['metadata']['namespace']}/{name_of(owner)}"
        specs = [spec for spec in self._specs.specs(world, key, step.at) if spec["uid"] == uid]
        if not specs or len({spec.get("replicas", 1) for spec in specs}) > 1:
            return
        wait, now = max(int(spec.get("minReadySeconds") or 0) for spec in specs), EPOCH + step.at
        since = pods.ready_since(step.old)
        if since is None or since + wait > now - world.lag:
            return  # it isn't available, or that may not be known yet
        mine = world.of(uid, "pods")
        places = kind.places(world, owner, [*mine, step.old])
        left = {kind.place(pod) for pod in mine if pods.is_active(pod) and pods.is_available(pod, wait, now)} & places
        least = min(kind.least(spec, len(places)) for spec in specs)
        if kind.place(step.old) not in left and len(left) < least:
            yield f"leaves its {kind.kind} {len(left)} available pods of {len(places)}, {least} at least must be"


def _works(pod: Object | None) -> bool:
    return pod is not None and pods.is_ready(pod) and pods.is_active(pod)


def _invariant(kind: _Kind) -> Invariant:
    name = f"an update of a {kind.kind} takes no more pods away than maxUnavailable allows"
    return Invariant(name, (kind.plural, "pods"), lambda: _Rolling(kind), frozenset({"straggling", "set-clock"}))


INVARIANTS = (_invariant(_STATEFUL_SETS), _invariant(_DAEMON_SETS))
