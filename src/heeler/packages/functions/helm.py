"""Helm's own functions that need no engine: YAML, JSON and TOML in and out.

Those without `must` don't fail: what can't be written is empty text, and what can't be read gives its error as the key `Error`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heeler.packages.template.extent import check_extent
from heeler.packages.template.values import Function, GoError, GoPanic, NilMap, NilSlice, go
from heeler.packages.yaml import json


def _yaml(value: Any) -> str:
    from heeler.packages.yaml.write import dump

    return dump(value).removesuffix("\n")


def _yaml_pretty(value: Any) -> str:
    from heeler.packages.yaml.write import dump_pretty

    return dump_pretty(value).removesuffix("\n")


def _pretty_json(value: Any) -> str:
    return json.dumps(value, indent="  ")


def _raw_json(value: Any) -> str:
    return json.dumps(value, escape_html=False)


def _toml(value: Any) -> str:
    from heeler.packages.yaml.toml import dumps

    return dumps(value)


def _strict(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """A writer that refuses what has no end."""

    def strict(value: Any) -> str:
        check_extent(value)
        return write(value)

    return strict


def _or_nothing(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """A writer that gives empty text where `write` fails; what has no end is refused all the same."""

    def lenient(value: Any) -> str:
        check_extent(value)
        try:
            return write(value)
        except GoError:
            return ""

    return lenient


def toml_or_error(value: Any) -> str:
    check_extent(value)
    try:
        return _toml(value)
    except GoPanic:
        raise
    except GoError as error:
        return str(error)


def from_yaml(text: str) -> dict[str, Any]:
    from heeler.packages.yaml.read import load_map

    try:
        return load_map(text)
    except GoError as error:
        return {"Error": str(error)}


def from_yaml_list(text: str) -> list[Any]:
    from heeler.packages.yaml.read import load_list

    try:
        found = load_list(text)
    except GoError as error:
        return [str(error)]
    return [] if found is None else found


def from_json(text: str) -> dict[str, Any]:
    try:
        found = json.load_into(text, dict, "map[string]interface {}")
    except GoError as error:
        return {"Error": str(error)}
    return NilMap("map[string]interface {}") if found is None else found


def from_json_list(text: str) -> list[Any]:
    try:
        found = json.load_into(text, list, "[]interface {}")
    except GoError as error:
        return [str(error)]
    return NilSlice("[]interface {}") if found is None else found


def from_toml(text: str) -> dict[str, Any]:
    from heeler.packages.yaml.toml import loads

    try:
        return loads(text)
    except GoError as error:
        return {"Error": str(error)}


FUNCTIONS: Final[list[Function]] = [
    go("toYaml(interface {}) string")(_or_nothing(_yaml)),
    go("mustToYaml(interface {}) string")(_strict(_yaml)),
    go("toYamlPretty(interface {}) string")(_or_nothing(_yaml_pretty)),
    go("fromYaml(string) map[string]interface {}")(from_yaml),
    go("fromYamlArray(string) []interface {}")(from_yaml_list),
    go("toJson(interface {}) string")(_or_nothing(json.dumps)),
    go("mustToJson(interface {}) string")(_strict(json.dumps)),
    go("toPrettyJson(interface {}) string")(_or_nothing(_pretty_json)),
    go("mustToPrettyJson(interface {}) string")(_strict(_pretty_json)),
    go("toRawJson(interface {}) string")(_strict(_raw_json)),
    go("mustToRawJson(interface {}) string")(_strict(_raw_json)),
    go("fromJson(string) map[string]interface {}")(from_json),
    go("fromJsonArray(string) []interface {}")(from_json_list),
    go("mustFromJson(string) interface {}")(json.loads),
    go("toToml(interface {}) string")(toml_or_error),
    go("mustToToml(interface {}) string")(_strict(_toml)),
    go("fromToml(string) map[string]interface {}")(from_toml),
]
