"""Plays a scenario by a seed: what it writes comes to pass in simulated time, and a Result tells what came of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from heeler.apiserver.cache import key_of
from heeler.base.clock import SystemClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, name_of, namespace_of
from heeler.testing.manifests import find_kind
from heeler.testing.simulation import actions, incidents
from heeler.testing.simulation.faults import Incident
from heeler.testing.simulation.invariants import Violation
from heeler.testing.simulation.observed import Observed
from heeler.testing.simulation.plane import Simulation, Told, first_entries, run
from heeler.testing.simulation.scenario import Action, Expectation, Scenario
from heeler.testing.simulation.timeline import Timeline
from heeler.testing.simulation.world import Step, World, plural_of

#: Simulated seconds after the end of a run in which it may still converge.
PATIENCE_SECONDS = 3600.0
#: Seconds between two looks at something that is expected within a time.
LOOK_SECONDS = 1.0
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that wasn't met, when, and what there was instead."""

    at: float
    expectation: Expectation
    found: str

    def __str__(self) -> str:
        return f"{self.expectation}: {self.found}"


@dataclass(slots=True)
class Result:
    """`took`: real seconds; `converged`: simulated seconds after the run's end, None if it didn't."""

    scenario: Scenario
    seed: int
    timeline: Timeline = field(default_factory=Timeline)
    violations: list[Violation] = field(default_factory=list)
    unmet: list[Unmet] = field(default_factory=list)
    failed_actions: list[str] = field(default_factory=list)
    told: Told | None = None
    took: float = 0.0
    converged: float | None = None

    @property
    def broken(self) -> bool:
        return bool(self.violations or self.unmet or self.failed_actions)


#: Told how many simulated seconds have passed, at each write.
Progress = Callable[[float], None]


def play(scenario: Scenario, seed: int, progress: Progress = lambda _: None) -> Result:
    """One run. Raises ValueError where an action names something that the cluster doesn't serve."""
    result, clock = Result(scenario, seed), SystemClock()
    began = clock.monotonic()

    async def story(cluster: Simulation) -> None:
        await _Play(cluster, scenario, result, progress).run()

    result.told = simulate(run(story, seed=seed, nodes=scenario.nodes, entries=first_entries()), SeededRandom(seed + 1))
    result.took = clock.monotonic() - began
    return result


class _Play:
    """One run under way."""

    def __init__(self, cluster: Simulation, scenario: Scenario, result: Result, progress: Progress) -> None:
        self._cluster, self._scenario, self._result = cluster, scenario, result
        self._timeline = result.timeline
        self._plan = scenario.plan_for(SeededRandom(result.seed))
        self._always: dict[str, list[Expectation]] = {}
        #: what the pods of a workload use, those too that come later: by the workload's key in the store.
        self._usage: dict[str, str] = {}
        self._tasks: Tasks | None = None
        self._observed = Observed(
            cluster, self._plan, (self._timeline, self._watch, self._new_pod, lambda step: progress(step.at))
        )
        result.violations = self._observed.violations

    def _key(self, one: Expectation) -> str:
        """Where the store keeps what an expectation is about. Raises ValueError."""
        return self._key_of(one.of, one.namespace)

    def _key_of(self, text: str, namespace: str) -> str:
        resource, _, name = text.partition("/")
        return key_of(find_kind(self._cluster.kinds, resource), namespace, name)

    async def run(self) -> None:
        scenario, cluster = self._scenario, self._cluster
        await self._make()
        for one in scenario.expectations:
            if one.always:
                self._always.setdefault(self._key(one), []).append(one)
        async with Tasks() as tasks:
            self._tasks = tasks
            tasks.spawn(incidents.happen(cluster, self._plan, self._happened), "faults")
            for action in scenario.actions:
                tasks.spawn(self._act(action), f"action {action.verb}")
            for one in scenario.expectations:
                if not one.always:
                    tasks.spawn(self._expect(one), "expectation")
            await cluster.clock.sleep(scenario.seconds - cluster.clock.monotonic())
            await tasks.wait()
        if scenario.converge:
            self._result.converged = await self._observed.converged(PATIENCE_SECONDS)
        for text in cluster.defects.found:
            where = Violation(cluster.clock.monotonic(), "nothing fails with a stack trace", text, "")
            self._result.violations.append(where)
        for violation in self._result.violations:
            self._timeline.mark(
                violation.at, "broken", f"{violation.invariant}: {violation.subject} {violation.message}"
            )
        self._timeline.marks.sort(key=lambda mark: mark.at)

    async def _make(self) -> None:
        """The manifests, as `kubectl apply` would: namespaces that nobody makes are made."""
        objects = self._scenario.objects
        made = {obj["metadata"]["name"] for obj in objects if obj.get("kind") == "Namespace"}
        wanted = {(obj.get("metadata") or {}).get("namespace", ""): None for obj in objects}
        for name in wanted:
            if name not in ("", "default", "kube-system", "kube-public", *made):
                await actions.apply(
                    self._cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
                )
        await actions.apply(self._cluster, objects)

    def _happened(self, at: float, incident: Incident, begins: bool) -> None:
        if begins:
            by = f" by {incident.by:.0f} s" if incident.by else ""
            self._timeline.mark(at, "fault", f"{incident.kind} {incident.target}{by}", at + incident.seconds)

    async def _act(self, action: Action) -> None:
        cluster = self._cluster
        await cluster.clock.sleep(action.at - cluster.clock.monotonic())
        began, done = cluster.clock.monotonic(), str(action)
        if action.verb == "usage":
            self._usage[self._key_of(action.target, action.namespace)] = action.more["is"]
        try:
            await _DO[action.verb](cluster, action)
        except StatusError as error:
            self._result.failed_actions.append(f"{action}: {error}")
            done = f"{action} could not be done"
        self._timeline.mark(began, "action", done, cluster.clock.monotonic())

    async def _expect(self, one: Expectation) -> None:
        cluster, key = self._cluster, self._key(one)
        await cluster.clock.sleep(one.at - cluster.clock.monotonic())
        while (found := _missed(self._observed.world, one, key)) is not None:
            if cluster.clock.monotonic() >= one.at + one.within:
                self._unmet(one, found)
                return
            await cluster.clock.sleep(LOOK_SECONDS)

    def _watch(self, step: Step) -> None:
        """Expectations that hold always: the first time that each doesn't is told."""
        for one in list(self._always.get(step.key, ())):
            if step.at >= one.at and (found := _missed(self._observed.world, one, step.key)) is not None:
                self._always[step.key].remove(one)
                self._unmet(one, found)

    def _new_pod(self, step: Step) -> None:
        """It uses what its workload's pods were said to use."""
        if step.plural != "pods" or step.old is not None or not self._usage or self._tasks is None:
            return
        namespace, labels = namespace_of(step.obj), labels_of(step.obj)
        for key, usage in self._usage.items():
            owner = self._observed.world.objects.get(plural_of(key), {}).get(key)
            if owner is None or namespace_of(owner) != namespace:
                continue
            wanted = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
            if wanted and all(labels.get(name) == value for name, value in wanted.items()):
                self._tasks.spawn(actions.annotate_usage(self._cluster, namespace, name_of(step.obj), usage), "usage")

    def _unmet(self, one: Expectation, found: str) -> None:
        at = self._cluster.clock.monotonic()
        self._result.unmet.append(Unmet(at, one, found))
        self._timeline.mark(at, "unmet", f"expected {one}: {found}")


def _missed(world: World, one: Expectation, key: str) -> str | None:
    """What there is instead of what is expected; None if it is met."""
    obj = world.objects.get(plural_of(key), {}).get(key)
    if one.test in ("exists", "absent"):
        return None if (obj is not None) == (one.test == "exists") else f"it is {'there' if obj else 'absent'}"
    if obj is None:
        return "it is absent"
    value = value_at(obj, one.path)
    match one.test:
        case "is":
            met = value == one.value
        case "at-least":
            met = (value or 0) >= one.value
        case _:
            met = (value or 0) <= one.value
    return None if met else f"it is {value}"


def value_at(obj: Object, path: str) -> Any:
    """The value of `status.conditions[0].type`; None where there is none."""
    found: Any = obj
    for part in _INDEX.sub(r".\1", path).split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _ref(cluster: Simulation, action: Action) -> actions.Ref:
    return actions.ref_of(cluster, action.target, action.namespace)


async def _drain(cluster: Simulation, action: Action) -> None:
    await actions.drain(cluster, action.target, action.more["for"] / 2)
    await cluster.clock.sleep(action.at + action.more["for"] - cluster.clock.monotonic())
    await actions.cordon(cluster, action.target, on=False)


async def _kill_node(cluster: Simulation, action: Action) -> None:
    cluster.nodes.crash(action.target)
    await cluster.clock.sleep(action.more["for"])
    cluster.nodes.revive(action.target)


async def _pause(cluster: Simulation, action: Action) -> None:
    ref = _ref(cluster, action)
    await actions.patch(cluster, ref, {"spec": {"paused": True}})
    await cluster.clock.sleep(action.more["for"])
    await actions.patch(cluster, ref, {"spec": {"paused": None}})


#: What each verb of a scenario does (`scenario.VERBS`).
_DO: dict[str, Callable[[Simulation, Action], Awaitable[Any]]] = {
    "scale": lambda cluster, one: actions.scale(cluster, _ref(cluster, one), one.more["replicas"]),
    "set-image": lambda cluster, one: actions.set_image(cluster, _ref(cluster, one), one.more["image"]),
    "restart": lambda cluster, one: actions.restart(cluster, _ref(cluster, one)),
    "undo": lambda cluster, one: actions.undo(cluster, _ref(cluster, one)),
    "pause": _pause,
    "delete": lambda cluster, one: actions.delete(cluster, _ref(cluster, one), one.more["propagation"]),
    "patch": lambda cluster, one: actions.patch(cluster, _ref(cluster, one), one.more["with"]),
    "usage": lambda cluster, one: actions.use(cluster, _ref(cluster, one), one.more["is"]),
    "drain": _drain,
    "kill-node": _kill_node,
    "apply": lambda cluster, one: actions.apply(cluster, one.more["objects"], one.namespace),
}
