"""Schemas of OpenAPI documents: built-in types as they are published, custom ones as their definitions have them.

Descriptions are upstream's text and not ours to carry: the v3 documents have them where the `kubernetes` package is
installed (see `heeler.kinds.descriptions`). Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from heeler.kinds import published
from heeler.kinds.custom import structural
from heeler.kinds.custom.kind import CustomKind
from heeler.kinds.descriptions import of_type as described_fields
from heeler.kinds.kind import Kind
from heeler.objects.schema import Type
from heeler.objects.value import Object

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
SCALE = "io.k8s.api.autoscaling.v1.Scale"
GROUP = f"{META}.APIGroup"
#: What the operations on any kind speak of beside the kind.
COMMON = tuple(f"{META}.{name}" for name in ("DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status"))
MARK = "x-kubernetes-group-version-kind"
#: A kind, and a list, whose apiVersion, kind and metadata are described in the words that every kind's are.
_ANY_OBJECT, _ANY_LIST = "io.k8s.api.core.v1.ConfigMap", "io.k8s.api.core.v1.ConfigMapList"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
#: Types that v2 calls a string, where v3 names what they may be.
_UNIONS = ("io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString")
_NOT_IN_V2 = ("nullable", "oneOf", "anyOf", "allOf", "not", "default")


def references(name: str, *, three: bool) -> Object:
    """A reference to a schema."""
    return {"$ref": (published.REFERENCE if three else "#/definitions/") + name}


def built_in(name: str, marks: Iterable[published.Mark], *, three: bool) -> Object:
    """A built-in type's schema, and the kinds that it is."""
    facts = published.schema(name)
    if three:
        out = _described(name, facts)
    else:
        out = {k: v for k, v in facts.items() if k != "oneOf"}
        if name in _UNIONS:
            out["type"] = "string"
        if "properties" in facts:
            out["properties"] = {field: _published_for_v2(node) for field, node in facts["properties"].items()}
    return _marked(out, marks)


def _marked(schema: Object, marks: Iterable[published.Mark]) -> Object:
    found = [{"group": group, "kind": kind, "version": version} for group, version, kind in marks]
    return {**schema, MARK: found} if found else schema


def _described(name: str, facts: Object) -> Object:
    words = described_fields(name)
    if not words or "properties" not in facts:
        return facts
    fields = {k: {**v, "description": words[k]} if k in words else v for k, v in facts["properties"].items()}
    return {**facts, "properties": fields}


def _published_for_v2(node: Any) -> Any:
    """A published schema in the words of OpenAPI v2, which has no defaults and no `allOf` around a reference."""
    if not isinstance(node, dict):
        return node
    out: Object = {}
    for key, value in node.items():
        if key == "allOf":
            out |= _published_for_v2(value[0])
        elif key == "$ref":
            out |= references(value.removeprefix(published.REFERENCE), three=False)
        elif key in ("items", "additionalProperties"):
            out[key] = _published_for_v2(value)
        elif key not in ("default", "oneOf"):
            out[key] = value
    return out


def custom(kind: CustomKind, version: str, *, three: bool) -> dict[str, Object]:
    """The schemas of a definition's kind and of its list, by name."""
    schema = kind.schema(version)
    return _kind_and_list(kind, version, _custom_for_v3(schema) if three else _custom_for_v2(schema), three=three)


def unpublished(kind: Kind, version: str, *, three: bool) -> dict[str, Object]:
    """The same of a kind that is ours but not among the published ones, out of its type."""
    return _kind_and_list(kind, version, _of_type(kind.type(version)), three=three)


def _kind_and_list(kind: Kind, version: str, own: Object, *, three: bool) -> dict[str, Object]:
    meta = references(f"{META}.ObjectMeta", three=three)
    own = {**own, "properties": {**(own.get("properties") or {}), **_common_fields(_ANY_OBJECT, meta, three)}}
    name = kind.type_name(version)
    return {
        name: _marked(own, [(kind.group, version, kind.kind)]),
        f"{name}List": _marked(_list_of(kind, name, three=three), [(kind.group, version, kind.list_kind)]),
    }


def _of_type(type: Type) -> Object:
    if type.form == "struct":
        own = {name: _of_type(field.type) for name, field in type.fields.items() if name != "metadata"}
        return {"type": "object", "properties": own}
    if type.form in ("map", "list"):
        assert type.item is not None
        inner = _of_type(type.item)
        return (
            {"type": "array", "items": inner}
            if type.form == "list"
            else {"type": "object", "additionalProperties": inner}
        )
    return {"type": "string", "format": "date-time"} if type.form == "time" else {"type": "string"}


def _list_of(kind: Kind, name: str, *, three: bool) -> Object:
    items = {
        "description": f"List of {kind.plural}. More info: {_CONVENTIONS}",
        "type": "array",
        "items": references(name, three=three),
    }
    meta = references(f"{META}.ListMeta", three=three)
    return {
        "description": f"{kind.list_kind} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {**_common_fields(_ANY_LIST, meta, three), "items": items},
    }


def _common_fields(like: str, meta: Object, three: bool) -> Object:
    """apiVersion, kind and metadata."""
    words = described_fields(like)
    fields: Object = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": meta}
    for key, field in fields.items():
        if key in words:
            field = {"allOf": [field]} if three and "$ref" in field else field
            fields[key] = {**field, "description": words[key]}
    return fields


def _custom_for_v3(node: Any) -> Any:
    """A structural schema with what its extensions say in v3's own words."""
    if not isinstance(node, dict):
        return node
    out = dict(node)
    if out.get(structural.INT_OR_STRING) and "anyOf" not in out:
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(out.get("properties"), dict):
        out["properties"] = {k: _custom_for_v3(v) for k, v in out["properties"].items()}
    if out.get(structural.EMBEDDED):
        meta = references(f"{META}.ObjectMeta", three=True)
        fields: Object = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": meta}
        out["properties"] = {**(out.get("properties") or {}), **fields}
        out["required"] = [*(out.get("required") or ()), "kind", "apiVersion"]
    for key in ("items", "additionalProperties"):
        if key in out:
            out[key] = _custom_for_v3(out[key])
    return out


def _custom_for_v2(node: Any) -> Any:
    """A structural schema in the words of OpenAPI v2: what it can't say is left open, what may be null isn't required."""
    if not isinstance(node, dict):
        return node
    out = {k: v for k, v in node.items() if k not in _NOT_IN_V2}
    if node.get("nullable") or out.get(structural.PRESERVE) or out.get(structural.INT_OR_STRING):
        return {k: v for k, v in out.items() if k not in ("type", "properties", "items", "required")}
    fields = out.get("properties")
    if isinstance(fields, dict):
        out["properties"] = {k: _custom_for_v2(v) for k, v in fields.items()}
        required = [k for k in out.get("required") or () if not (fields.get(k) or {}).get("nullable")]
        out.pop("required", None)
        if required:
            out["required"] = required
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _custom_for_v2(out[key])
    return out
