"""Bringing values together; the results are what helm 4.3.1 showed for the same charts."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import Chart, ChartError, Dependency, Metadata
from heeler.packages.charts.values import coalesce, read_values


def chart(name: str, values: dict[str, Any], *subs: Chart, needs: list[Dependency | None] | None = None) -> Chart:
    made = Chart(Metadata(name=name, version="1.0.0", api_version="v2", dependencies=needs or []), values=values)
    made.adopt(list(subs))
    return made


def seen(top: Chart, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(values, what was told) after dependencies were looked at."""
    told: list[str] = []

    def log(level: str, message: str, **attributes: object) -> None:
        told.append(f"{level} {message}")

    dependencies.process(top, given, log)
    return coalesce(top, given, lambda message: told.append(message)), told


def test_nulls_of_a_chart_say_nothing_and_nulls_of_the_caller_take_away() -> None:
    top = chart("app", {"a": None, "m": {"w": 1, "x": None}, "b": 1, "l": [None]})
    assert seen(top, {})[0] == {"m": {"w": 1}, "b": 1, "l": [None]}
    assert seen(top, {"b": None, "m": {"w": None}, "q": None})[0] == {"m": {}, "l": [None], "q": None}


def test_a_parents_null_doesnt_take_a_subcharts_default_away() -> None:
    top = chart("app", {"sub": {"m": {"a": None}}}, chart("sub", {"m": {"a": 1}}))
    assert seen(top, {})[0] == {"sub": {"m": {"a": 1}, "global": {}}}
    assert seen(top, {"sub": {"m": {"a": None}}})[0] == {"sub": {"m": {}, "global": {}}}


def test_nulls_of_the_caller_beside_those_of_a_declared_subchart() -> None:
    needs: list[Dependency | None] = [Dependency("sub", "1.0.0")]
    top = chart("app", {}, chart("sub", {"m": {"z": None}}), needs=needs)
    assert seen(top, {"sub": {"m": {"y": None}}})[0]["sub"]["m"] == {"y": None, "z": None}


def test_globals_come_from_above() -> None:
    top = chart("app", {"global": {"a": 1, "m": {"x": 1}}}, chart("sub", {"global": {"a": 2, "m": {"y": 2}}}))
    assert seen(top, {})[0]["sub"] == {"global": {"a": 1, "m": {"x": 1, "y": 2}}}


def test_a_table_over_a_scalar_is_told() -> None:
    values, told = seen(chart("app", {"m": 1}), {"m": {"x": 1}})
    assert (values, told) == ({"m": {"x": 1}}, ["warning: skipped value for app.m: Not a table."])


def test_a_subchart_that_is_no_table_is_refused() -> None:
    with pytest.raises(ChartError, match=r"^type mismatch on sub: %!t\(float64=5\)$"):
        coalesce(chart("app", {"sub": 5.0}, chart("sub", {})), {}, print)


def test_conditions_tags_and_aliases() -> None:
    needs: list[Dependency | None] = [
        Dependency("sub", "1.0.0", condition="sub.on_"),
        Dependency("sub", "1.0.0", alias="two", tags=["t"]),
    ]
    top = chart("app", {"sub": {"on_": False}, "tags": {"t": True}}, chart("sub", {}), needs=needs)
    values, told = seen(top, {})
    assert [sub.name for sub in top.dependencies] == ["two"]
    assert values["two"] == {"global": {}}
    assert told == []


def test_import_values_in_both_forms() -> None:
    needs: list[Dependency | None] = [
        Dependency("sub", "1.0.0", import_values=["data", {"child": "x", "parent": "y.z"}, "none"])
    ]
    top = chart("app", {"own": 1}, chart("sub", {"exports": {"data": {"a": 1}}, "x": {"b": 2}}), needs=needs)
    values, told = seen(top, {})
    assert values["a"] == 1 and values["y"] == {"z": {"b": 2}} and values["own"] == 1
    assert told == ["WARN ImportValues missing table"]


def test_conflicts_of_imported_values_are_told_by_their_path() -> None:
    needs: list[Dependency | None] = [Dependency("sub", "1.0.0", import_values=["data"])]
    top = chart("app", {"a": {"b": {"x": 1}}}, chart("sub", {"exports": {"data": {"a": {"b": [1.0]}}}}), needs=needs)
    assert seen(top, {})[1] == ["INFO warning: destination for a.b is a table. Ignoring non-table value ([1])"]


def test_what_chart_yaml_names_must_be_there() -> None:
    with pytest.raises(ChartError, match=r"^found in Chart\.yaml, but missing in charts/ directory: sub$"):
        dependencies.check(chart("app", {}, needs=[Dependency("sub", "1")]))


def test_a_values_file_of_several_documents() -> None:
    assert read_values(b"a: 1\nm: {x: 1}\n---\na: 2\nm: {z: 2}\n") == {"a": 2.0, "m": {"x": 1.0, "z": 2.0}}
