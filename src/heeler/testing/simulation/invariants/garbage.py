"""What belongs to nobody goes, and nothing else does.

The collector asks the API server (not its copy) whether owners are there before it deletes, so nothing excuses it when it
takes what an owner still has. Foreground: the owner goes last; what was made so late that the collector can't have known
of it is excused. A namespace ends when it is empty; a slow store may let one more in that was let pass before, as upstream's.
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import namespace_of, uid_of
from heeler.testing.simulation.invariants.invariant import Invariant
from heeler.testing.simulation.world import Step, World
from heeler.workloads import owners

COLLECTOR = "generic-garbage-collector"
FOREGROUND = "foregroundDeletion"


def _collected(world: World, step: Step) -> Iterator[str]:
    old, new = step.old, step.new
    if old is None or not step.by(COLLECTOR) or "deletionTimestamp" in old["metadata"]:
        return
    if new is not None and "deletionTimestamp" not in new["metadata"]:
        return
    for ref in owners.references(old):
        owner = world.by_uid(ref["uid"])
        if owner is not None and FOREGROUND not in (owner["metadata"].get("finalizers") or ()):
            yield f"was collected though {ref['kind']} {ref['name']} is there"


class _OwnersLast:
    def __init__(self) -> None:
        self._made: dict[str, float] = {}

    def __call__(self, world: World, step: Step) -> Iterator[str]:
        if step.old is None:
            self._made[step.key] = step.at
        if step.new is not None or step.old is None:
            return
        self._made.pop(step.key, None)
        if FOREGROUND not in (step.old["metadata"].get("finalizers") or ()):
            return
        uid = uid_of(step.old)
        for key, plural in world.owned.get(uid, {}).items():
            one = world.objects[plural][key]
            blocks = any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in owners.references(one))
            if blocks and step.at - self._made.get(key, 0.0) > world.lag:
                yield f"went before {plural} {one['metadata']['name']}, which was to go first"


def _emptied(world: World, step: Step) -> Iterator[str]:
    if step.new is not None or step.old is None:
        return
    name = step.old["metadata"]["name"]
    for plural, found in world.objects.items():
        left = [obj for obj in found.values() if namespace_of(obj) == name]
        if left:
            yield f"ended with {len(left)} {plural} in it ({left[0]['metadata']['name']})"


INVARIANTS = (
    Invariant("nothing is collected that an owner still has", ("*",), lambda: _collected, frozenset({"straggling"})),
    Invariant("an owner that is deleted in the foreground goes last", ("*",), _OwnersLast, frozenset({"straggling"})),
    Invariant("a namespace ends empty", ("namespaces",), lambda: _emptied, frozenset({"slow", "straggling"})),
)
