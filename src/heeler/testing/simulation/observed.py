"""Watches a run: each write goes into the world, and the invariants look at it; afterwards: has it converged?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heeler.client.faulty import CALLER
from heeler.store.store import Change
from heeler.testing.simulation.convergence import unsettled
from heeler.testing.simulation.faults import Plan
from heeler.testing.simulation.invariants import Checker, Violation, replicas
from heeler.testing.simulation.invariants.invariant import Invariant
from heeler.testing.simulation.plane import Simulation
from heeler.testing.simulation.world import Step, World

#: Told of each write that somebody judges.
Witness = Callable[[Step], None]
#: Seconds between two looks at whether it has converged.
LOOK_SECONDS = 5.0
#: So many of the things that didn't converge are told.
MAX_UNSETTLED = 10


class Observed:
    """Made before the cluster begins; `violations` grow while it runs."""

    def __init__(self, cluster: Simulation, plan: Plan, witnesses: Sequence[Witness] = ()) -> None:
        self.cluster, self.world = cluster, World(plan.lag())
        twice = Invariant("a StatefulSet's pod never runs twice", ("pods",), replicas.twice(cluster.nodes.running))
        self._checker = Checker(plan.features(), (twice,))
        self._witnesses = tuple(witnesses)
        for entry in cluster.store.entries():
            self._look(Change("create", entry.key, entry.value, entry.revision, None), "", judged=False)
        cluster.store.history.listen(self._told)

    @property
    def violations(self) -> list[Violation]:
        return self._checker.violations

    def _told(self, changes: Sequence[Change]) -> None:
        caller = CALLER.get()
        for change in changes:
            self._look(change, caller)

    def _look(self, change: Change, caller: str, *, judged: bool = True) -> None:
        step = self.world.apply(change, self.cluster.clock.monotonic(), caller)
        if step is not None and judged:
            self._checker.look(self.world, step)
            for witness in self._witnesses:
                witness(step)

    async def converged(self, seconds: float) -> float | None:
        """The seconds that it took; None, and violations, when it didn't in this time."""
        began = self.cluster.clock.monotonic()
        while True:
            now = self.cluster.clock.monotonic()
            left = unsettled(self.world, now)
            if not left:
                return now - began
            if now - began >= seconds:
                for text in left[:MAX_UNSETTLED]:
                    subject, _, what = text.partition(": ")
                    self.violations.append(Violation(now, "everything converges once faults stop", subject, what))
                return None
            await self.cluster.clock.sleep(LOOK_SECONDS)
