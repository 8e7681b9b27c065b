"""`--set` and its kin; the values are what helm 4.3.1 made of the same texts."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.set_flags import set_file, set_json, set_literal, set_string, set_typed
from heeler.packages.template.values import Int64


def made(text: str, into: dict[str, Any] | None = None) -> dict[str, Any]:
    values = {} if into is None else into
    set_typed(values, text)
    return values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1,b=x,c=TRUE,d=Null", {"a": 1, "b": "x", "c": True, "d": None}),
        ("a=+5,b=-0,c=007,d=1.5,e=99999999999999999999", {"a": 5, "b": 0, "c": "007", "d": "1.5", "e": "9" * 20}),
        (r"a\.b=x\,y,c.d=1", {"a.b": "x,y", "c": {"d": 1}}),
        ("a={},b={1,},c={x}", {"a": [""], "b": [1, ""], "c": ["x"]}),
        ("a[1].b[0]=x", {"a": [None, {"b": ["x"]}]}),
        ("a=k=v,b=[1]", {"a": "k=v", "b": "[1]"}),
        ("x[0=1", {}),
        ("x[0][1]", {"x": []}),
        ("x[0].y=", {"x": []}),
        ("x[0]=,y..z=", {"x": [""]}),
        ("a=", {"a": ""}),
    ],
)
def test_assignments(text: str, values: dict[str, Any]) -> None:
    assert made(text) == values


def test_whole_numbers_are_64_bits_wide() -> None:
    assert type(made("a=5")["a"]) is Int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", 'key "a" has no value'),
        ("a,b=1", 'key "a" has no value (cannot end with ,)'),
        ("a={1", "list must terminate with '}'"),
        ("a={1}x", 'key "x" has no value'),
        ("l[-1]=1", "negative -1 index not allowed"),
        ("l[65537]=1", "index of 65537 is greater than maximum supported index of 65536"),
        ("l[x]=1", 'error parsing index: strconv.Atoi: parsing "x": invalid syntax'),
        ("l[0]y =1", "unexpected data at end of array index: ['y' ' ']"),
        ("x..y=1", 'key map "x" has no value'),
        (".=1", 'key map "" has no value'),
        (".".join("k" * 40) + "=1", "value name nested level is greater than maximum supported nested level of 30"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ChartError) as error:
        made(text)
    assert str(error.value) == message


def test_a_key_below_what_is_no_table() -> None:
    with pytest.raises(ChartError, match=r"interface \{\} is nil, not map\[string\]interface \{\}"):
        made("a.b=1", {"a": None})
    with pytest.raises(ChartError, match="is string, not"):
        made("a[0]=1", {"a": "x"})


def test_the_other_flags() -> None:
    values: dict[str, Any] = {}
    set_string(values, "a=1,b={1,2}")
    set_json(values, 'c={"x": [1, null]} ,d=')
    set_file(values, "e=name", lambda name: f"<{name}>")
    set_literal(values, r"f.g[1]=q,r")
    set_literal(values, r"k\.l=1")
    assert values == {
        "a": "1",
        "b": ["1", "2"],
        "c": {"x": [1.0, None]},
        "d": None,
        "e": "<name>",
        "f": {"g": [None, "q,r"]},
        "k\\": {"l": "1"},
    }
