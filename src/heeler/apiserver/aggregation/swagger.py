"""The part of another server's OpenAPI v2 document that is its group version's, and both documents as one. Pure."""

from __future__ import annotations

from typing import Any

from heeler.objects.value import Object

_PREFIX = "#/definitions/"
#: Definitions that one group version may bring.
MAX_DEFINITIONS = 5_000


def part(document: Object, path: str) -> Object:
    """The paths at and below `path`, and the definitions that they lead to; {} where there are none."""
    paths = document.get("paths")
    found = {
        key: value
        for key, value in (paths.items() if isinstance(paths, dict) else ())
        if key == path or key.startswith(f"{path}/")
    }
    if not found:
        return {}
    known = document.get("definitions")
    known = known if isinstance(known, dict) else {}
    definitions: Object = {}
    waiting = list(_references(found))
    while waiting and len(definitions) < MAX_DEFINITIONS:
        name = waiting.pop()
        if name in known and name not in definitions:
            definitions[name] = known[name]
            waiting += _references(known[name])
    return {"paths": found, "definitions": definitions}


def _references(value: Any) -> list[str]:
    """The names of the definitions that a value refers to."""
    out: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str) and reference.startswith(_PREFIX):
                out.append(reference.removeprefix(_PREFIX))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return out


def merged(document: Object, parts: list[Object]) -> Object:
    """The document with those of others. What both define under one name is ours: mostly object metadata."""
    out = {**document, "paths": dict(document["paths"]), "definitions": dict(document["definitions"])}
    for one in parts:
        for key in ("paths", "definitions"):
            out[key] = {**one.get(key, {}), **out[key]}
    return out
