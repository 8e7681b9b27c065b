"""Functions of templates: right values are helm's own, for what surprises."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.functions import FUNCTIONS
from heeler.packages.template.values import GoError, Int64, Map, NilSlice, Slice, type_name


def call(name: str, *arguments: Any) -> Any:
    return FUNCTIONS[name].call(*arguments)


def fault(name: str, *arguments: Any) -> str:
    with pytest.raises(GoError) as caught:
        call(name, *arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("trunc", (2, "éa"), "é"),
        ("trunc", (-5, "hello world"), "world"),
        ("substr", (1, 3, "héé"), "é"),
        ("abbrev", (5, "hello world"), "he..."),
        ("abbrevboth", (5, 10, "1234 5678 9123"), "...5678..."),
        ("title", ("foo-bar baz_qux",), "Foo-Bar Baz_qux"),
        ("untitle", ("HTTP Server",), "hTTP server"),
        ("swapcase", ("This Is A.Test",), "tHIS iS a.tEST"),
        ("snakecase", ("aBx1Ax1Server",), "a_bx1_ax1_server"),
        ("snakecase", ("HTTP20xOK",), "http_20x_ok"),
        ("kebabcase", ("aB1C",), "a-b1-c"),
        ("camelcase", ("foo_BARBaz",), "FooBarbaz"),
        ("camelcase", ("a__b",), "A_B"),
        ("camelcase", ("_",), "__"),
        ("initials", ("éa b",), "Ãb"),
        ("quote", (None, "a\n", 1.0), '"a\\n" "1"'),
        ("squote", (True, None), "'true'"),
        ("cat", ("a", None, "b"), "a b"),
        ("nindent", (2, "a\nb"), "\n  a\n  b"),
        ("wrapWith", (4, "|", "abcdefghij"), "abcd|efgh|ij"),
        ("seq", (5, -2, 1), "5 3 1"),
        ("join", ("+", [1, None, "a"]), "1+a"),
        ("adler32sum", ("hello",), "103547413"),
        ("b64dec", ("QQ=A",), "illegal base64 data at input byte 2"),
        ("base", ("a/b//",), "b"),
        ("clean", ("/../a/./b/..",), "/a"),
        ("regexReplaceAll", ("a(x*)b", "-ab-axxb-", "${1}W"), "-W-xxW-"),
        ("regexReplaceAll", ("a(x*)b", "-ab-axxb-", "$1W"), "---"),
        ("toJson", ({"b": "<", "a": 1e21},), '{"a":1e+21,"b":"\\u003c"}'),
        ("toYaml", (float("inf"),), ""),
        ("toToml", ({"b": {"c": {"d": 1.0}}, "a": 1},), "a = 1\n\n[b]\n  [b.c]\n    d = 1.0\n"),
    ],
)
def test_text(name: str, arguments: tuple[Any, ...], result: str) -> None:
    assert call(name, *arguments) == result


def test_numbers_are_made_of_anything() -> None:
    assert [call("int", text) for text in ("0x10", "010", "08", " 5", "5.0", "5.7", "1_000")] == [
        16,
        8,
        0,
        0,
        5,
        0,
        1000,
    ]
    assert [call("int", "9" * 6000), call("atoi", "-" + "9" * 6000), call("int", "1_0" * 3000)] == [0, -(1 << 63), 0]
    assert call("add", "3", 1.9, None) == 4 and type(call("add")) is Int64
    assert call("add", Int64((1 << 63) - 1), 1) == -(1 << 63)
    assert (call("div", -7, 2), call("mod", -7, 2)) == (-3, -1)
    assert fault("div", 1, 0) == "runtime error: integer divide by zero"
    assert call("addf", 0.1, 0.2) == 0.3 and call("divf", 1, 3) == 0.3333333333333333
    assert (call("round", 123.555, 2), call("round", -1.5, 0)) == (123.56, -2.0)


def test_lists_that_were_never_made_are_null_in_json() -> None:
    assert isinstance(call("concat", [], []), NilSlice) and call("toJson", call("concat", [], [])) == "null"
    assert call("toJson", call("rest", [1])) == "[]" and call("toJson", call("rest", [])) == "null"
    assert call("toYaml", {"a": call("concat")}) == "a: null"


def test_lists() -> None:
    assert call("uniq", ["b", 1, "b", 1.0, 1, None, None]) == ["b", 1, 1.0, None]
    assert call("without", [1, 1.0, "a"], 1.0) == [1, "a"]
    assert type_name(call("slice", Slice("[]string", ["a", "b"]), 1)) == "[]string"
    assert fault("slice", [1], 2) == "reflect.Value.Slice: slice index out of bounds"
    assert fault("first", "abc") == "Cannot find first on type string"
    assert fault("push", None, 1) == "runtime error: invalid memory address or nil pointer dereference"


def test_merging_gives_way_where_the_first_is_empty() -> None:
    assert call("merge", {"a": 0, "m": {"x": 1}}, {"a": 2, "m": {"x": 2, "y": 3}, "n": None}) == {
        "a": 2,
        "m": {"x": 1, "y": 3},
    }
    assert call("mergeOverwrite", {"a": 1, "l": [1]}, {"a": None, "l": []}) == {"a": None, "l": []}
    assert call("mergeOverwrite", {"m": {"x": 1}}, {"m": {}}) == {"m": {"x": 1}}


def test_dig_takes_plain_maps_only() -> None:
    assert call("dig", "a", "b", "none", {"a": {}}) == "none"
    told = "interface conversion: interface {} is common.Values, not map[string]interface {}"
    assert fault("dig", "a", 1, Map("common.Values")) == told
    assert fault("dig", "a", {}) == "dig needs at least three arguments"


def test_patterns_that_are_none() -> None:
    assert call("regexMatch", "[a", "a") is False
    assert fault("mustRegexMatch", "[a", "a") == "error parsing regexp: missing closing ]: `[a`"
    assert fault("regexFind", "*a", "a") == (
        "regexp: Compile(`*a`): error parsing regexp: missing argument to repetition operator: `*`"
    )


def test_reading_tells_its_error_as_a_value() -> None:
    assert call("fromYaml", "a: [")["Error"].startswith("error converting YAML to JSON: yaml: ")
    assert call("fromJson", "[1]") == {
        "Error": "json: cannot unmarshal array into Go value of type map[string]interface {}"
    }
    assert call("fromJsonArray", "[1,") == ["unexpected end of JSON input"]
    assert call("fromYaml", "a: 1") == {"a": 1.0}


def test_urls() -> None:
    url = call("urlParse", "http://u:p@h.x:80/a%20b?q=1#f")
    assert (url["host"], url["hostname"], url["path"], url["userinfo"]) == ("h.x:80", "h.x", "/a b", "u:p")
    assert call("urlJoin", {"scheme": "http", "host": "h", "path": "a b", "query": "q"}) == "http://h/a%20b?q"
    assert fault("urlParse", ":x") == 'unable to parse url: parse ":x": missing protocol scheme'


def test_each_area_has_the_functions_that_the_table_says() -> None:
    from importlib import import_module

    from heeler.packages.functions import AREAS

    for area, names in AREAS.items():
        functions = import_module(f"heeler.packages.functions.{area}").FUNCTIONS
        assert sorted(function.name for function in functions) == sorted(names.split()), area
    assert len(FUNCTIONS) == len(set(FUNCTIONS)) and "include" not in FUNCTIONS
