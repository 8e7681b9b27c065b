"""Where values come from: which values file and line, which flag, which chart's defaults, which import.

A `Layer` is one that has a say: a tree of values at a place in the whole. `Provenance.says(path)` lists what layers say about
a path, the one that counts last; it looks at the same files as `values.py` and follows the same order, and where the two
disagree the value decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.values import GLOBAL, Table, read_values
from heeler.packages.yaml.positions import Positions

#: Steps from the root of all values: keys, and indexes of lists.
Path = tuple[str | int, ...]

MISSING: Final = object()


@dataclass(slots=True)
class Layer:
    """`label` names it (`prod.yaml`, `--set number 2`); `tree` is what it says from `prefix` on, `text` its file."""

    label: str
    tree: Table
    text: bytes | None = None
    prefix: Path = ()
    positions: Positions | None = field(default=None, repr=False)

    def place(self, path: Path) -> str:
        """`prod.yaml:3` for a path of its own."""
        if self.text is None:
            return self.label
        if self.positions is None:
            self.positions = Positions(self.text)
        line = self.positions.line(path)
        return self.label if line is None else f"{self.label}:{line}"


@dataclass(frozen=True, slots=True)
class Say:
    """What a layer says of a path: a `value`, where that stands (`place`), and under which path, where that is another one.

    `above`: it says it of something above the path, which leaves no room for it.
    """

    place: str
    value: Any
    path: Path
    above: bool = False


def shown(path: Sequence[str | int]) -> str:
    """`image.tag`, `hosts[0].name`; dots of keys are escaped, as `--set` has them."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            out += ("." if out else "") + step.replace("\\", "\\\\").replace(".", "\\.")
    return out


def parsed(text: str) -> Path:
    """The path that a text like `hosts[0].name` means. Raises `ChartError`."""
    steps: list[str | int] = []
    key, at, open_key = "", 0, True
    text = text.removeprefix(".Values.").removeprefix(".")
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\" and at < len(text):
            key, at = key + text[at], at + 1
        elif char == ".":
            if open_key:
                steps.append(key)
            key, open_key = "", True
        elif char == "[":
            end = text.find("]", at)
            if end < 0 or not text[at:end].isdigit():
                raise ChartError(
                    f"{text!r} is no path of a value: an index in brackets is expected, as in hosts[0].name"
                )
            if open_key:
                steps.append(key)
            steps.append(int(text[at:end]))
            key, at, open_key = "", end + 1, False
        else:
            key += char
    if open_key:
        steps.append(key)
    if "" in steps:
        raise ChartError(f"{text!r} is no path of a value: names parted by dots are expected, as in image.tag")
    return tuple(steps)


def at(values: Any, path: Sequence[str | int]) -> Any:
    """What stands at a path; `MISSING` where there is nothing."""
    for step in path:
        values = _below(values, step)
    return values


def _below(values: Any, step: str | int) -> Any:
    if isinstance(values, dict) and isinstance(step, str):
        return values.get(step, MISSING)
    if isinstance(values, list) and isinstance(step, int) and step < len(values):
        return values[step]
    return MISSING


@dataclass(frozen=True, slots=True)
class _Import:
    """`chart` imports what stands at `child` of the chart `source` to `target`; all but `child` are paths from the root."""

    chart: Path
    target: Path
    source: Path
    child: Path
    place: str


class Provenance:
    """Of the values of a chart whose dependencies are decided, and of the caller's `given` layers, the strongest last."""

    def __init__(self, chart: Chart, given: Sequence[Layer], *, own_defaults: bool = True) -> None:
        """`own_defaults`: the chart's own values file counts (not with `--reuse-values`)."""
        self.chart, self._given = chart, list(given)
        self._defaults: list[Layer] = []
        self._imports: list[_Import] = []
        self._gather(chart, ())
        if not own_defaults:
            self._defaults = [layer for layer in self._defaults if layer.prefix]
        # what lies deep says least; what a chart imports says less than its own file
        weak: list[Layer | _Import] = [*self._imports, *self._defaults]
        self._weak = sorted(weak, key=lambda one: -len(one.prefix if isinstance(one, Layer) else one.chart))

    def _gather(self, chart: Chart, prefix: Path) -> None:
        data = next((file.data for file in chart.raw if file.name == "values.yaml"), None)
        if data is not None:
            try:
                tree = read_values(data)
            except ChartError:
                tree = {}
            self._defaults.append(Layer(f"{chart.full_path}/values.yaml", tree, data, prefix))
        for entry in chart.metadata.dependencies:
            for wanted in entry.import_values if entry is not None else ():
                if entry is None or not isinstance(wanted, dict):
                    continue
                child, parent = str(wanted.get("child") or ""), str(wanted.get("parent") or "")
                target = () if parent == "." else tuple(parent.split("."))
                place = f"import-values of {chart.full_path}/Chart.yaml"
                source = (*prefix, entry.name)
                self._imports.append(_Import(prefix, (*prefix, *target), source, tuple(child.split(".")), place))
        for sub in chart.dependencies:
            self._gather(sub, (*prefix, sub.name))

    def chart_of(self, path: Path) -> tuple[Chart, Path]:
        """The deepest chart that sees the path, and the path as it sees it."""
        chart = self.chart
        while path and (sub := next((one for one in chart.dependencies if one.name == path[0]), None)) is not None:
            chart, path = sub, path[1:]
        return chart, path

    def says(self, path: Path) -> list[Say]:
        """What there is to say about a path, the weakest first."""
        found: list[Say] = []
        for one in self._aliases(path):
            found += self._at(one)
        if not found and GLOBAL in path:
            # an empty map of globals is shared with the charts below, whose own defaults then stand in it
            for one in self.seen_at(path)[1:]:
                found += self._at(one)
        return found

    def seen_at(self, path: Path) -> list[Path]:
        """The path, and for globals the same of all charts below, whose templates see it there."""
        chart, own = self.chart_of(path)
        if own[:1] != (GLOBAL,):
            return [path]
        length = len(path) - len(own)
        charts = [tuple(one.values_path.split("."))[1:] for one in chart.walk()]
        return [path, *((*one, *path[length:]) for one in charts if one != path[:length])]

    def _aliases(self, path: Path) -> list[Path]:
        """The path, and the same of charts above where it is about globals: theirs count more."""
        if GLOBAL not in path:
            return [path]
        place = path.index(GLOBAL)
        chart, charts = self.chart, 0
        while charts < place and (sub := next((s for s in chart.dependencies if s.name == path[charts]), None)):
            chart, charts = sub, charts + 1
        if charts != place:
            return [path]
        return [(*path[:length], *path[place:]) for length in range(place, -1, -1)]

    def _at(self, path: Path) -> list[Say]:
        """What is said of exactly this path."""
        found = self._by_default(path, (), ())
        for layer in self._given:
            found += _said(layer, path)
        return found

    def _by_default(self, path: Path, chart: Path, importing: Path) -> list[Say]:
        """What `chart` and those below it say, and what `importing` and those below it import."""
        found: list[Say] = []
        for one in self._weak:
            if isinstance(one, Layer):
                if one.prefix[: len(chart)] == chart:
                    found += _said(one, path)
            elif one.chart[: len(importing)] == importing and path[: len(one.target)] == one.target != path:
                # what is imported doesn't know of the caller's values, nor of those of charts above
                inner = (*one.source, *one.child, *path[len(one.target) :])
                for say in self._by_default(inner, one.chart, one.source)[-1:]:
                    found.append(Say(f"{say.place}, by {one.place}", say.value, say.path, say.above))
        return found

    def winner(self, path: Path, value: Any) -> Say | None:
        """Who set the value that is there; None if nobody did."""
        says = self.says(path)
        matching = [say for say in says if not say.above and say.value == value]
        if matching and not isinstance(value, dict):
            return matching[-1]
        return says[-1] if says else None

    def room(self, path: Path) -> str:
        """Where a default for a path that nobody sets could stand: `app/values.yaml:4, below image`."""
        chart, own = self.chart_of(path)
        label = f"{chart.full_path}/values.yaml"
        layer = next((one for one in self._defaults if one.label == label), None)
        for length in range(len(own) - 1, 0, -1):
            if layer is not None and isinstance(at(layer.tree, own[:length]), dict):
                return f"{layer.place(own[:length])}, below {shown(own[:length])}"
        return label


def _said(layer: Layer, path: Path) -> list[Say]:
    """What a layer says of a path, or of what is above it."""
    if path[: len(layer.prefix)] != layer.prefix:
        return []
    own = path[len(layer.prefix) :]
    here: Any = layer.tree
    for length, step in enumerate(own):
        below = _below(here, step)
        if below is MISSING:
            if isinstance(here, dict) or length == 0:
                return []
            return [Say(layer.place(own[:length]), here, path[: len(layer.prefix) + length], above=True)]
        here = below
    return [Say(layer.place(own), here, path)]
