"""What must hold at every write, a file an area; `LIST` has all, and `Checker` asks them. A new one is added to its file's
INVARIANTS, or its file to `_AREAS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heeler.testing.simulation.invariants import (
    autoscaling,
    deployments,
    garbage,
    identity,
    jobs,
    limits,
    placement,
    replicas,
    rolling,
    volumes,
)
from heeler.testing.simulation.invariants.invariant import Check, Invariant
from heeler.testing.simulation.world import Step, World

_AREAS = (identity, deployments, rolling, replicas, jobs, limits, placement, volumes, garbage, autoscaling)
LIST: tuple[Invariant, ...] = tuple(one for area in _AREAS for one in area.INVARIANTS)
#: So many are told of; the first is what matters.
MAX_TOLD = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """`at`: seconds since the run began; `subject`: `namespace/name` with its plural, or what didn't converge."""

    at: float
    invariant: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.at:.3f} s: {self.invariant}: {self.subject} {self.message}"


class Checker:
    """Asks each write of those invariants that the plan's features don't excuse."""

    def __init__(self, features: frozenset[str], more: Sequence[Invariant] = ()) -> None:
        self.violations: list[Violation] = []
        self._every: list[tuple[str, Check]] = []
        self._by_kind: dict[str, list[tuple[str, Check]]] = {}
        for one in (*LIST, *more):
            if one.excused & features:
                continue
            check = one.make()
            for kind in one.kinds:
                (self._every if kind == "*" else self._by_kind.setdefault(kind, [])).append((one.name, check))

    def look(self, world: World, step: Step) -> None:
        for name, check in (*self._every, *self._by_kind.get(step.plural, ())):
            for message in check(world, step):
                if len(self.violations) < MAX_TOLD:
                    self.violations.append(Violation(step.at, name, f"{step.plural} {step.name}", message))
