"""What a structural schema does to an object: prune what it doesn't know, fill in defaults, say what its fields are.

Schemas are the plain `openAPIV3Schema` values of a CustomResourceDefinition. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import copy
from typing import Any

from heeler.kinds.types import type_named
from heeler.objects.schema import ANY, Field, Form, Type
from heeler.objects.value import Object

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
#: Of every object, and of embedded ones.
_META = ("apiVersion", "kind", "metadata")
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def prune(value: Any, schema: Object, path: str = "", *, root: bool = True) -> list[str]:
    """Drop in place what the schema doesn't specify, and nulls of fields that aren't nullable; the dropped paths."""
    dropped: list[str] = []
    _prune(value, schema, path, root or bool(schema.get(EMBEDDED)), dropped)
    return dropped


def _prune(value: Any, schema: Object, path: str, is_object: bool, dropped: list[str]) -> None:
    if isinstance(value, list):
        items = schema.get("items")
        for index, item in enumerate(value):
            if isinstance(items, dict):
                _prune(item, items, f"{path}[{index}]", bool(items.get(EMBEDDED)), dropped)
        return
    if not isinstance(value, dict):
        return
    properties: Object = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    keep = bool(schema.get(PRESERVE))
    for key in sorted(value):
        here = f"{path}.{key}" if path else key
        known = properties.get(key)
        if is_object and key in _META:
            continue
        if known is not None:
            _prune(value[key], known, here, bool(known.get(EMBEDDED)), dropped)
        elif isinstance(extra, dict):
            _prune(value[key], extra, here, bool(extra.get(EMBEDDED)), dropped)
        elif not keep and extra is not True:
            del value[key]
            dropped.append(here)


def whole_numbers(value: Any) -> Any:
    """The value with floats that are whole as integers, which is how Go writes them (3.0 is 3), up to 1e21."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (float, dict, list)):
                value[key] = whole_numbers(item)
    elif isinstance(value, list):
        value[:] = [whole_numbers(item) for item in value]
    return value


def default(value: Any, schema: Object) -> None:
    """Fill in defaults in place, from the outside in; a null where none may be is as good as absent."""
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                if item is None and not items.get("nullable") and "default" in items:
                    value[index] = copy.deepcopy(items["default"])
                default(value[index], items)
        return
    if not isinstance(value, dict):
        return
    properties: Object = schema.get("properties") or {}
    for key, known in properties.items():
        if key in value and value[key] is None and not known.get("nullable"):
            if "default" in known:
                del value[key]
        if key not in value and "default" in known:
            value[key] = copy.deepcopy(known["default"])
        if key in value:
            default(value[key], known)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for key in value:
            if key not in properties:
                if value[key] is None and not extra.get("nullable") and "default" in extra:
                    value[key] = copy.deepcopy(extra["default"])
                default(value[key], extra)


def drop_nulls(value: Any, schema: Object) -> None:
    """Drop, in place, nulls of specified fields that aren't nullable (what defaulting leaves of them)."""
    if isinstance(value, list):
        items = schema.get("items")
        for item in value if isinstance(items, dict) else ():
            drop_nulls(item, items)  # type: ignore[arg-type]
        return
    if not isinstance(value, dict):
        return
    properties: Object = schema.get("properties") or {}
    for key in list(value):
        known = properties.get(key)
        if known is None:
            continue
        if value[key] is None and not known.get("nullable"):
            del value[key]
        else:
            drop_nulls(value[key], known)


def type_of(schema: Object, *, name: str = "", root: bool = True) -> Type:
    """The schema as a `Type`, for patches and managed fields."""
    if schema.get(INT_OR_STRING):
        return Type("intorstring")
    form = schema.get("type", "")
    if form == "array":
        items = schema.get("items")
        item = type_of(items, root=False) if isinstance(items, dict) else ANY
        return Type(
            "list",
            item=item,
            list_type=schema.get("x-kubernetes-list-type") or "atomic",
            keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
            key_defaults=_key_defaults(schema),
        )
    if form == "object" or root:
        return _object_type(schema, name, root)
    return Type(_FORMS.get(form, "any"))


_FORMS: dict[str, Form] = {"string": "string", "integer": "int64", "number": "float", "boolean": "bool"}


def _key_defaults(schema: Object) -> dict[str, object]:
    items = schema.get("items")
    properties = (items.get("properties") or {}) if isinstance(items, dict) else {}
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return {k: properties[k]["default"] for k in keys if "default" in properties.get(k, {})}


def _object_type(schema: Object, name: str, root: bool) -> Type:
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    extra = schema.get("additionalProperties")
    properties: Object = schema.get("properties") or {}
    if isinstance(extra, dict) and not properties and not root:
        return Type("map", item=type_of(extra, root=False), atomic=atomic)
    out = Type("struct", name, atomic=atomic, preserve=bool(schema.get(PRESERVE)))
    for key, known in properties.items():
        out.fields[key] = Field(key, type_of(known, root=False), pointer=True)
    if root or schema.get(EMBEDDED):
        out.fields["apiVersion"] = Field("apiVersion", Type("string"))
        out.fields["kind"] = Field("kind", Type("string"))
    if root:
        out.fields["metadata"] = Field("metadata", type_named(OBJECT_META))
    return out
