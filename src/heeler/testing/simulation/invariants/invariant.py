"""What an invariant is: looks at each write of its kinds, and says what is wrong with it.

`excused` names the features of a plan (`Plan.features`) under which upstream breaks it as well, so that it isn't checked;
each file says why. What may break for a moment only is not here but in `convergence.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from heeler.objects.value import Object
from heeler.testing.simulation.world import Step, World

T = TypeVar("T")

Check = Callable[[World, Step], Iterator[str]]

#: A write may have happened though its author was told that it didn't, or may come after its author's death. Whoever
#: creates by a count then creates one too many, here and upstream, and takes it back.
LOST_WRITES = frozenset({"lost", "straggling", "kill-apiserver"})


@dataclass(frozen=True, slots=True)
class Invariant:
    """`make` gives a fresh check for each run, so that a check may remember things."""

    name: str
    kinds: tuple[str, ...]
    make: Callable[[], Check]
    excused: frozenset[str] = field(default=frozenset())


class Memory(Generic[T]):
    """What was true in the recent past: values with the moments until which they held, the present one last."""

    def __init__(self) -> None:
        self._values: list[tuple[float, T]] = []

    def put(self, at: float, value: T, keep: float) -> None:
        """A value holds from now on; those that ended more than `keep` seconds ago are forgotten."""
        if not self._values or self._values[-1][1] != value:
            if self._values:
                self._values[-1] = (at, self._values[-1][1])
            self._values.append((float("inf"), value))
        while self._values and self._values[0][0] < at - keep:
            self._values.pop(0)

    def values(self, at: float, keep: float) -> list[T]:
        return [value for until, value in self._values if until >= at - keep]


class Recent:
    """`Memory` of something by key."""

    def __init__(self) -> None:
        self._of: dict[str, Memory[Object]] = {}

    def see(self, world: World, step: Step) -> None:
        """Remember the object's spec; forgotten some time after it went."""
        if step.new is not None:
            memory = self._of.setdefault(step.key, Memory())
            memory.put(step.at, {"uid": step.new["metadata"]["uid"], **step.new["spec"]}, world.lag)

    def specs(self, world: World, key: str, at: float) -> list[Object]:
        found = self._of.get(key)
        return found.values(at, world.lag) if found is not None else []
