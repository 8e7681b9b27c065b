"""Who owns pods makes no more of them than wanted: ReplicaSets, DaemonSets (one a node), StatefulSets (in order, each once).

Creations are judged. A ReplicaSet and a DaemonSet count what they have, so lost answers make them create one too many,
which they take back: upstream's do that too. A StatefulSet's pods have names, so nothing excuses two of a name that run at
once, but a person who says that a machine is gone which isn't (nobody here does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from heeler.objects.value import Object, name_of
from heeler.testing.simulation.invariants.invariant import LOST_WRITES, Check, Invariant, Memory, Recent
from heeler.testing.simulation.world import Step, World
from heeler.workloads import owners, pods, rollout

#: What runs where whatever the API server knows: `namespace/name` by uid, by node (`SimulatedNodes.running`).
Running = Callable[[], Mapping[str, Mapping[str, str]]]


class _Sets:
    def __init__(self) -> None:
        self._specs = Recent()

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural == "replicasets":
            self._specs.see(world, step)
            return
        if step.old is not None or not step.by("replicaset-controller"):
            return
        uid = owners.controller_uid(step.obj)
        owner = world.by_uid(uid)
        if owner is None:
            return
        active = sum(pods.is_active(p) for p in world.of(uid, "pods"))
        key = f"/registry/apps/replicasets/{owner['metadata']['namespace']}/{name_of(owner)}"
        most = max((int(s.get("replicas", 1)) for s in self._specs.specs(world, key, step.at)), default=active)
        if active > most:
            yield f"is one of {active} active pods of a ReplicaSet of {most}"


def _daemons(world: World, step: Step) -> Iterator[str]:
    if step.old is not None or not step.by("daemon-set-controller"):
        return
    uid, node = owners.controller_uid(step.obj), meant_for(step.obj)
    owner = world.by_uid(uid)
    if owner is None:
        return
    strategy = owner["spec"].get("updateStrategy") or {}
    surge = rollout.scaled((strategy.get("rollingUpdate") or {}).get("maxSurge"), 1, round_up=True)
    there = [p for p in world.of(uid, "pods") if pods.is_active(p) and meant_for(p) == node]
    if len(there) > 1 + min(surge, 1):
        yield f"is one of {len(there)} pods of a DaemonSet on node {node}"


def meant_for(pod: Object) -> str:
    """The node of a DaemonSet's pod, bound or not."""
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in affinity.get("nodeSelectorTerms") or ():
        for found in term.get("matchFields") or ():
            if found.get("key") == "metadata.name":
                return str(found["values"][0])
    return pods.node_name(pod)


class _Order:
    """Ordinal i is made only when all below it are ready (or were in the recent past: the controller's picture may be old)."""

    def __init__(self) -> None:
        self._ready: dict[str, Memory[bool]] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.plural != "pods" or (owners.controller_of(step.obj) or {}).get("kind") != "StatefulSet":
            return
        ready = step.new is not None and pods.is_ready(step.new) and not pods.is_terminating(step.new)
        self._ready.setdefault(step.key, Memory()).put(step.at, ready, world.lag)
        if step.old is not None or not step.by("statefulset-controller"):
            return
        owner = world.by_uid(owners.controller_uid(step.obj))
        if owner is None or owner["spec"].get("podManagementPolicy") == "Parallel":
            return
        first = int((owner["spec"].get("ordinals") or {}).get("start") or 0)
        head, ordinal = step.key.rsplit("-", 1)
        for below in range(first, int(ordinal)):
            memory = self._ready.get(f"{head}-{below}")
            if memory is None or not any(memory.values(step.at, world.lag)):
                yield f"was made before {name_of(owner)}-{below} was ready"
                return


def twice(running: Running) -> Callable[[], Check]:
    """No pod of a StatefulSet runs on two nodes at once."""

    def check(world: World, step: Step) -> Iterator[str]:
        if step.new is None or pods.phase(step.new) != "Running" or (step.old and pods.phase(step.old) == "Running"):
            return
        if (owners.controller_of(step.new) or {}).get("kind") != "StatefulSet":
            return
        name = f"{step.new['metadata']['namespace']}/{name_of(step.new)}"
        where = [node for node, found in running().items() if name in found.values()]
        if len(where) > 1:
            yield f"runs on {' and '.join(where)} at once"

    return lambda: check


INVARIANTS = (
    Invariant("a ReplicaSet makes no more pods than it wants", ("replicasets", "pods"), _Sets, LOST_WRITES),
    Invariant("a DaemonSet has at most one pod on a node", ("pods",), lambda: _daemons, LOST_WRITES),
    Invariant("a StatefulSet starts its pods in order", ("pods",), _Order, frozenset({"straggling"})),
)
