"""Where values come from: layers, lines, nulls, globals, imports; and that the layer that is told is the one that counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heeler.packages.charts import dependencies, origins
from heeler.packages.charts.chart import Chart, ChartError, Dependency, File, Metadata
from heeler.packages.charts.origins import Layer, Provenance, parsed, shown
from heeler.packages.charts.values import coalesce, merge_maps, read_values
from heeler.packages.yaml.positions import Positions
from heeler.packages.yaml.write import dump


def chart(name: str, values: str, *below: Chart, **metadata: Any) -> Chart:
    made = Chart(Metadata(name=name, version="1.0.0", **metadata), values=read_values(values.encode()))
    made.raw = [File("values.yaml", values.encode())]
    made.adopt(list(below))
    return made


def layer(name: str, text: str) -> Layer:
    return Layer(name, read_values(text.encode()), text.encode())


def places(found: Provenance, path: str) -> list[str]:
    return [say.place for say in found.says(parsed(path))]


def test_lines_are_those_of_keys_and_items() -> None:
    text = "# first\na:\n  b: 1\n  'c.d': {e: 2,\n    f: 3}\nlist:\n- x\n- y: 1\n  z: 2\n80: n\nyes: y\n"
    found = Positions(text)
    for line, path in ((2, ["a"]), (3, ["a", "b"]), (4, ["a", "c.d"]), (5, ["a", "c.d", "f"]), (7, ["list", 0])):
        assert found.line(path) == line
    assert (found.line(["list", 1, "z"]), found.line(["80"]), found.line(["true"])) == (9, 10, 11)
    assert found.line(["a", "nothing"]) is None and found.line(["list", 2]) is None and found.line([0]) is None


def test_lines_of_anchors_merges_and_several_documents() -> None:
    text = "base: &b {x: 1}\none:\n  <<: *b\n  z: 2\ntwo:\n  <<: [*b]\n---\none: {z: 3}\n"
    found = Positions(text)
    assert (found.line(["one", "x"]), found.line(["two", "x"]), found.line(["one", "z"])) == (1, 1, 8)
    assert Positions("a: [").line(["a"]) is None
    many = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}]\n" for b, c in zip("abcdefghijklm", "bcdefghijklmn"))
    assert Positions(many).line(["m", 1, 0, 1]) is not None  # aliases aren't unfolded


def test_paths_are_written_as_set_has_them() -> None:
    for text in ("image.tag", "hosts[0].name", r"a\.b.c", "a[1][2]"):
        assert shown(parsed(text)) == text
    assert parsed(".Values.a.b") == ("a", "b")
    for text in ("", "a..b", "a[x]", "a[0", "a."):
        with pytest.raises(ChartError, match="no path of a value"):
            parsed(text)


def test_the_strongest_layer_comes_last() -> None:
    top = chart("app", "a: 1\nsub:\n  x: 1\n", chart("sub", "x: 0\nz: 0\n"))
    found = Provenance(top, [layer("f.yaml", "sub: {x: 2}"), Layer("--set", {"sub": {"x": 3}})])
    assert places(found, "sub.x") == ["app/charts/sub/values.yaml:1", "app/values.yaml:3", "f.yaml:1", "--set"]
    assert places(found, "sub.z") == ["app/charts/sub/values.yaml:2"] and places(found, "b") == []
    assert found.room(("sub", "z")) == "app/charts/sub/values.yaml"
    assert found.chart_of(("sub", "x"))[1] == ("x",)


def test_nulls_and_values_in_the_way_are_told() -> None:
    found = Provenance(chart("app", "a: {b: 1}\nc: {d: 1}\n"), [layer("f.yaml", "a: null\nc: text\n")])
    assert [(s.value, s.above) for s in found.says(("a", "b"))] == [(1.0, False), (None, True)]
    assert found.says(("c", "d"))[-1].value == "text" and found.says(("c", "d"))[-1].path == ("c",)


def test_globals_of_charts_above_count_more() -> None:
    top = chart("app", "global: {g: 1}\n", chart("sub", "global: {g: 0, own: 0}\n"))
    found = Provenance(top, [layer("f.yaml", "sub: {global: {g: 2}}")])
    values = coalesce(top, {"sub": {"global": {"g": 2.0}}}, lambda _: None)
    assert values["sub"]["global"] == {"g": 1.0, "own": 0.0}
    winner = found.winner(("sub", "global", "g"), 1.0)
    assert winner is not None and (winner.place, winner.path) == ("app/values.yaml:1", ("global", "g"))
    assert places(found, "sub.global.own") == ["app/charts/sub/values.yaml:1"]


def test_what_is_imported_names_both_files() -> None:
    entry = Dependency("sub", "1.0.0", import_values=["data", {"child": "deep.er", "parent": "here"}])
    top = chart(
        "app", "own: 1\n", chart("sub", "exports: {data: {port: 80}}\ndeep:\n  er: {x: 1}\n"), dependencies=[entry]
    )
    dependencies.process(top, {}, lambda *_, **__: None)
    found = Provenance(top, [])
    assert places(found, "port") == ["app/charts/sub/values.yaml:1, by import-values of app/Chart.yaml"]
    assert places(found, "here.x") == ["app/charts/sub/values.yaml:3, by import-values of app/Chart.yaml"]


def test_imports_know_defaults_only_and_are_weaker_than_a_charts_own_values() -> None:
    entry = Dependency("sub", "1.0.0", import_values=["data"])
    top = chart("app", "own: 1\nsub: {exports: {data: {b: 2}}}\n", chart("sub", "exports: {data: {a: 0, b: 0, own: 0}}\n"),
                dependencies=[entry])  # fmt: skip
    given = {"sub": {"exports": {"data": {"a": 9.0}}}}
    dependencies.process(top, given, lambda *_, **__: None)
    values = coalesce(top, given, lambda _: None)
    assert (values["a"], values["b"], values["own"]) == (0.0, 2.0, 1.0)
    found = Provenance(top, [Layer("--set", given)])
    assert [say.value for say in found.says(("a",))] == [0.0]
    assert places(found, "b") == ["app/values.yaml:2, by import-values of app/Chart.yaml"]
    assert places(found, "own")[-1] == "app/values.yaml:1" and len(found.says(("own",))) == 2


def test_many_imports_into_the_root_are_no_maze() -> None:
    def entries(name: str) -> list[Dependency]:
        return [Dependency(name, "1.0.0", import_values=[f"e{number}" for number in range(30)])]

    exported = "exports: {" + ", ".join(f"e{number}: {{k{number}: {number}}}" for number in range(30)) + "}\n"
    low = chart("low", exported)
    top = chart("app", "", chart("sub", exported, low, dependencies=entries("low")), dependencies=entries("sub"))
    dependencies.process(top, {}, lambda *_, **__: None)
    found = Provenance(top, [])
    assert places(found, "k7") == ["app/charts/sub/values.yaml:1, by import-values of app/Chart.yaml"]
    assert found.says(parsed("nothing.at.all")) == []


KEYS = st.sampled_from(["a", "b", "sub", "global", "low"])
LEAVES = st.one_of(st.integers(0, 99).map(float), st.booleans(), st.text("xyz", max_size=3), st.none())
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.dictionaries(KEYS, inner, max_size=4), st.lists(inner, max_size=2))
)
TREES = st.dictionaries(KEYS, VALUES, max_size=4)


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, values


@settings(max_examples=300, deadline=None)
@example({}, {"a": [], "global": {"sub": {"a": {}}}}, {"a": {}, "global": {"sub": {"a": {"a": 0.0}}}}, [])
@given(TREES, TREES, TREES, st.lists(TREES, max_size=3))
def test_whoever_is_told_said_what_counts(own: Any, below: Any, lowest: Any, given_layers: list[Any]) -> None:
    """Every value that templates see was said, as it is, by the layer that is told, at the line that is told."""
    top = chart("app", dump(own), chart("sub", dump(below), chart("low", dump(lowest))))
    texts = [dump(tree) for tree in given_layers]
    config: dict[str, Any] = {}
    for text in texts:
        config = merge_maps(config, read_values(text.encode()))
    try:
        values = coalesce(top, config, lambda _: None)
    except ChartError:
        return
    found = Provenance(top, [layer(f"f{number}", text) for number, text in enumerate(texts)])
    for path, value in leaves(values):
        winner = found.winner(path, value)
        assert winner is not None and winner.value == value and ":" in winner.place, (path, value, found.says(path))


def test_of_nothing_nothing_is_known() -> None:
    assert origins.at({"a": [1]}, ("a", 1)) is origins.MISSING
    assert origins.at({"a": [1]}, ("a", 0)) == 1
