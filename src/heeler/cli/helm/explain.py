"""What follows Helm's own error when a value is behind it, and `--explain-value`: where values come from and who reads them.

Nothing of this is printed unless it is wanted: by `--explain`, by `HEELER_EXPLAIN=1`, or because errors go to a terminal
(`HEELER_EXPLAIN=0` turns that off). All goes to standard error, after Helm's words. Values of text aren't shown with errors:
they may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from heeler.cli.helm.extensions import EXPLAIN, EXPLAIN_VALUE
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.values_flags import layers
from heeler.packages.charts import origins
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.origins import MISSING, Path, Provenance, Say
from heeler.packages.charts.render import ReleaseInfo, render_values, sources
from heeler.packages.charts.watching import Read, Watch
from heeler.packages.template.values import GoError

if TYPE_CHECKING:
    from heeler.packages.engine import Lookup
    from heeler.packages.objects import Capabilities

VARIABLE = "HEELER_EXPLAIN"
#: Values that are told of when a line of a template fails that read several.
MAX_OF_A_LINE = 3
#: Lines of rendered text that are shown around a fault, whose line is sometimes told one too low.
LINES_BEFORE, LINES_AFTER = 3, 2
#: Values that are told of with one error, readers of a value that are listed, characters of a value that are shown.
MAX_VALUES, MAX_READERS, MAX_SHOWN = 10, 50, 2000


def wanted(call: Call) -> bool:
    """Is what is behind an error to be told?"""
    said = call.environment.get(VARIABLE, "")
    if call.flags.on(EXPLAIN) or call.flags.many(EXPLAIN_VALUE):
        return True
    return said not in ("0", "false") and (bool(said) or call.errors_terminal)


class Explanation:
    """Of one rendering of a chart whose dependencies are decided. Nothing here raises for what the chart does."""

    def __init__(
        self,
        call: Call,
        chart: Chart,
        config: dict[str, Any],
        release: ReleaseInfo,
        known: Capabilities,
        *,
        lookup: Lookup | None = None,
        lint: bool = False,
    ) -> None:
        self.call, self.chart, self._release, self._known = call, chart, release, known
        self._lookup, self._lint = lookup, lint
        given = [*call.values_before, *layers(call)]
        self.provenance = Provenance(chart, given, own_defaults=not call.flags.on("reuse-values"))
        self.values = render_values(chart, config, lambda *_, **__: None, skip_schema=True)

    def failure(self, error: Exception) -> None:
        """Tell which values an error is about."""
        reads = list(_schema_reads(str(error), self.chart)) if _is_schema(str(error)) else self._reads_before(error)
        if reads:
            self.call.explained.append("The values behind this:")
        for read in reads[:MAX_VALUES]:
            self._tell(read)
        if len(reads) > MAX_VALUES:
            self.call.explained.append(f"  and {len(reads) - MAX_VALUES} more")

    def _reads_before(self, error: Exception) -> list[Read]:
        """What the template read just before it failed, the last first."""
        watch = Watch()
        failed = self._render(watch)
        if failed is None or not watch.recent:
            return []
        last = watch.recent[-1]
        if "nil pointer evaluating" in str(error):
            return [last]
        place = _place_of(failed)
        on_the_line: dict[Path, Read] = {}
        for read in reversed(watch.recent):
            if read.line == place and read.path not in on_the_line:
                on_the_line[read.path] = read
        return list(on_the_line.values())[:MAX_OF_A_LINE] or [last]

    def _render(self, watch: Watch) -> GoError | None:
        """Render with all reads watched; the error that ends it."""
        from heeler.packages import engine

        made = sources(self.chart, self.values, self._release, self._known, watch.values)
        dns = self.call.flags.on("enable-dns")
        try:
            engine.render(made, lookup=self._lookup, lint=self._lint, enable_dns=dns, watch=watch)
        except GoError as error:
            return error
        return None

    def _tell(self, read: Read) -> None:
        value = origins.at(self.values, read.path)
        _, own = self.provenance.chart_of(read.path)
        inner = f".Values.{origins.shown(own)} of its chart" if own != read.path and own else ""
        told = [part for part in (inner, f"read at {read.place}" if read.place else "") if part]
        where = f" ({', '.join(told)})" if told else ""
        title = f"{origins.shown(read.path)}{where}"
        says = self.provenance.says(read.path)
        if value is MISSING:
            self.call.explained.append(f"  {title} is not set")
            if cause := _taken_away(says):
                self.call.explained.append(f"    {cause}")
            else:
                self.call.explained.append("    no values file, flag or default sets it")
            self.call.explained.append(f"    a default could stand in {self.provenance.room(read.path)}")
            return
        self.call.explained.append(f"  {title} is {_kind(value)}")
        winner = self.provenance.winner(read.path, value)
        self.call.explained.append(
            f"    set by {winner.place}" if winner else "    set while charts were brought together"
        )

    def value(self, text: str) -> None:
        """`--explain-value`: the value, each layer that had a say, and who reads it. Raises `HelmError`."""
        try:
            path = origins.parsed(text)
        except ChartError as error:
            raise HelmError(f"invalid argument for --{EXPLAIN_VALUE}: {error}") from None
        lines = self.call.explained
        value = origins.at(self.values, path)
        says = self.provenance.says(path)
        winner = None if value is MISSING else self.provenance.winner(path, value)
        lines.append(f"{origins.shown(path)}: {'not set' if value is MISSING else _text(value)}")
        if value is MISSING:
            lines.append(f"  {_taken_away(says) or 'no values file, flag or default sets it'}")
            lines.append(f"  a default could stand in {self.provenance.room(path)}")
        elif winner is None:
            lines.append("  set while charts were brought together")
        for say in reversed(says):
            role = (
                "set by"
                if say == winner
                else "with"
                if isinstance(value, dict) and isinstance(say.value, dict)
                else "over"
            )
            lines.append(f"  {role} {_said(say, path)}")
        paths = self.provenance.seen_at(path)
        watch = Watch(paths)
        failed = self._render(watch)
        readers = list(dict.fromkeys(read for one in paths for read in watch.readers[one]))
        for read in readers[:MAX_READERS]:
            name = origins.shown(read.path)
            whole = "" if read.path in paths or read.text.endswith(name) else f", {name}"
            lines.append(f"  read at {read.place} by {read.text}{whole}")
        if len(readers) > MAX_READERS:
            lines.append(f"  and at {len(readers) - MAX_READERS} places more")
        if not readers:
            lines.append("  no template reads it" + (" before rendering fails" if failed is not None else ""))


def _said(say: Say, path: Path) -> str:
    """`prod.yaml:3: "1.2"`, with the path where it is another one."""
    other = "" if say.path == path else f", as {origins.shown(say.path)}"
    return f"{say.place}{other}: {_text(say.value)}"


def _taken_away(says: Iterable[Say]) -> str:
    """Why a value isn't there although somebody sets it."""
    for say in reversed(list(says)):
        if say.value is None:
            return f"{say.place} takes it away: {origins.shown(say.path)} is null there"
        if say.above:
            return f"{say.place} leaves no room for it: {origins.shown(say.path)} is {_kind(say.value)} there"
    return ""


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return _text(value)
        case str():
            return "a text" if value else "an empty text"
        case dict():
            return "a map" if value else "an empty map"
        case list():
            return "a list" if value else "an empty list"
    return "a value"


def _text(value: Any) -> str:
    """A value in one line of JSON."""
    from heeler.packages.yaml import json as go_json

    try:
        text = str(go_json.dumps(value))
    except (GoError, RecursionError):
        text = _kind(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


# ---- rendered text that is no YAML -------------------------------------------------------------------------------------------


_LINE = re.compile(r"\bline (\d+): ")


def rendered_lines(files: Mapping[str, str]) -> list[str]:
    """The lines around the first fault of YAML in rendered files; none of a Secret, whose text isn't for terminals."""
    from heeler.packages.charts.manifests import head_of, split

    for path in sorted(files):
        for content in split(files[path]) if files[path].strip() else ():
            try:
                head_of(content, path)
            except ChartError as error:
                match = _LINE.search(str(error))
                if match is None or re.search(r"^kind: *['\"]?Secret", content, re.MULTILINE):
                    return []
                lines, at = content.rstrip().split("\n"), int(match[1])
                around = range(max(1, at - LINES_BEFORE), min(len(lines), at + LINES_AFTER) + 1)
                text = [f"  {number:5} {lines[number - 1]}" for number in around]
                return [f"What {path} has rendered there:", *text]
    return []


# ---- errors ----------------------------------------------------------------------------------------------------------------


def _place_of(error: BaseException) -> str:
    """`app/templates/a.yaml:3`: the innermost place in a template that an error tells of."""
    from heeler.packages.template.execution import ExecError

    place = ""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ExecError):
            place = current.place.rpartition(":")[0]
        current = current.__cause__
    return place


_FAULT = re.compile(r"\s*- at '(/[^']*|)': (.*)")
_NAMED = re.compile(r"'([^']*)'")


def _is_schema(text: str) -> bool:
    from heeler.packages.charts.schema import INTRODUCTION

    return INTRODUCTION in text


def _schema_reads(text: str, chart: Chart) -> Iterable[Read]:
    """The values that schemas don't like."""
    from heeler.packages.charts.schema import INTRODUCTION

    prefixes: Mapping[str, Path] = {
        one.name: tuple(one.values_path.split("."))[1:] for one in reversed(list(chart.walk()))
    }
    prefix: Path = ()
    for line in text.partition(INTRODUCTION)[2].splitlines():
        match = _FAULT.match(line)
        if match is None:
            prefix = prefixes.get(line.removesuffix(":"), prefix)
            continue
        pointer, message = match.groups()
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        path: Path = (*prefix, *(int(step) if step.isdigit() else step for step in steps))
        if message.startswith(("missing propert", "additional propert")):
            for name in _NAMED.findall(message):
                yield Read((*path, name), "", "")
        elif message != "validation failed" and path:
            yield Read(path, "", "")
