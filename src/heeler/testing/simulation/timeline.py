"""What a run looked like: how many pods of each workload were ready at what time, how nodes were, and what happened when."""

from __future__ import annotations

from dataclasses import dataclass, field

from heeler.objects.value import Object, name_of, namespace_of
from heeler.testing.simulation.world import Step
from heeler.workloads import owners, pods

#: Changes that are kept of one lane; beyond that every second one is dropped.
MAX_POINTS = 20_000
MAX_MARKS = 20_000


@dataclass(frozen=True, slots=True)
class Point:
    """From `at` (seconds since the run began) on: so many ready, so many wanted."""

    at: float
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened. `kind`: "fault", "action", "broken" or "unmet"; `until`: when it was over."""

    at: float
    until: float
    kind: str
    text: str


@dataclass(slots=True)
class Lane:
    """One workload's, or all nodes', points in order."""

    name: str
    points: list[Point] = field(default_factory=list)

    def put(self, at: float, ready: int, wanted: int) -> None:
        last = self.points[-1] if self.points else None
        if last is not None and (last.ready, last.wanted) == (ready, wanted):
            return
        if last is not None and last.at == at:
            self.points.pop()
        self.points.append(Point(at, ready, wanted))
        if len(self.points) > MAX_POINTS:
            del self.points[1:-1:2]

    def short(self, end: float) -> float:
        """Seconds with fewer ready than wanted."""
        ends = [point.at for point in self.points[1:]] + [end]
        return sum(until - point.at for point, until in zip(self.points, ends) if point.ready < point.wanted)

    def least(self) -> int:
        """The fewest that were ready once all had been."""
        complete = next((i for i, point in enumerate(self.points) if point.ready >= point.wanted > 0), None)
        return 0 if complete is None else min(point.ready for point in self.points[complete:])


#: How a workload says how many it wants and how many are ready: plural -> ((part, field), (part, field)).
_NUMBERS = {
    "deployments": (("spec", "replicas"), ("status", "readyReplicas")),
    "statefulsets": (("spec", "replicas"), ("status", "readyReplicas")),
    "replicasets": (("spec", "replicas"), ("status", "readyReplicas")),
    "daemonsets": (("status", "desiredNumberScheduled"), ("status", "numberReady")),
}
#: Of those that work: how many run, whatever they want.
_RUNNING = {"jobs": "active", "cronjobs": "active"}


class Timeline:
    """A witness of a run (`observed.py`)."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.marks: list[Mark] = []
        self.nodes = Lane("nodes")
        self._nodes: dict[str, bool] = {}

    def __call__(self, step: Step) -> None:
        if step.plural == "nodes":
            self._node(step)
        elif step.plural in _NUMBERS or step.plural in _RUNNING:
            if owners.controller_of(step.obj) is None:
                self._workload(step)

    def _node(self, step: Step) -> None:
        if step.new is None:
            self._nodes.pop(name_of(step.obj), None)
        else:
            self._nodes[name_of(step.obj)] = pods.is_ready(step.new)
        self.nodes.put(step.at, sum(self._nodes.values()), len(self._nodes))

    def _workload(self, step: Step) -> None:
        name = f"{step.plural[:-1]} {namespace_of(step.obj)}/{name_of(step.obj)}"
        lane = self.lanes.setdefault(name, Lane(name))
        if step.new is None:
            lane.put(step.at, 0, 0)
        elif step.plural in _RUNNING:
            running = (step.new.get("status") or {}).get(_RUNNING[step.plural]) or 0
            number = running if isinstance(running, int) else len(running)
            lane.put(step.at, number, number)
        else:
            wanted, ready = (_number(step.new, *where) for where in _NUMBERS[step.plural])
            lane.put(step.at, ready, wanted)

    def mark(self, at: float, kind: str, text: str, until: float | None = None) -> None:
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(at, at if until is None else until, kind, text))


def _number(obj: Object, part: str, name: str) -> int:
    found = (obj.get(part) or {}).get(name)
    return int(found) if found is not None else (1 if part == "spec" else 0)
