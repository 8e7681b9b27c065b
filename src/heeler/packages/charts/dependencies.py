"""Which of a chart's dependencies are in use, under which names, and what they export to it.

Chart.yaml's entries are matched with the charts in `charts/` (by name and version), which get their aliases; tags and then
conditions turn entries off; the rest is done again below. Last, `import-values` brings values into the parents' own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from heeler.packages.charts.chart import Chart, ChartError, Dependency
from heeler.packages.charts.load import Log
from heeler.packages.charts.values import Table, coalesce, coalesce_tables, copy, merge, table_at, value_at


def check(chart: Chart) -> None:
    """Refuse a chart whose Chart.yaml names what isn't in `charts/`."""
    if chart.metadata.api_version == "v3":
        named, there_are = len(chart.metadata.dependencies), len(chart.dependencies)
        if named < there_are:  # Helm counts the wrong ones here
            raise ChartError("unsupported chart dependency type")
        if named > there_are:  # and panics here: who calls says that the version is of no use
            return
    there = {sub.name for sub in chart.dependencies}
    missing = [entry.name for entry in chart.metadata.dependencies if entry is not None and entry.name not in there]
    if missing:
        raise ChartError(f"found in Chart.yaml, but missing in charts/ directory: {', '.join(missing)}")


def process(chart: Chart, values: Table, log: Log) -> None:
    """Turn dependencies on and off by the caller's `values`, and import values, in place."""

    def warn(message: str) -> None:
        log("INFO", message)

    _enable(chart, values, "", log, warn)
    _import(chart, log, warn)


# ---- on and off ------------------------------------------------------------------------------------------------------


def _matches(entry: Dependency, chart: Chart) -> bool:
    from heeler.packages.charts.versions import in_range

    return entry.name == chart.name and in_range(entry.version, chart.metadata.version)


def _under_alias(entry: Dependency, charts: list[Chart]) -> Chart | None:
    """A copy of the chart that the entry means, by the alias's name where there is one."""
    for chart in charts:
        if _matches(entry, chart):
            made = _copied(chart)
            made.metadata.name = entry.alias or made.metadata.name
            return made
    return None


def _copied(chart: Chart) -> Chart:
    metadata = dataclasses.replace(
        chart.metadata,
        dependencies=[
            entry and dataclasses.replace(entry, import_values=list(entry.import_values))
            for entry in chart.metadata.dependencies
        ],
    )
    made = dataclasses.replace(chart, metadata=metadata, values=copy(chart.values))
    made.adopt([_copied(sub) for sub in chart.dependencies])
    return made


def _enable(chart: Chart, values: Table, path: str, log: Log, warn: Any) -> None:
    entries = [entry for entry in chart.metadata.dependencies if entry is not None]
    if not entries:
        return
    charts = [sub for sub in chart.dependencies if not any(_matches(entry, sub) for entry in entries)]
    for entry in entries:
        made = _under_alias(entry, chart.dependencies)
        if made is not None:
            charts.append(made)
        entry.name = entry.alias or entry.name
        entry.enabled = True
    chart.adopt(charts)
    known = coalesce(chart, values, warn)
    _by_tags(entries, known, log)
    _by_conditions(entries, known, path, log)
    off = {entry.name for entry in entries if not entry.enabled}
    chart.adopt([sub for sub in chart.dependencies if sub.name not in off])
    chart.metadata.dependencies = [entry for entry in entries if entry.name not in off]
    for sub in chart.dependencies:
        _enable(sub, known, f"{path}{sub.name}.", log, warn)


def _by_tags(entries: list[Dependency], values: Table, log: Log) -> None:
    tags = values.get("tags")
    if not isinstance(tags, dict):
        return
    for entry in entries:
        on = off = False
        for tag in entry.tags:
            if tag in tags:
                value = tags[tag]
                if isinstance(value, bool):
                    on, off = on or value, off or not value
                else:
                    log("WARN", "returned non-bool value", tag=tag, chart=entry.name)
        if on or off:
            entry.enabled = on


def _by_conditions(entries: list[Dependency], values: Table, path: str, log: Log) -> None:
    for entry in entries:
        for condition in entry.condition.strip().split(","):
            if not condition:
                continue
            try:
                value = value_at(values, path + condition)
            except KeyError:
                continue
            if isinstance(value, bool):
                entry.enabled = value
                break
            log("WARN", "returned non-bool value", path=condition, chart=entry.name)


# ---- import-values ---------------------------------------------------------------------------------------------------


def _import(chart: Chart, log: Log, warn: Any) -> None:
    for sub in chart.dependencies:
        _import(sub, log, warn)
    entries = [entry for entry in chart.metadata.dependencies if entry is not None]
    if not entries:
        return
    known = merge(chart, {}, warn)
    brought: Table = {}
    for entry in entries:
        for number, wanted in enumerate(entry.import_values):
            found = _found(entry, number, wanted, known, log)
            if found is not None:
                brought = coalesce_tables(brought, found, warn, merge=True)
    chart.values = coalesce_tables(known, brought, warn, merge=True)


def _found(entry: Dependency, number: int, wanted: Any, known: Table, log: Log) -> Table | None:
    """What an item of `import-values` brings; None where it names nothing (which is told)."""
    if isinstance(wanted, dict):
        child, parent = str(wanted.get("child") or ""), str(wanted.get("parent") or "")
        entry.import_values[number] = {"child": child, "parent": parent}
        try:
            return _placed(parent, copy(table_at(known, f"{entry.name}.{child}")))
        except ChartError as error:
            log("WARN", "ImportValues missing table from chart", chart=entry.name, error=str(error))
    elif isinstance(wanted, str):
        child = f"exports.{wanted}"
        entry.import_values[number] = {"child": child, "parent": "."}
        try:
            return copy(table_at(known, f"{entry.name}.{child}"))  # type: ignore[no-any-return]
        except ChartError as error:
            log("WARN", "ImportValues missing table", error=str(error))
    return None


def _placed(path: str, table: Table) -> Table:
    """`table` at a dotted path; `.` is the root."""
    if path == ".":
        return table
    for step in reversed(path.split(".")):
        table = {step: table}
    return table
