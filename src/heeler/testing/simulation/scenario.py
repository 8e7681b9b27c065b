"""A scenario as a person writes it: nodes, manifests, how long, what goes wrong, what is done when, what is expected. Pure.

    name: A shop over a week-end
    duration: 2 days
    nodes: [{count: 3, cpu: 4, memory: 16Gi}]
    manifests: [shop.yaml]
    faults: {incidents: [{at: 6h, kind: crash-node, target: node-1, for: 10m}]}
    actions: [{at: 8h, scale: deployment/web, replicas: 6}]
    expect: [{at: 9h, of: deployment/web, path: status.readyReplicas, is: 6}]

`read` gives a Scenario, or a ScenarioError that tells every fault with its field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from heeler.base.clock import duration_text
from heeler.base.random import Random
from heeler.kubelet.simulated import Shape
from heeler.objects import yaml_text
from heeler.objects.quantities import QuantityError, parse
from heeler.objects.value import Object
from heeler.testing.manifests import DOCUMENTS, objects_of
from heeler.testing.simulation import faults
from heeler.testing.simulation.disk import Slowness
from heeler.testing.simulation.faults import CLOCKED, KILLED, KIND_NAMES, Incident, Plan
from heeler.testing.simulation.fields import Fields, ScenarioError
from heeler.testing.simulation.plane import CALM, QUICK
from heeler.workloads.usage import told as usage_told

#: A run is no longer than this (seconds), and has no more nodes, actions and incidents.
MAX_SECONDS, MAX_NODES, MAX_THINGS = 370 * 86400.0, 5000, 10_000
#: In the last part of a run nothing goes wrong, so that it can be told whether everything converges.
CALM_SHARE, CALM_SECONDS = 0.1, 1800.0


class Action(NamedTuple):
    """`verb` as in VERBS, what it is done to ("deployment/web", a node, a file), and its other fields."""

    at: float
    verb: str
    target: str
    namespace: str
    more: dict[str, Any]

    def __str__(self) -> str:
        shown = {k: duration_text(v) if isinstance(v, float) else v for k, v in self.more.items() if k != "objects"}
        return " ".join([self.verb, self.target, *(f"{name}={value}" for name, value in shown.items())])


class Expectation(NamedTuple):
    """At a moment (within some seconds from then), or always from a moment on: what a path of an object is."""

    at: float
    within: float
    always: bool
    of: str
    namespace: str
    path: str
    test: str  # "is", "at-least", "at-most", "exists", "absent"
    value: Any

    def __str__(self) -> str:
        what = f"{self.of}{f' {self.path}' if self.path else ''}"
        return f"{what} {self.test}{'' if self.value is None else f' {self.value}'}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`plan` is without the incidents that are drawn: `plan_for` adds them by a seed."""

    name: str
    seconds: float
    seed: int
    nodes: dict[str, Shape]
    objects: tuple[Object, ...]
    plan: Plan
    #: Seconds between drawn incidents on average (0: none), and their kinds.
    every: float
    kinds: tuple[str, ...]
    drawn: bool
    actions: tuple[Action, ...]
    expectations: tuple[Expectation, ...]
    #: Everything must be as it should be at the end.
    converge: bool = True

    def plan_for(self, random: Random) -> Plan:
        """What goes wrong in a run by this seed."""
        plan, names = self.plan, list(self.nodes)
        if self.drawn:
            found = faults.draw(random, names, plan.until)
            plan = replace(plan, weather=found.weather, slowness=found.slowness)
        incidents = list(plan.incidents)
        rows = [row for row in faults.INCIDENTS if row.kind in self.kinds]
        if self.every and rows:
            for _ in range(round(plan.until / self.every)):
                incidents.append(faults.some(random, rows[random.below(len(rows))], names, plan.until))
        return replace(plan, incidents=tuple(sorted(incidents)[:MAX_THINGS]))


class Verb(NamedTuple):
    """An action: whether it is done to a node, and how its other fields are read."""

    node: bool
    read: Callable[[Fields], dict[str, Any]]


def _replicas(fields: Fields) -> dict[str, Any]:
    if "replicas" not in fields:
        fields.wrong("replicas", "is missing: how many there should be")
    return {"replicas": fields.whole("replicas", 0)}


def _image(fields: Fields) -> dict[str, Any]:
    if not fields.text("image"):
        fields.wrong("image", "is missing: the new image")
    return {"image": fields.text("image")}


def _for(fields: Fields) -> dict[str, Any]:
    return {"for": fields.seconds("for", 600.0)}


def _propagation(fields: Fields) -> dict[str, Any]:
    allowed = ("Background", "Foreground", "Orphan")
    return {"propagation": fields.one_of("propagation", allowed, "Background")}


def _usage(fields: Fields) -> dict[str, Any]:
    text = fields.text("is")
    if not usage_told(text):
        fields.wrong("is", f'is {text!r}, where usage like "cpu=250m" or "cpu=1,memory=64Mi" should be')
    return {"is": text}


def _nothing(fields: Fields) -> dict[str, Any]:
    return {}


def _patch(fields: Fields) -> dict[str, Any]:
    value = fields.get("with")
    if not isinstance(value, dict):
        fields.wrong("with", "must be the fields to change, as in a merge patch")
    return {"with": value}


VERBS: dict[str, Verb] = {
    "scale": Verb(False, _replicas),
    "set-image": Verb(False, _image),
    "restart": Verb(False, _nothing),
    "undo": Verb(False, _nothing),
    "pause": Verb(False, _for),
    "delete": Verb(False, _propagation),
    "patch": Verb(False, _patch),
    "usage": Verb(False, _usage),
    "drain": Verb(True, _for),
    "kill-node": Verb(True, _for),
    "apply": Verb(False, _nothing),
}
TESTS = ("is", "at-least", "at-most", "exists", "absent")


def load(path: Path, duration: str = "") -> Scenario:
    """The scenario of a file; a folder, or a file of manifests, is one by itself. `duration`: instead of its own.

    Raises ScenarioError, OSError.
    """
    value: Any = {"name": path.name, "manifests": ["."]}
    folder = path
    if not path.is_dir():
        folder = path.parent
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ScenarioError([f"{path} is no text: {error}"]) from error
        documents = [part for part in DOCUMENTS.split(text) if part.strip()]
        try:
            read_documents = [yaml_text.load(part) for part in documents]
        except yaml_text.YamlError as error:
            raise ScenarioError([f"{path} is no YAML: {error}"]) from error
        value, faults_of_text = read_documents[0] if len(read_documents) == 1 else (None, [])
        if len(read_documents) != 1 or (isinstance(value, dict) and "kind" in value):
            value = {"name": path.stem, "manifests": [path.name]}
        elif faults_of_text:
            raise ScenarioError(faults_of_text)
    if duration and isinstance(value, dict):
        value = {**value, "duration": duration}
    return read(value, folder)


def read(value: Any, folder: Path) -> Scenario:
    """A scenario out of YAML or JSON; paths of manifests are those of `folder`. Raises ScenarioError."""
    found: list[str] = []
    top = Fields(value, "", found)
    seconds = top.seconds("duration", 86400.0)
    if not 0 < seconds <= MAX_SECONDS:
        top.wrong("duration", f"must be more than nothing and at most {MAX_SECONDS / 86400:.0f} days")
        seconds = 86400.0
    nodes = _nodes(top, found)
    objects = [obj for name in top.texts("manifests") for obj in _manifest(top, "manifests", folder, name)]
    plan, every, kinds, drawn = _faults(top.fields("faults"), nodes, seconds)
    actions = [one for fields in top.items("actions") for one in _action(fields, nodes, folder, seconds)]
    scenario = Scenario(
        name=top.text("name", "simulation"),
        seconds=seconds,
        seed=top.whole("seed", 0, most=2**31),
        nodes=nodes,
        objects=tuple(objects),
        plan=plan,
        every=every,
        kinds=kinds,
        drawn=drawn,
        actions=tuple(sorted(actions, key=lambda one: one.at)),
        expectations=tuple(_expectation(fields, seconds) for fields in top.items("expect")),
        converge=top.flag("converge", True),
    )
    top.done()
    if len(actions) > MAX_THINGS:
        found.append(f"actions are {len(actions)}, {MAX_THINGS} at most are allowed")
    if found:
        raise ScenarioError(found)
    return scenario


def _nodes(top: Fields, found: list[str]) -> dict[str, Shape]:
    start, given = top.seconds("pod-start", 2.0), top.get("nodes")
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        given = [{"count": 3 if given is None else given}]
    out: dict[str, Shape] = {}
    for fields in Fields({"nodes": given}, "", found).items("nodes"):
        amounts = (
            ("cpu", _amount(fields, "cpu", "4")),
            ("ephemeral-storage", "100Gi"),
            ("memory", _amount(fields, "memory", "16Gi")),
            ("pods", str(fields.whole("pods", 110, least=1, most=250))),
        )
        labels = fields.fields("labels")
        names = [str(key) for key in fields.get("labels") or {}] if isinstance(fields.get("labels"), dict) else []
        shape = Shape(
            capacity=amounts,
            start=start,
            spread=start / 2,
            stop=1.0,
            labels=tuple((name, labels.text(name)) for name in names),
            pod_network="10.0.0.0/9",
            rejects=True,
        )
        for _ in range(fields.whole("count", 1, least=1, most=MAX_NODES)):
            out[f"node-{len(out)}"] = shape
        fields.done()
    if not 0 < len(out) <= MAX_NODES:
        top.wrong("nodes", f"are {len(out)}, where 1 to {MAX_NODES} should be")
    return out


def _amount(fields: Fields, name: str, default: str) -> str:
    text = fields.text(name, default)
    try:
        parse(text)
    except QuantityError:
        fields.wrong(name, f'is {text!r}, where an amount like "4" or "16Gi" should be')
        return default
    return text


def _manifest(fields: Fields, field: str, folder: Path, name: str) -> list[Object]:
    try:
        return objects_of(folder / name)
    except OSError as error:
        fields.wrong(field, f"names {name}, which can't be read: {error.strerror}")
    except ValueError as error:
        fields.wrong(field, f"names {name}: {error}")
    return []


def _faults(fields: Fields, nodes: dict[str, Shape], seconds: float) -> tuple[Plan, float, tuple[str, ...], bool]:
    calls, watches, disk = fields.fields("calls"), fields.fields("watches"), fields.fields("disk")
    weather = replace(
        CALM,
        refused=calls.share("refused"),
        lost=calls.share("lost"),
        busy=calls.share("busy"),
        failed=calls.share("failed"),
        conflict=calls.share("conflict"),
        straggling=calls.share("straggling"),
        delay=calls.seconds("delay"),
        expired=watches.share("expired"),
        broken=watches.share("broken"),
        late=watches.share("late"),
        lateness=watches.seconds("lateness"),
        stalled=watches.share("stalled"),
        silence=watches.seconds("silence"),
    )
    share, longest = disk.share("slow"), disk.seconds("for", 0.5)
    slowness = Slowness(share, longest) if share else QUICK
    end = seconds - min(CALM_SECONDS, seconds * CALM_SHARE)
    until = fields.seconds("until", end)
    if until > seconds:
        fields.wrong("until", "is after the end of the run")
        until = end
    incidents = [_incident(one, nodes, until) for one in fields.items("incidents")]
    drawn = fields.fields("random")
    every = drawn.seconds("every")
    if every and every < 1:
        drawn.wrong("every", "must be a second or more")
        every = 0.0
    kinds = tuple(drawn.texts("kinds")) or KIND_NAMES
    for kind in kinds:
        if kind not in KIND_NAMES:
            drawn.wrong("kinds", f"has {kind!r}, where any of {', '.join(KIND_NAMES)} should be")
    weathered = drawn.flag("weather")
    for one in (calls, watches, disk, drawn, fields):
        one.done()
    return Plan(weather, slowness, tuple(sorted(incidents)), until), every, kinds, weathered


def _incident(fields: Fields, nodes: dict[str, Shape], until: float) -> Incident:
    kind = fields.one_of("kind", KIND_NAMES)
    allowed = {"kill": KILLED, "set-clock": CLOCKED}.get(kind, tuple(nodes))
    target = fields.text("target")
    if target not in allowed:
        shown = (", ".join(allowed[:8]) or "no node") + (", …" if len(allowed) > 8 else "")
        fields.wrong("target", f"is {target or 'missing'!r}, where one of {shown} should be")
    at, lasts, by = fields.seconds("at"), fields.seconds("for", 60.0), fields.change("by")
    if kind == "set-clock" and not by:
        fields.wrong("by", 'is missing: how far the clock is set, like "10m" or "-30s"')
    if at + lasts > until:
        fields.wrong(
            "at", f"and for end {at + lasts:.0f} s after the beginning, faults end after {until:.0f} s (faults.until)"
        )
    fields.done()
    return Incident(at, kind, target, lasts, by)


def _action(fields: Fields, nodes: dict[str, Shape], folder: Path, seconds: float) -> list[Action]:
    verbs = [verb for verb in VERBS if verb in fields]
    at, every = fields.seconds("at"), fields.seconds("every")
    namespace = fields.text("namespace", "default")
    if len(verbs) != 1:
        fields.wrong("", f"has {' and '.join(verbs) or 'no action'}, where one of {', '.join(VERBS)} should be")
        return []
    verb, target = verbs[0], fields.text(verbs[0])
    more = VERBS[verb].read(fields)
    if verb == "apply":
        more["objects"] = _manifest(fields, "apply", folder, target)
    elif VERBS[verb].node and target not in nodes:
        there = f"there are {next(iter(nodes))} to {list(nodes)[-1]}" if nodes else "there are no nodes"
        fields.wrong(verb, f"names {target!r}, {there}")
    elif not VERBS[verb].node and "/" not in target:
        fields.wrong(verb, f"names {target!r}, where KIND/NAME should be, like deployment/web")
    if at > seconds:
        fields.wrong("at", "is after the end of the run")
    if every and every < 1:
        fields.wrong("every", "must be a second or more")
        every = 0.0
    fields.done()
    moments = [at]
    if every:
        moments = [at + number * every for number in range(min(MAX_THINGS, int((seconds - at) // every) + 1))]
    return [Action(moment, verb, target, namespace, more) for moment in moments]


def _expectation(fields: Fields, seconds: float) -> Expectation:
    tests = [test for test in TESTS if test in fields]
    always, of = fields.flag("always"), fields.text("of")
    at, within = (
        fields.seconds("from" if always else "at", seconds if not always else 0.0),
        fields.seconds("within", 0.0),
    )
    path, namespace = fields.text("path"), fields.text("namespace", "default")
    if "/" not in of:
        fields.wrong("of", f"is {of or 'missing'!r}, where KIND/NAME should be, like deployment/web")
    if len(tests) != 1:
        fields.wrong("", f"has {' and '.join(tests) or 'nothing to hold it against'}: one of {', '.join(TESTS)}")
        tests = ["exists"]
    test, value = tests[0], fields.get(tests[0])
    if test in ("exists", "absent"):
        value = None
    elif not path:
        fields.wrong("path", "is missing: which field, like status.readyReplicas")
    if test in ("at-least", "at-most") and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        fields.wrong(test, f"is {value!r}, where a number should be")
        value = 0
    if at > seconds:
        fields.wrong("at", "is after the end of the run")
    fields.done()
    return Expectation(at, within, always, of, namespace, path, test, value)
