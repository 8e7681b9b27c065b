"""Where pods are put, and who is sent away.

The scheduler counts what it has bound itself, so that nothing but a binding whose answer was lost (it then thinks the
room free) can overcommit a node, here and upstream; a kubelet rejects such a pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import Object, name_of
from heeler.testing.simulation.invariants.invariant import LOST_WRITES, Invariant, Memory
from heeler.testing.simulation.world import Step, World
from heeler.workloads import pods, resources, taints

SCHEDULER = "system:kube-scheduler"


def _fits(world: World, step: Step) -> Iterator[str]:
    """Whatever binds a pod: the node has room for it."""
    name = _bound(step)
    node = world.node(name) if name else None
    if node is None:
        return
    room = resources.amounts((node.get("status") or {}).get("allocatable"))
    living = [p for p in world.pods_on(name) if not pods.is_finished(p)]
    used: dict[str, int] = {"pods": len(living)}
    for pod in living:
        for what, amount in resources.requests(pod).items():
            used[what] = used.get(what, 0) + amount
    for what, amount in used.items():
        if what in room and amount > room[what]:
            yield f"was bound to {name}, whose pods then want {amount} of {what}; it has {room[what]}"


def _bound(step: Step) -> str:
    """The node to which this write binds the pod, or ""."""
    if step.new is None or (step.old is not None and pods.node_name(step.old)):
        return ""
    return pods.node_name(step.new) if step.caller == SCHEDULER else ""


class _Allowed:
    """No pod is bound to a node that has been cordoned or tainted against it for a while."""

    def __init__(self) -> None:
        self._taints: dict[str, Memory[list[Object]]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "nodes":
            found: list[Object] = []
            if step.new is not None:
                found = [t for t in step.new["spec"].get("taints") or () if t["effect"] != "PreferNoSchedule"]
            self._taints.setdefault(name_of(step.obj), Memory()).put(step.at, found, world.lag)
            return
        name = _bound(step)
        if not name or name not in self._taints:
            return
        recent = self._taints[name].values(step.at, world.lag)
        tolerations = step.obj["spec"].get("tolerations") or ()
        if all(taints.untolerated(tolerations, one, ("NoSchedule", "NoExecute")) is not None for one in recent):
            yield f"was bound to {name}, which it doesn't tolerate"


def _preempted(world: World, step: Step) -> Iterator[str]:
    """Whom the scheduler sends away makes room for somebody more important."""
    going = step.old is not None and pods.is_active(step.old) and (step.new is None or pods.is_terminating(step.new))
    if not going or step.caller != SCHEDULER or step.old is None:
        return
    mine = int(step.old["spec"].get("priority") or 0)
    waiting = [p for p in world.all("pods") if not pods.node_name(p) and not pods.is_finished(p)]
    if not any(int(p["spec"].get("priority") or 0) > mine for p in waiting):
        yield "was sent away by the scheduler, though nobody more important waits"


class _Evicted:
    """The controllers of nodes send away only whom a node's taint or absence sends away."""

    def __init__(self) -> None:
        self._reason: dict[str, Memory[bool]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "nodes":
            there = step.new is not None and not any(
                t["effect"] == "NoExecute" for t in step.new["spec"].get("taints") or ()
            )
            self._reason.setdefault(name_of(step.obj), Memory()).put(step.at, not there, world.lag)
            return
        old, new = step.old, step.new
        going = old is not None and pods.is_active(old) and (new is None or pods.is_terminating(new))
        if not going or old is None or not (step.by("node-controller") or step.by("pod-garbage-collector")):
            return
        memory = self._reason.get(pods.node_name(old))
        if memory is not None and not any(memory.values(step.at, world.lag)):
            yield f"was sent away from {pods.node_name(old)} for no reason"


INVARIANTS = (
    Invariant("the scheduler never overcommits a node", ("pods",), lambda: _fits, LOST_WRITES | {"kill-scheduler"}),
    Invariant(
        "no pod is bound to a node that it doesn't tolerate", ("pods", "nodes"), _Allowed, frozenset({"straggling"})
    ),
    Invariant("preemption serves the more important", ("pods",), lambda: _preempted, frozenset({"straggling"})),
    Invariant("pods are sent away from a node for a reason", ("pods", "nodes"), _Evicted, frozenset({"straggling"})),
)
