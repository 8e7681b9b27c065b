"""TOML as BurntSushi's library reads and writes it. Right values are helm's own."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.template.values import GoError, Int64, type_name
from heeler.packages.yaml import json, toml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a = 1\nb = "x"\n[t]\nc = [1, 2]\n[t.u]\nd = 1.5', {"a": 1, "b": "x", "t": {"c": [1, 2], "u": {"d": 1.5}}}),
        ("[[x]]\nn = 1\n[[x]]\nn = 2\n[x.y]\nz = 0x1f", {"x": [{"n": 1}, {"n": 2, "y": {"z": 31}}]}),
        ("m = { k = true, l.o = [\n1,\n] }", {"m": {"k": True, "l": {"o": [1]}}}),
        ("a = \"\"\"\nx\\\n  y\"\"\"\nb = '''\nz'''", {"a": "xy", "b": "z"}),
        ('a = "\\u00e9\\x41\\e"', {"a": "éA\x1b"}),
        ("a.b = 1\na = 2", {"a": {"b": 1}}),
    ],
)
def test_reading(text: str, value: dict[str, Any]) -> None:
    assert toml.loads(text) == value


def test_types() -> None:
    read = toml.loads("a = 1\n[[b]]\n")
    assert type(read["a"]) is Int64 and type_name(read["b"]) == "[]map[string]interface {}"
    moments = toml.loads("a = 1979-05-27T07:32:00.5+01:00\nb = 1979-05-27")
    assert json.dumps(moments) == '{"a":"1979-05-27T07:32:00.5+01:00","b":"1979-05-27T00:00:00Z"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a =", "line 1 (last key \"a\"): unexpected EOF; expected value"),
        ("a = 1\na = 2", "line 2 (last key \"a\"): Key 'a' has already been defined."),
        ("[a]\n[a]", "line 2: Key 'a' has already been defined."),
        ("[a]\n[[a]]", "line 2: Key 'a' was already created and cannot be used as an array."),
        ("a", "line 1: unexpected EOF; expected key separator '='"),
        ("a = 01", "line 1 (last key \"a\"): Invalid integer \"01\": cannot have leading zeroes"),
        ("a = [1 2]", "line 1 (last key \"a\"): expected a comma (',') or array terminator (']'), but got '2'"),
        ("a = tru", "line 1 (last key \"a\"): expected value but found \"tru\" instead"),
        ("a = \"x", "line 1 (last key \"a\"): unexpected EOF; expected '\"'"),
        ("a = 2024-13-01", "line 1 (last key \"a\"): invalid datetime: \"2024-13-01\""),
        ("a = 1 b", "line 1: expected a top-level item to end with a newline, comment, or EOF, but got 'b' instead"),
        ("[a", "line 1: expected '.' or ']' to end table name, but got '\\x00' instead"),
    ],
)  # fmt: skip
def test_faults(text: str, message: str) -> None:
    with pytest.raises(GoError) as caught:
        toml.loads(text)
    assert str(caught.value) == "toml: " + message


def test_writing() -> None:
    value = {"x": 1, "a": {"k": 1.0, "b": {}}, "l": [{"n": "\n"}, {}], "é.": [[1], "a"], "n": None}
    assert toml.dumps(value) == ('x = 1\n"é." = [[1], "a"]\n\n[a]\n  k = 1.0\n  [a.b]\n\n[[l]]\n  n = "\\n"\n\n[[l]]\n')
    with pytest.raises(GoError, match="cannot encode array with nil element"):
        toml.dumps({"a": [None]})
