"""YAML and JSON as Helm writes them. Right values are helm's own."""

from __future__ import annotations

import pytest

from heeler.packages.template.values import GoError
from heeler.packages.yaml import json, read, write


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"), ("", '""'), ("true", '"true"'), ("nO", "nO"), ("N", '"N"'), ("12", '"12"'), ("0o17", '"0o17"'),
        ("1:2", '"1:2"'), ("2024-01-02", '"2024-01-02"'), ("2024-13-02", "2024-13-02"), ("1.2.3", "1.2.3"), ("=", "="),
        ("-", "'-'"), ("a: b", "'a: b'"), ("a:b", "a:b"), ("#c", "'#c'"), ("it's: x", "'it''s: x'"), (" lead", "' lead'"),
        ("😀", '"\\U0001F600"'), ("é", "é"), ("\x07", '"\\a"'), ("a\tb", '"a\\tb"'), ("a\nb", "|-\n  a\n  b"),
        ("a\n\n", "|+\n  a\n\n"), (" a\nb\n", "|2\n   a\n  b\n"), ("a \nb", '"a \\nb"'),
    ],
)  # fmt: skip
def test_how_text_is_quoted(text: str, written: str) -> None:
    assert write.dump(text).removesuffix("\n") == written.removesuffix("\n")


def test_numbers_are_json_s() -> None:
    values = [1000000.0, 1.5, 1e-5, 12345678901234567890.0, 1e21, -0.0, 1234567.5]
    assert write.dump(values).split() == (
        "- 1000000 - 1.5 - 1e-05 - 12345678901234567000 - 1e+21 - 0 - 1.2345675e+06".split()
    )
    assert write.dump_pretty([1000000.0]) == "- 1e+06\n"


def test_lists_are_indented_only_when_pretty() -> None:
    value = {"a": [{"b": [1, [2, []]]}], "c": {}}
    assert write.dump(value) == "a:\n- b:\n  - 1\n  - - 2\n    - []\nc: {}\n"
    assert write.dump_pretty(value) == "a:\n  - b:\n      - 1\n      - - 2\n        - []\nc: {}\n"


def test_keys_are_sorted_as_people_would() -> None:
    keys = ["a10", "a9", "b", "B", "a-b", "a", "a01", "1"]
    assert list(read.load(write.dump(dict.fromkeys(keys)))) == ["1", "B", "a", "a-b", "a01", "a9", "a10", "b"]


def test_long_text_is_folded_behind_column_80() -> None:
    text = "word " * 20 + "end"
    assert write.dump({"a": text}) == "a: " + "word " * 15 + "word\n  " + "word " * 4 + "end\n"
    assert write.dump_pretty({"a": text}) == f"a: {text}\n"


def test_long_keys_stand_behind_a_question_mark() -> None:
    assert write.dump({"k" * 129: {"a": 1}}) == "? " + "k" * 129 + "\n: a: 1\n"
    with pytest.raises(GoError):
        write.dump({"k" * 1023: 1})


def test_what_is_written_is_read_back() -> None:
    value = {"a": ["x: y", "- z", "\n", "multi\nline\n", {"n": None, "t": True, "f": 0.5}], "true": {"": "~"}}
    assert read.load(write.dump(value)) == value


def test_json() -> None:
    assert json.dumps({"b": ["<\u2028\x00\x7f", 1e-7, 1e20], "a": b"hi"}) == (
        '{"a":"aGk=","b":["\\u003c\\u2028\\u0000\x7f",1e-7,100000000000000000000]}'
    )
    assert json.dumps({"a": [], "b": {}, "c": [1]}, indent="  ") == '{\n  "a": [],\n  "b": {},\n  "c": [\n    1\n  ]\n}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unexpected end of JSON input"),
        ('{"a":', "unexpected end of JSON input"),
        ("{bad}", "invalid character 'b' looking for beginning of object key string"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ('{"a": 01}', "invalid character '1' after object key:value pair"),
        ("tru", "invalid character ' ' in literal true (expecting 'e')"),
        ("1 2", "invalid character '2' after top-level value"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ("[1e400", "unexpected end of JSON input"),
        ("1e400", "json: cannot unmarshal number 1e400 into Go value of type float64"),
    ],
)
def test_faults_of_json(text: str, message: str) -> None:
    with pytest.raises(GoError) as caught:
        json.loads(text)
    assert str(caught.value) == message


def test_signs_that_need_escapes() -> None:
    assert write.dump("é\n日 \x07") == '"é\\n日 \\a"\n'
    assert write.dump("\ufeffa\xa0") == '"\\uFEFF\\x61\\_"\n' and write.dump("a\xa0b") == "a\xa0b\n"
    assert write.dump("a\x85b") == "a b\n" and write.dump_pretty("a\x85b") == '"a\\Nb"\n'


def test_a_merge_key_that_is_text_stands_plain() -> None:
    assert write.dump({"<<": "b"}) == write.dump_pretty({"<<": "b"}) == "<<: b\n"
