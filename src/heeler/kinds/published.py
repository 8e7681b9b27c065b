"""Built-in types as the API publishes them: OpenAPI v3 schemas with required fields, defaults and enums, without prose.

The facts (`schema/openapi.json.gz`) are read once, at the first question. Source: the documents that kube-apiserver serves
under /openapi/v3; `scripts/import_openapi.py` makes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from heeler.kinds.types import read_schema
from heeler.objects.value import Object

REFERENCE = "#/components/schemas/"
#: (group, version, kind)
Mark = tuple[str, str, str]


@cache
def _facts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_schema("openapi.json.gz")
    return found


def schema(name: str) -> Object:
    """A type's schema; its references begin with `REFERENCE`. It isn't to be changed. Raises KeyError."""
    found: Object = _facts()["schemas"][name]
    return found


def document(key: str) -> Mapping[str, list[Mark]]:
    """What stands in the document of a built-in group's version (`apis/apps/v1`): types, and the kinds that they are there."""
    found: dict[str, list[Mark]] = _facts()["documents"].get(key, {})
    return found


def marks(name: str) -> list[Mark]:
    """The kinds that a type is, over all groups."""
    found: list[Mark] = _facts()["marks"].get(name, [])
    return found


def reachable(names: Iterable[str]) -> list[str]:
    """The types, and all that their schemas refer to."""
    out: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in out:
            out[name] = None
            waiting += _references(schema(name))
    return sorted(out)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = node.get("$ref")
    found = [own.removeprefix(REFERENCE)] if isinstance(own, str) else []
    return found + [name for item in node.values() for name in _references(item)]
