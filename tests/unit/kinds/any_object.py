"""Objects of any type, drawn by a seed: every field may be there, empty, zero or filled."""

from __future__ import annotations

import random
from typing import Any

from heeler.objects.schema import Field, Type
from heeler.objects.value import Object

_DEPTH = 9
_TEXTS = ("", "a", "web-0", "ü→😀", "x" * 200, '{"quoted": "text"}', "\u0000")
_NUMBERS = (0, 1, -1, 7, 127, 128, 300, 65_536, 2**31 - 1, -(2**31))
_WIDE = (*_NUMBERS, 2**53, -(2**53), 2**63 - 1, -(2**63))
_TIMES = ("2026-11-26T01:02:03Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z")
_MICRO_TIMES = ("2026-11-26T01:02:03.000001Z", "1969-12-31T23:59:59.999999Z", "2026-11-26T01:02:03.500000Z")
_QUANTITIES = ("0", "100m", "1Gi", "1500m", "2", "-1", "1e3")
_JSON: tuple[Any, ...] = ({"a": 1, "b": [None, "c"]}, {}, {"kind": "X", "apiVersion": "v1"})


def drawn(type: Type, seed: int) -> Any:
    """A value of a type; the same seed gives the same one."""
    return _value(type, random.Random(seed), 0)


def drawn_object(type: Type, kind: str, api_version: str, seed: int) -> Object:
    """An object that says what it is."""
    found: Object = drawn(type, seed)
    return {**found, "kind": kind, "apiVersion": api_version}


def _value(type: Type, chance: random.Random, depth: int) -> Any:
    form = type.form
    if form == "struct":
        # what an object in an object is (a claim in a StatefulSet) isn't sent in protobuf
        hidden = ("kind", "apiVersion") if "metadata" in type.fields else ()
        fields = [f for f in type.fields.values() if f.name not in hidden and _present(f, chance, depth)]
        return {f.name: _of_field(f, chance, depth) for f in fields}
    if form == "map":
        assert type.item is not None
        count = 0 if depth > _DEPTH else chance.randrange(4)
        return {f"{'zyxw'[n]}/{n}": _value(type.item, chance, depth + 1) for n in range(count)}
    if form == "list":
        assert type.item is not None
        count = 0 if depth > _DEPTH else chance.randrange(3)
        return [_value(type.item, chance, depth + 1) for _ in range(count)]
    if form == "any":
        return chance.choice(_JSON) if type.item is None else _value(type.item, chance, depth + 1)
    choices: dict[str, tuple[Any, ...]] = {
        "string": _TEXTS,
        "duration": ("1s",),
        "int32": _NUMBERS,
        "int64": _WIDE,
        "float": (0.0, 1.5, -2.25, 1e300),
        "bool": (True, False),
        "bytes": ("", "AAEC", "aGVlbGVy"),
        "time": _TIMES,
        "microtime": _MICRO_TIMES,
        "quantity": _QUANTITIES,
        "intorstring": (0, 80, -1, "http", "", "50%"),
    }
    return chance.choice(choices[form])


def _present(field: Field, chance: random.Random, depth: int) -> bool:
    if field.name in ("metadata", "spec", "status", "template"):
        return True
    deep = field.type.form in ("struct", "list", "map", "any")
    return chance.random() < (0.1 if deep and depth > 5 else 0.0 if depth > _DEPTH else 0.5)


def _of_field(field: Field, chance: random.Random, depth: int) -> Any:
    if field.name == "dependencies":  # of a schema: each is a schema or names of fields
        return {"a": ["b", "c"]}
    return _value(field.type, chance, depth + 1)
