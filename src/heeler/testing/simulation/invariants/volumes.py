"""A claim and its volume are bound to each other, and to nobody else. Both sides are written by compare-and-swap: always."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import namespace_of, uid_of
from heeler.testing.simulation.invariants.invariant import Invariant
from heeler.testing.simulation.world import Step, World


def _claim(world: World, step: Step) -> Iterator[str]:
    if step.new is None:
        return
    now = step.new["spec"].get("volumeName") or ""
    before = "" if step.old is None else step.old["spec"].get("volumeName") or ""
    if before and now != before:
        yield f"went from volume {before} to {now or 'none'}"
    if now and (step.new.get("status") or {}).get("phase") == "Bound":
        others = [
            c
            for c in world.all("persistentvolumeclaims")
            if c["spec"].get("volumeName") == now and uid_of(c) != uid_of(step.new)
        ]
        bound = [c for c in others if (c.get("status") or {}).get("phase") == "Bound"]
        if bound:
            yield f"shares volume {now} with {namespace_of(bound[0])}/{bound[0]['metadata']['name']}"


def _volume(world: World, step: Step) -> Iterator[str]:
    if step.new is None or step.old is None:
        return
    now = (step.new["spec"].get("claimRef") or {}).get("uid") or ""
    before = (step.old["spec"].get("claimRef") or {}).get("uid") or ""
    if before and now and now != before:
        yield "was given to another claim without being let go"


INVARIANTS = (
    Invariant("a claim keeps its volume, and shares it with nobody", ("persistentvolumeclaims",), lambda: _claim),
    Invariant("a volume belongs to one claim", ("persistentvolumes",), lambda: _volume),
)
