"""Types of the built-in kinds by their OpenAPI names, built on demand from the committed schema.

The schema (`schema/types.json.gz`) is read and parsed once, at the first question; a `Type` is built when it is first
asked for, together with the types that its fields reach. Types may refer to themselves. See `scripts/import_schema.py`.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib import resources
from typing import Any

import orjson

from heeler.base.made import Made
from heeler.kinds.presence import KEPT_EMPTY, KEY_DEFAULTS, short_name
from heeler.objects.schema import Field, Form, Type

_SCALARS: dict[str, Type] = {
    form: Type(form)
    for form in (
        *("string", "int32", "int64", "float", "bool", "bytes", "time", "microtime", "duration"),
        *("quantity", "intorstring", "any"),
    )
}


def read_schema(name: str) -> Any:
    """A committed schema file's content."""
    return orjson.loads(gzip.decompress(resources.files("heeler.kinds.schema").joinpath(name).read_bytes()))


@cache
def _facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = read_schema("types.json.gz")
    return facts


_built: Made[str, Type] = Made()

#: Unions of a JSONSchemaProps with something else: kept as they come, but a struct inside is decoded as one.
_SCHEMA_UNION = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


def type_names() -> list[str]:
    """Every name that `type_named` knows."""
    return list(_facts())


def field_breaks(short: str) -> dict[str, list[int]]:
    """Where the descriptions of a type's fields break lines; `short` is its short name."""
    facts = _facts().get(f"io.k8s.api.{short}") or _facts().get(f"io.k8s.{short}") or {"f": {}}
    return {name: fact["b"] for name, fact in facts["f"].items() if "b" in fact}


def type_named(name: str) -> Type:
    """The type of an OpenAPI definition, e.g. "io.k8s.api.apps.v1.Deployment". Raises KeyError."""
    return _built.whole.get(name) or _built.get(name, lambda begun: _build(name, begun))


def _build(name: str, begun: dict[str, Type]) -> Type:
    facts = _facts()[name]
    package, _, own = name.rpartition(".")
    out = Type("struct", own, atomic=bool(facts.get("a")), package=package.rpartition(".")[2])
    begun[name] = out  # before the fields, as they may come back here
    owner = short_name(name)
    for key, fact in facts["f"].items():
        out.fields[key] = Field(
            key,
            _field_type(owner, key, fact),
            "o" not in fact,
            "p" in fact or f"{owner}.{key}" in KEPT_EMPTY,
            fact.get("s", ""),
            fact.get("m", ""),
            fact.get("e", ""),
        )
    return out


def _field_type(owner: str, key: str, fact: dict[str, Any]) -> Type:
    """The type of one field; list and map facts and named texts stand on the field's own type."""
    shape, named = fact["t"], fact.get("n", "")
    if isinstance(shape, str):
        if shape == "string" and named:
            return _named_text(named)
        if shape == "any" and owner.endswith(".JSONSchemaProps") and key in _UNIONS:
            return Type("any", item=type_named(_SCHEMA_UNION))
        base = _of(shape)
        if base.form == "struct" and "a" in fact and bool(fact["a"]) != base.atomic:
            return Type("struct", base.name, base.fields, atomic=not base.atomic, package=base.package)
        return base
    if isinstance(shape, list):
        item = _held(shape[0], fact)
        return Type(
            "list",
            item=item,
            list_type=fact.get("l", "atomic"),
            keys=tuple(fact.get("k", ())),
            key_defaults=_key_defaults(f"{owner}.{key}", item, fact),
        )
    package, _, name = named.rpartition(".")
    return Type("map", name, item=_held(shape["map"], fact), atomic=bool(fact.get("a")), package=package)


_UNIONS = ("items", "additionalProperties", "additionalItems", "dependencies")


def _key_defaults(path: str, item: Type, fact: dict[str, Any]) -> dict[str, object]:
    """What a key is where an item leaves it out: fields that are always written have their zero as a default upstream."""
    written = {key: item.fields[key] for key in fact.get("k", ()) if key in item.fields}
    zeros = {
        key: _ZEROS[f.type.form] for key, f in written.items() if f.always and not f.pointer and f.type.form in _ZEROS
    }
    return zeros | KEY_DEFAULTS.get(path, {})


_ZEROS: dict[str, object] = {"string": "", "int32": 0, "int64": 0}


def _held(shape: Any, fact: dict[str, Any]) -> Type:
    """What a list or map holds."""
    return _named_text(fact["i"]) if shape == "string" and "i" in fact else _of(shape)


def _named_text(named: str) -> Type:
    package, _, name = named.rpartition(".")
    return Type("string", name, package=package)


def _of(shape: Any) -> Type:
    if isinstance(shape, list):
        return Type("list", item=_of(shape[0]))
    if isinstance(shape, dict):
        return Type("map", item=_of(shape["map"]))
    if shape.startswith("#"):
        return type_named(shape[1:])
    return _SCALARS[shape]


def scalar(form: Form) -> Type:
    """The shared type of a scalar form."""
    return _SCALARS[form]
