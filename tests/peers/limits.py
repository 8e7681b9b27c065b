"""Recorded bodies with one field at a limit: lists of many items, long and odd texts, numbers out of bounds, odd names.

Each field of each kind once; `tests/peers/differential.py --limits` sends them to both servers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

NAMES = ("Name", "a.b", "x" * 64, "y" * 254, "1a", "a_b", "a:b", ".", "a b", "-a", "a.-b")
TEXTS = ("x" * 5000, "x" * 64, "y" * 254, "", "a b", "Abc", "a/b/c", "a..b", "-a.b")
NUMBERS = (-1, 0, 2**31 - 1)
#: What is left as it is.
LEFT = (("kind",), ("apiVersion",), ("status",))


def _many(rows: list[Any], count: int) -> list[Any]:
    """So many items, told apart by what usually names them."""
    out = []
    for at in range(count):
        row = copy.deepcopy(rows[at % len(rows)])
        if isinstance(row, dict):
            row |= {key: f"{row[key]}{at}" for key in ("name", "key", "host") if isinstance(row.get(key), str)}
        elif isinstance(row, str):
            row = f"{row}{at}"
        out.append(row)
    return out


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        if value:
            yield from (value + value[:1], _many(value, 70), _many(value, 1100))
        yield []
    elif isinstance(value, dict):
        yield {}
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from NUMBERS
    elif isinstance(value, str):
        yield from TEXTS


def _paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if here:
        yield here
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in rows:
        yield from _paths(item, (*here, key))


def bodies(kind_bodies: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """The bodies of one kind, each with what was changed."""
    seen: set[tuple[Any, ...]] = set()
    for body in [json.loads(json.dumps(one).replace("NAME", "limit")) for one in kind_bodies[:3]]:
        if not seen:
            for name in NAMES:
                yield {**body, "metadata": {**body.get("metadata", {}), "name": name}}, f"metadata.name = {name[:8]}"
        for path in _paths(body):
            shape = tuple("*" if isinstance(step, int) else step for step in path)
            if path[:1] in LEFT or path[:2] in (("metadata", "name"), ("metadata", "namespace")) or shape in seen:
                continue
            seen.add(shape)
            for value in _values(_at(body, path)):
                changed = copy.deepcopy(body)
                _at(changed, path[:-1])[path[-1]] = value
                changed.setdefault("metadata", {}).pop("generateName", None)
                changed["metadata"].setdefault("name", "limit")
                yield changed, f"{'.'.join(map(str, path))} = {str(value)[:20]}"


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value
