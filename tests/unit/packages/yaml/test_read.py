"""YAML as Helm reads it: values, keys, aliases, and faults in Go's words. Right values are helm's own."""

from __future__ import annotations

import pytest

from heeler.packages.template.values import GoError
from heeler.packages.yaml import read


def fault(text: str) -> str:
    with pytest.raises(GoError) as caught:
        read.load_map(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("N", False), ("truE", "truE"), ("~", None), ("''", ""), ("010", 8.0), ("0o17", 15.0), ("0888", 888.0),
        ("-0x10", -16.0), ("0b11", 3.0), ("1_000", 1000.0), ("1_000.5", 1000.5), (".5_0", 0.5), ("._5", "._5"),
        ("1.e3", 1000.0),
        ("1e400", "1e400"), ("0x", "0x"), ("12:30", "12:30"), ("2024-01-02", "2024-01-02"), ("18446744073709551615", 2.0**64),
        ("!!str 5", "5"), ("! 5", "5"), ("!!int '5'", 5.0), ("!!binary aGVsbG8=", "hello"), ("!foo bar", "bar"), ("!!foo", ""),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    read_value = read.load(f"a: {text}")["a"]
    assert read_value == value and type(read_value) is type(value)


def test_keys_become_text() -> None:
    assert list(read.load("yes: 1\n1: 2\n1.5: 3\n0x10: 4\n3.14159265358979: 5")) == [
        "true",
        "1",
        "1.5",
        "16",
        "3.1415927",
    ]


def test_later_keys_and_merged_ones_win() -> None:
    assert read.load("a: 1\n<<: {a: 2}") == {"a": 2.0}
    assert read.load("<<: [{a: 1}, {a: 2, b: 3}]") == {"a": 1.0, "b": 3.0}
    assert read.load("'<<': 1") == {"<<": 1.0}


def test_an_anchor_may_be_given_anew() -> None:
    assert read.load("a: &x 1\nb: &x 2\nc: *x")["c"] == 2.0


def test_each_alias_is_a_value_of_its_own() -> None:
    value = read.load("a: &x {k: 1}\nb: *x")
    value["a"]["k"] = 5
    assert value["b"] == {"k": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: 1\n b: 2", "yaml: line 2: mapping values are not allowed in this context"),
        ("- a\nb: 1", "yaml: line 1: did not find expected '-' indicator"),
        ("a: [", "yaml: line 1: did not find expected node content"),
        ("a: 1\nb", "yaml: line 3: could not find expected ':'"),
        ("a: \x01", "yaml: control characters are not allowed"),
        ("%YAML 1.2\n---\na: 1", "yaml: found incompatible YAML document"),
        ("a: *x", "yaml: unknown anchor 'x' referenced"),
        ("a: &x [*x]", "yaml: anchor 'x' value contains itself"),
        ("a: .inf", "json: unsupported value: +Inf"),
        ("a: !!int foo", "yaml: cannot decode !!str `foo` as a !!int"),
        ("? {1: x}\n: 2", 'yaml: invalid map key: map[interface {}]interface {}{1:"x"}'),
        ("~: 8", "unsupported map key of type: %!s(<nil>), key: <nil>, value: 8"),
    ],
)
def test_faults_of_yaml(text: str, message: str) -> None:
    assert fault(text) == "error converting YAML to JSON: " + message


def test_a_map_is_wanted() -> None:
    told = "json: cannot unmarshal array into Go value of type map[string]interface {}"
    assert fault("[1]") == "error unmarshaling JSON: while decoding JSON: " + told


def test_aliases_are_expanded_within_bounds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert fault("\n".join(lines)) == "error converting YAML to JSON: yaml: document contains excessive aliasing"


def test_nesting_is_bounded() -> None:
    assert "max depth" in fault("a: " + "[" * 100_000)


def test_documents_are_parted_at_dashes() -> None:
    assert list(read.documents("---\na: 1\n--- # c\nb: |\n  ---\n---\n")) == ["---\na: 1\n", "b: |\n  ---\n"]
    with pytest.raises(GoError, match="invalid Yaml document separator: x"):
        list(read.documents("a: 1\n--- x\n"))


def test_strict_reading_tells_keys_that_are_there_twice() -> None:
    with pytest.raises(GoError, match=r'unmarshal errors:\n  line 2: key "a" already set in map'):
        read.parse("a: 1\na: 2", strict=True)
    assert read.parse("a: 1\nb: 1.0") == {"a": 1, "b": 1.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{k: a:}", {"k": "a:"}),
        ("[a:, b]", ["a:", "b"]),
        ("{a:,b:}", {"a:": None, "b:": None}),
        ("{k: x::}", {"k": "x::"}),
        ('{"a":["b:"], c: d:}', {"a": ["b:"], "c": "d:"}),
        ('[a: "x?"]', [{"a": "x?"}]),
        ("a?b", "a?b"),
    ],
)
def test_colons_and_question_marks_between_brackets(text: str, value: object) -> None:
    assert read.load(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a:[1]}", "yaml: did not find expected ',' or '}'"),
        ("[a?b]", "yaml: did not find expected ',' or ']'"),
        ("x:\n  [a,\n  http://x?y=1]", "yaml: line 2: did not find expected ',' or ']'"),
        ("- {a: b?}", "yaml: did not find expected ',' or '}'"),
    ],
)
def test_what_may_not_stand_between_brackets(text: str, said: str) -> None:
    with pytest.raises(GoError) as error:
        read.load(text)
    assert str(error.value) == f"error converting YAML to JSON: {said}"


def test_what_json_cannot_hold_counts_only_where_it_stays() -> None:
    assert read.load("k: -.inf\nk: 1") == {"k": 1.0}
    with pytest.raises(GoError, match=r"json: unsupported value: NaN$"):
        read.load("b: [.inf]\na: {x: .nan}")
    with pytest.raises(GoError, match="map merge requires map or sequence of maps as the value"):
        read.load("a: .inf\n<<: 1")
