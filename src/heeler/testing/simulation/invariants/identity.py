"""What is true of every object: uids stay, generations grow, what is going doesn't come back, and no status is ahead of its
spec. Of pods: the node stays, and what is over doesn't begin again.

All of it is the API server's (compare-and-swap on every status) and holds whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import uid_of
from heeler.testing.simulation.invariants.invariant import Check, Invariant
from heeler.testing.simulation.world import Step, World, generation, observed
from heeler.workloads import pods

_ORDER = {"": 0, "Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}


def _object(world: World, step: Step) -> Iterator[str]:
    old, new = step.old, step.new
    if new is not None and observed(new) > generation(new):
        yield f"observedGeneration is {observed(new)}, generation {generation(new)}"
    if old is None or new is None:
        return
    if uid_of(old) != uid_of(new):
        yield "another object took its place without a deletion"
    if generation(new) < generation(old):
        yield f"generation went back from {generation(old)} to {generation(new)}"
    if observed(new) < observed(old):
        yield f"observedGeneration went back from {observed(old)} to {observed(new)}"
    if "deletionTimestamp" in old["metadata"] and "deletionTimestamp" not in new["metadata"]:
        yield "its deletion was taken back"


def _pod(world: World, step: Step) -> Iterator[str]:
    old, new = step.old, step.new
    if old is None or new is None:
        return
    before, after = pods.node_name(old), pods.node_name(new)
    if before and before != after:
        yield f"went from node {before} to {after or 'none'}"
    was, now = pods.phase(old), pods.phase(new)
    if _ORDER[now] < _ORDER[was] or (pods.is_finished(old) and was != now):
        yield f"its phase went from {was} to {now}"


def _object_check() -> Check:
    return _object


def _pod_check() -> Check:
    return _pod


INVARIANTS = (
    Invariant("an object keeps its identity, and its generations grow", ("*",), _object_check),
    Invariant("a pod keeps its node, and its life goes forward", ("pods",), _pod_check),
)
