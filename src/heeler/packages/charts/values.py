"""Values: reading them, and bringing together a chart's own, its parents' and the caller's.

Two ways of bringing together are in use. *Coalescing* makes what templates see: what the caller sets to null vanishes.
*Merging* keeps such nulls, for values that are coalesced again later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

Table = dict[str, Any]
#: Told of a conflict, in Helm's words.
Warn = Callable[[str], None]

GLOBAL = "global"


def read_values(data: bytes) -> Table:
    """A values file: all of its documents, later ones over earlier ones. Raises `ChartError`."""
    values: Table = {}
    try:
        for document in _documents(data):
            values = merge_maps(values, read.load_map(document))
    except GoError as error:
        raise ChartError(f"cannot unmarshal yaml document: {error}") from None
    return values


def _documents(data: bytes) -> list[str]:
    text = data.decode("utf-8", "surrogateescape")
    if "---" not in text:
        return [text]
    try:
        return list(read.documents(text))
    except GoError as error:
        raise ChartError(f"error reading yaml document: {error}") from None


def merge_maps(one: Table, two: Table) -> Table:
    """`two` over `one`: maps are merged, everything else is replaced."""
    out = dict(one)
    for key, value in two.items():
        if isinstance(value, dict) and isinstance(found := out.get(key), dict):
            out[key] = merge_maps(found, value)
        else:
            out[key] = value
    return out


def copy(value: Any) -> Any:
    """A deep copy of maps and lists; scalars are shared."""
    if type(value) is dict:
        return {key: copy(item) if isinstance(item, dict | list) else item for key, item in value.items()}
    if type(value) is list:
        return [copy(item) for item in value]
    return value


def without_nulls(values: Table) -> Table:
    """A deep copy of a chart's own values: a null there says nothing, so that what lies below counts."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else copy(value)
        for key, value in values.items()
        if value is not None
    }


def table_at(values: Table, path: str) -> Table:
    """The map at a dotted path. Raises `ChartError` where there is none."""
    here: Any = values
    for step in path.split("."):
        found = here.get(step)
        if not isinstance(found, dict):
            raise ChartError(f'"{step}" is not a table')
        here = found
    return here  # type: ignore[no-any-return]


def value_at(values: Table, path: str) -> Any:
    """What stands at a dotted path, a map excepted; `KeyError` where there is nothing."""
    table, _, last = path.rpartition(".")
    try:
        holder = table_at(values, table) if table else values
    except ChartError:
        raise KeyError(path) from None
    found = holder[last]
    if isinstance(found, dict):
        raise KeyError(path)
    return found


def shown(value: Any) -> str:
    """A value as Go's `%v` prints it."""
    from heeler.packages.template.formatting import sprint

    return sprint(value)


class _Joiner:
    """One bringing-together; `merge` keeps nulls."""

    def __init__(self, merge: bool, warn: Warn) -> None:
        self.merge = merge
        self.warn = warn

    def chart(self, chart: Chart, values: Table, prefix: str) -> Table:
        """The caller's `values` over the chart's own and over those of the charts below it, in place."""
        self.own(chart, values, prefix)
        return self.below(chart, values, prefix)

    def own(self, chart: Chart, values: Table, prefix: str) -> None:
        names = {sub.name for sub in chart.dependencies}
        path = f"{prefix}.{chart.name}" if prefix else chart.name
        for key, default in copy(chart.values).items():
            given = values.get(key)
            if given is None and key in values and default is None and not self.merge:
                del values[key]
            elif given is None:
                self.fill(values, key, default)
            elif isinstance(given, dict):
                if isinstance(default, dict):
                    # what a parent says about a chart below isn't final: that chart's own defaults come later
                    inner = _Joiner(self.merge or key in names, self.warn)
                    inner.tables(given, default, f"{path}.{key}")
                elif default is not None:
                    self.warn(f"warning: skipped value for {path}.{key}: Not a table.")

    def fill(self, given: Table, key: str, default: Any) -> None:
        """Take a default where nothing is given; a null that is given takes the default away, if there is one."""
        if key in given:
            if default is not None and not self.merge:
                del given[key]
        elif self.merge:
            given[key] = default
        elif default is not None:
            given[key] = without_nulls(default) if isinstance(default, dict) else default

    def below(self, chart: Chart, values: Table, prefix: str) -> Table:
        path = f"{prefix}.{chart.name}" if prefix else chart.name
        for sub in chart.dependencies:
            given = values.setdefault(sub.name, {})
            if not isinstance(given, dict):
                raise ChartError(f"type mismatch on {sub.name}: {_as_bool(given)}")
            self.globals(given, values, path)
            values[sub.name] = self.chart(sub, given, path)
        return values

    def globals(self, given: Table, values: Table, prefix: str) -> None:
        """The parent's globals over a chart's."""
        own, parents = given.get(GLOBAL, {}), values.get(GLOBAL, {})
        if not isinstance(own, dict):
            self.warn(f"warning: skipping globals because destination {GLOBAL} is not a table.")
            return
        if not isinstance(parents, dict):
            self.warn(f"warning: skipping globals because source {GLOBAL} is not a table.")
            return
        for key, value in parents.items():
            found = own.get(key)
            if isinstance(value, dict):
                value = dict(value)
                if key in own:
                    if isinstance(found, dict):
                        _Joiner(True, self.warn).tables(value, found, f"{prefix}.{key}")
                    else:
                        self.warn(f'Conflict: cannot merge map onto non-map for "{key}". Skipping.')
                        continue
                own[key] = value
            elif isinstance(found, dict):
                self.warn(f"key {key} is table. Skipping")
            else:
                own[key] = value
        given[GLOBAL] = own

    def tables(self, given: Table, defaults: Table, path: str) -> Table:
        """`given` over `defaults`, in place."""

        def seen(table: Table) -> str:
            return shown(table if self.merge else without_nulls(table))

        for key, default in defaults.items():
            whole = f"{path}.{key}" if path else key
            value = given.get(key)
            if value is None:
                self.fill(given, key, default)
            elif isinstance(default, dict):
                if isinstance(value, dict):
                    self.tables(value, default, whole)
                else:
                    self.warn(f"warning: cannot overwrite table with non table for {whole} ({seen(default)})")
            elif isinstance(value, dict) and default is not None:
                said = f"Ignoring non-table value ({shown(default)})"
                self.warn(f"warning: destination for {whole} is a table. {said}")
        return given


def _as_bool(value: Any) -> str:
    """A value as Go's `%t` prints it, which is meant for bools."""
    from heeler.packages.template.formatting import sprintf

    return sprintf("%t", value)


def coalesce(chart: Chart, values: Table, warn: Warn) -> Table:
    """What the chart's templates see as values when the caller gives `values`. Raises `ChartError`."""
    return _Joiner(False, warn).chart(chart, copy(values), "")


def merge(chart: Chart, values: Table, warn: Warn) -> Table:
    """As `coalesce`, but nulls stay."""
    return _Joiner(True, warn).chart(chart, copy(values), "")


def coalesce_tables(given: Table, defaults: Table, warn: Warn, *, merge: bool = False) -> Table:
    """`given` over `defaults`, in place."""
    return _Joiner(merge, warn).tables(given, defaults, "")
