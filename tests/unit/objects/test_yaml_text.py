"""YAML as Go's reader takes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.objects import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: =", {"a": "="}),  # YAML 1.1's value tag, which nobody has
        ("enum: ['=', '!=', =~]", {"enum": ["=", "!=", "=~"]}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: yes\nb: 0x10\nc: 1e3\nd: 1_000", {"a": True, "b": 16, "c": 1000, "d": 1000}),
        ("a: ~\nb:", {"a": None, "b": None}),
        ("a: 1:2:3\nb: 190:20:30.15", {"a": "1:2:3", "b": "190:20:30.15"}),  # nobody counts in sixties
        ("a: 0o7\nb: 010\nc: 08\nd: -0b11", {"a": 7, "b": 8, "c": 8, "d": -3}),
        ("a: -0x_\nb: 0x_1\nc: 0xffffffffffffffffffff", {"a": "-0x_", "b": 1, "c": "0xffffffffffffffffffff"}),
        ("a: 18446744073709551615\nb: 99999999999999999999", {"a": 2**64 - 1, "b": 10**20}),
        ("a: 1.0\nb: 5.\nc: .5\nd: 1_000.5\ne: 1e1_0", {"a": 1, "b": 5, "c": 0.5, "d": 1000.5, "e": 10**10}),
        ("a: 12345678901234567890.0\nb: 1e400", {"a": 12345678901234567000, "b": "1e400"}),
        (
            "a: !!binary aGVsbG8=\nb: !foo 5\nc: !<x> y\nd: !!timestamp 2001-01-01",
            {"a": "hello", "b": "5", "c": "y", "d": "2001-01-01"},
        ),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert yaml_text.load(text)[0] == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "yaml: line 1: did not find expected node content"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: 1\nb: c: d", "yaml: line 2: mapping values are not allowed in this context"),
        ("a:\n\t- b", "yaml: line 2: found character that cannot start any token"),
        ("- a\nb: c", "yaml: line 1: did not find expected '-' indicator"),
        ("a: 'x", "yaml: found unexpected end of stream"),
        ("é: *x", "yaml: unknown anchor 'x' referenced"),
        ('a: !!int "x"', "yaml: cannot decode !!str `x` as a !!int"),
        ("a: !!int 5.5", "yaml: cannot decode !!float `5.5` as a !!int"),
        ("a: !!bool zz", "yaml: cannot decode !!str `zz` as a !!bool"),
        ('a: !!binary "!!!"', "yaml: !!binary value contains invalid base64 data"),
        ("a: -.Inf", "json: unsupported value: -Inf"),
    ],
)
def test_faults_are_told_as_gos_parser_tells_them(text: str, said: str) -> None:
    with pytest.raises(yaml_text.YamlError) as fault:
        yaml_text.load(text.encode())
    assert str(fault.value) == said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "*", "b": "=", "c": "&x"}, "a: '*'\nb: =\nc: '&x'\n"),
        ({"a": "2020-01-01", "b": "2020-01-01 #"}, "a: \"2020-01-01\"\nb: '2020-01-01 #'\n"),
        ({"a": "2020-1-2 3:4:5"}, 'a: "2020-1-2 3:4:5"\n'),
        ({"a": "x\n\n"}, "a: |+\n  x\n\n"),
        ({"a": "word " * 17 + "end"}, "a: " + "word " * 15 + "word\n  word end\n"),
    ],
)  # fmt: skip
def test_texts_are_written_as_kube_apiserver_writes_them(value: dict[str, str], text: str) -> None:
    assert yaml_text.dump(value) == text
    assert yaml_text.load(text.encode())[0] == value


def test_what_stands_twice_is_written_twice() -> None:
    shared = {"x": 1}
    assert yaml_text.dump({"a": shared, "b": shared}) == "a:\n  x: 1\nb:\n  x: 1\n"


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["a", " ", "\n", "\t", "x" * 90, ": ", "#", "- ", "'", '"', "é", "\x85", "\x00", "="])))
def test_any_text_comes_back(parts: list[str]) -> None:
    value = {"a": ["".join(parts)]}
    assert yaml_text.load(yaml_text.dump(value).encode())[0] == value


def test_numbers_of_any_length_are_read_in_time_that_follows_their_length() -> None:
    digits = "9" * 200_000
    assert yaml_text.load(f"a: {digits}\nb: {'1:' * 200_000}1")[0]["a"] == digits


def test_keys_are_sorted_as_in_the_json_that_go_makes_of_it() -> None:
    assert list(yaml_text.load("b: 1\na: {d: 1, c: 2}")[0]) == ["a", "b"]
