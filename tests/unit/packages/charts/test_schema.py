"""Values against schemas; the lines are helm 4.3.1's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.schema import validate_one
from heeler.packages.charts.schema.evaluate import number_text
from heeler.packages.charts.schema.formats import fault_of
from tests.chart_server import served


def faults(schema: Any, values: Any) -> list[str]:
    try:
        validate_one(schema if isinstance(schema, bytes) else json.dumps(schema).encode(), values)
    except ChartError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("schema", "value", "lines"),
    [
        ({"type": ["string", "object", "null"]}, 3.0, ["- at '/p': got number, want null or string or object"]),
        ({"enum": ["a", 1, None, 1.5]}, 2.0, ["- at '/p': value must be one of 'a', 1, <nil>, 1.5"]),
        ({"enum": ["a", {}]}, 2.0, ["- at '/p': 'enum' failed"]),
        ({"minimum": 1000000}, 70000.0, ["- at '/p': minimum: got 70,000, want 1×10⁰⁶"]),
        ({"minLength": 1000}, "abc", ["- at '/p': minLength: got 3, want 1,000"]),
        ({"pattern": "^x'"}, "a", [r"- at '/p': 'a' does not match pattern '^x\''"]),
        ({"uniqueItems": True}, [1.0, 2.0, 1.0], ["- at '/p': items at 0 and 2 are equal"]),
        (
            {"contains": {"type": "string"}},
            [1.0],
            ["- at '/p': no items match contains schema", "  - at '/p/0': got number, want string"],
        ),
        ({"required": ["x", "y"]}, {}, ["- at '/p': missing properties 'x', 'y'"]),
        ({"additionalProperties": False}, {"a": 1.0}, ["- at '/p': additional properties 'a' not allowed"]),
        (
            {"properties": {"a": {}}, "unevaluatedProperties": False},
            {"a": 1.0, "b": 2.0},
            ["- at '/p/b': false schema"],
        ),
        ({"prefixItems": [{}], "items": False}, [1.0, 2.0], ["- at '/p/1': false schema"]),
        (
            {"allOf": [{"minimum": 5, "multipleOf": 2}, {"maximum": 1}]},
            3.0,
            [
                "- at '/p': 'allOf' failed",
                "  - at '/p': validation failed",
                "    - at '/p': minimum: got 3, want 5",
                "    - at '/p': multipleOf: got 3, want 2",
                "  - at '/p': maximum: got 3, want 1",
            ],
        ),
        (
            {"if": {"minimum": 1}, "then": {"minimum": 5, "multipleOf": 2}},
            3.0,
            ["- at '/p': minimum: got 3, want 5", "- at '/p': multipleOf: got 3, want 2"],
        ),
        ({"oneOf": [{"minimum": 1}, {"type": "number"}]}, 3.0, ["- at '/p': 'oneOf' failed, subschemas 0, 1 matched"]),
        ({"multipleOf": 0.1}, 0.3, []),
        ({"const": 1}, True, ["- at '/p': value must be 1"]),
        ({"type": "string", "minLength": 2}, 1.0, ["- at '/p': got number, want string"]),
        ({"enum": ["a"], "minLength": 2, "format": "x"}, "b", ["- at '/p': value must be 'a'"]),
    ],
)
def test_keywords(schema: Any, value: Any, lines: list[str]) -> None:
    assert faults({"properties": {"p": schema}}, {"p": value}) == lines


def test_a_reference_keeps_its_faults_together() -> None:
    schema = {
        "properties": {"p": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}},
    }
    assert faults(schema, {"p": {"a": 1.0, "b": 2.0}})[0] == "- at '/p': validation failed"


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        (b"", "EOF"),
        (b'{"type": ', "unexpected EOF"),
        (b"type: object", "invalid character 'y' in literal true (expecting 'r')"),
        (b"{} x", "invalid character after top-level value"),
        ({"$ref": "#/definitions/none"}, 'json-pointer in "file:///values.schema.json#/definitions/none" not found'),
        ({"$ref": "ftp://x/y"}, 'failing loading "ftp://x/y": no URLLoader registered for "ftp://x/y"'),
    ],
)
def test_schemas_that_are_none(schema: Any, line: str) -> None:
    assert faults(schema, {}) == [line]


def test_schemas_come_from_the_network_too(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text('{"$defs": {"n": {"minimum": 3}}}')
    (tmp_path / "broken.json").write_text("[1")
    with served(tmp_path) as server:
        address = f"{server.url}/%s"

        def said(name: str) -> list[str]:
            return faults({"properties": {"a": {"$ref": address % name}}}, {"a": 1.0})

        failing = f'failing loading "{address}": '
        assert said("small.json#/$defs/n") == ["- at '/a': minimum: got 1, want 3"]
        assert said("broken.json") == [failing % "broken.json" + "unexpected EOF"]
        missing = f"HTTP request to {address} returned status 404 (Not Found)" % "gone.json"
        assert said("gone.json") == [failing % "gone.json" + missing]
    (line,) = said("small.json")
    refused = f'HTTP request failed for {address % "small.json"}: Get "{address % "small.json"}": dial tcp '
    assert line.startswith(failing % "small.json" + refused) and line.endswith(": connect: connection refused")


def test_a_schema_is_held_against_its_metaschema() -> None:
    assert faults({"$schema": "http://json-schema.org/draft-07/schema#", "minimum": "x"}, {}) == [
        '"file:///values.schema.json#" is not valid against metaschema: jsonschema validation failed with '
        "'http://json-schema.org/draft-07/schema#'",
        "- at '/minimum': got string, want number",
    ]


def test_schemas_that_lead_into_themselves_end() -> None:
    assert "reference cycle" in faults({"$ref": "#"}, {})[0]
    deep: Any = {}
    for _ in range(400):
        deep = {"a": deep}
    assert faults({"properties": {"a": {"$ref": "#"}}}, deep) == ["the schema leads into itself too deeply"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (99999.5, "99,999.5"),
        (0.0001, "0.0001"),
        (0.00001, "1×10⁻⁰⁵"),
        (-1234567, "-1.234567×10⁰⁶"),
        (1e300, "1×10³⁰⁰"),
        (0.000123456789, "0.000123456789"),
    ],
)
def test_numbers(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("email", "a..b@c", "consecutive dots"),
        ("hostname", "a_b", "invalid character '_'"),
        ("ipv4", "01.2.3.4", "leading zeros"),
        ("date", "2024-02-30", 'parsing time "2024-02-30": day out of range'),
        ("time", "12:00:60Z", "invalid leap second"),
        ("time", "23:59:60Z", ""),
        ("duration", "P1M1Y", "unit 'Y' out of order"),
        ("uri", "/x", "relative url"),
        ("uri-template", "{a", "no matching closing brace"),
        ("uuid", "x", "must have 5 elements"),
        ("regex", "[", "error parsing regexp: missing closing ]: `[`"),
        ("semver", "1.2.3-01", "pre-release numeric identifier starts with zero"),
        ("unknown", "x", ""),
    ],
)
def test_formats(name: str, text: str, fault: str) -> None:
    assert fault_of(name, text) == fault
