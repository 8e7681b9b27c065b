"""OpenAPI documents made from the same facts that decode objects: types, list types, merge keys.

Descriptions are upstream's text and not ours to carry: the v3 documents have them where the `kubernetes` package is
installed (see `heeler.kinds.descriptions`). Documents are made at the first request and kept as bytes. Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver import openapi_protobuf
from heeler.apiserver.aggregation import swagger
from heeler.kinds.custom import structural
from heeler.kinds.custom.kind import CustomKind
from heeler.kinds.descriptions import of_type as describe_type
from heeler.kinds.types import built_names, type_named
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer
    from heeler.kinds.kind import Kind
    from heeler.objects.schema import Type

_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
}


_META = "io.k8s.apimachinery.pkg"
#: Scalars that have a definition of their own.
_NAMED: dict[str, tuple[str, Object]] = {
    "time": (f"{_META}.apis.meta.v1.Time", {"type": "string", "format": "date-time"}),
    "microtime": (f"{_META}.apis.meta.v1.MicroTime", {"type": "string", "format": "date-time"}),
    "duration": (f"{_META}.apis.meta.v1.Duration", {"type": "string"}),
    "quantity": (f"{_META}.api.resource.Quantity", {"type": "string"}),
    "intorstring": (f"{_META}.util.intstr.IntOrString", {"type": "string", "format": "int-or-string"}),
    "any": (f"{_META}.runtime.RawExtension", {"type": "object"}),
}
#: A kind whose apiVersion, kind and metadata are described in the words that every kind's are.
_ANY_OBJECT = "io.k8s.api.core.v1.ConfigMap"
_NOT_IN_V2 = ("nullable", "oneOf", "anyOf", "allOf", "not", "default")
_UNIONS = {"quantity": ("string", "number"), "intorstring": ("integer", "string")}


def _for_v2(schema: Object) -> Object:
    """A structural schema in the words of OpenAPI v2: what it can't say is left open."""
    out = {k: v for k, v in schema.items() if k not in _NOT_IN_V2}
    if out.get(structural.PRESERVE) or out.get(structural.INT_OR_STRING):
        out = {k: v for k, v in out.items() if k not in ("type", "properties", "items")}
    if isinstance(out.get("properties"), dict):
        out["properties"] = {k: _for_v2(v) for k, v in out["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = _for_v2(out[key])
    return out


def _without_type(schema: Object) -> Object:
    return {k: v for k, v in schema.items() if k != "type"}


class _Schemas:
    """Collects a schema for each struct that is reachable from the kinds of a document."""

    def __init__(self, prefix: str, three: bool) -> None:
        self.prefix = prefix
        self._three = three
        self._names: dict[int, str] = {}
        self._known = built_names()
        self.found: dict[str, Object] = {}

    def of(self, type: Type, name: str = "") -> Object:
        """A schema, or a reference to one."""
        if type.form == "struct":
            return {"$ref": self.prefix + self._struct(type, name)}
        if type.form == "list":
            assert type.item is not None
            out: Object = {"type": "array", "items": self.of(type.item)}
            if type.list_type != "atomic":
                out["x-kubernetes-list-type"] = type.list_type
            if type.keys:
                out["x-kubernetes-list-map-keys"] = list(type.keys)
            return out
        if type.form == "map":
            assert type.item is not None
            return {"type": "object", "additionalProperties": self.of(type.item)}
        if type.form in _NAMED:
            name, schema = _NAMED[type.form]
            if self._three and type.form in _UNIONS:
                schema = {"oneOf": [{"type": t} for t in _UNIONS[type.form]], **_without_type(schema)}
            self.found.setdefault(name, schema)
            return {"$ref": self.prefix + name}
        return dict(_SCALARS[type.form])

    def custom(self, schema: Object) -> Object:
        """A definition's own schema, with what every object has; OpenAPI v2 doesn't know some of its words."""
        out = schema if self._three else _for_v2(schema)
        meta = self.of(type_named(structural.OBJECT_META), structural.OBJECT_META)
        properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": meta}
        described = describe_type(_ANY_OBJECT) if self._three else {}
        for key, property in properties.items():
            if key in described:
                text = {"description": described[key]}
                properties[key] = {"allOf": [property], **text} if "$ref" in property else {**property, **text}
        return {**out, "properties": {**(out.get("properties") or {}), **properties}}

    def _struct(self, type: Type, name: str) -> str:
        if id(type) in self._names:
            return self._names[id(type)]
        own = self._known.get(id(type)) or built_names().get(id(type), "")
        base = name or own or type.name or "Object"
        described = describe_type(own) if own and self._three else {}
        unique, number = base, 2
        while unique in self.found:
            unique, number = f"{base}{number}", number + 1
        self._names[id(type)] = unique
        schema: Object = {"type": "object"}
        self.found[unique] = schema
        properties: Object = {}
        for field in type.fields.values():
            entry = self.of(field.type)
            if field.name in described:
                text = {"description": described[field.name]}
                entry = {"allOf": [entry], **text} if "$ref" in entry else {**entry, **text}
            extra: Object = {}
            if field.patch_strategy:
                extra["x-kubernetes-patch-strategy"] = field.patch_strategy
            if field.merge_key:
                extra["x-kubernetes-patch-merge-key"] = field.merge_key
            if extra and "$ref" in entry and self._three:
                entry = {"allOf": [entry], **extra}
            else:
                entry = {**entry, **extra}
            properties[field.name] = entry
        if properties:
            schema["properties"] = properties
        if type.atomic:
            schema["x-kubernetes-map-type"] = "atomic"
        return unique


def _schema_of(kind: Kind, version: str, schemas: _Schemas) -> Object:
    """A reference to the kind's schema, which is among `schemas` then."""
    if isinstance(kind, CustomKind):
        name = f"{'.'.join(reversed(kind.group.split('.')))}.{version}.{kind.kind}"
        schemas.found[name] = schemas.custom(kind.schema(version))
        reference: Object = {"$ref": schemas.prefix + name}
    else:
        name = _name(kind, version)
        reference = schemas.of(kind.type(version), name)
    _mark(schemas.found[reference["$ref"].rpartition("/")[2]], kind, version)
    return reference


def _mark(schema: Object, kind: Kind, version: str) -> None:
    schema["x-kubernetes-group-version-kind"] = [{"group": kind.group, "kind": kind.kind, "version": version}]


def _name(kind: Kind, version: str) -> str:
    group = ".".join(reversed(kind.group.split("."))) if "." in kind.group else (kind.group or "core")
    return f"io.k8s.api.{group}.{version}.{kind.kind}"


def v2(server: ApiServer) -> bytes:
    """/openapi/v2: every kind's definition and the paths that read and write it."""
    found = _documents(server).get("v2")
    if found is None:
        schemas = _Schemas("#/definitions/", three=False)
        paths: Object = {}
        for kind in server.kinds:
            for version in kind.versions:
                reference = _schema_of(kind, version, schemas)
                paths |= _paths(kind, version, reference, three=False)
        document = {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": "v1.37.2"},
            "paths": paths,
            "definitions": schemas.found,
        }
        found = _documents(server)["v2"] = orjson.dumps(swagger.merged(document, server.aggregator.swagger()))
    return found


def v2_protobuf(server: ApiServer) -> bytes:
    """The same in protobuf, without the paths."""
    documents = _documents(server)
    if "v2-protobuf" not in documents:
        documents["v2-protobuf"] = openapi_protobuf.encode(orjson.loads(v2(server)))
    return documents["v2-protobuf"]


def v3_index(server: ApiServer) -> Object:
    """/openapi/v3: where each group version's document is."""
    out: Object = {}
    for name, versions in server.aggregator.groups():
        for version in versions:
            remote = server.aggregator.remote(name, version)
            if remote is not None:
                address = server.aggregator.documents(remote).openapi
                if address:
                    out[remote.path[1:]] = {"serverRelativeURL": address}
                continue
            key = f"apis/{name}/{version}" if name else f"api/{version}"
            body = v3(server, key) or b""
            out[key] = {"serverRelativeURL": f"/openapi/v3/{key}?hash={hashlib.sha256(body).hexdigest()[:32].upper()}"}
    return {"paths": out}


def v3(server: ApiServer, key: str) -> bytes | None:
    """/openapi/v3/apis/GROUP/VERSION, or None where nothing is served."""
    documents = _documents(server)
    if key in documents:
        return documents[key]
    parts = key.split("/")
    if parts[0] == "api" and len(parts) == 2:
        group, version = "", parts[1]
    elif parts[0] == "apis" and len(parts) == 3:
        group, version = parts[1], parts[2]
    else:
        return None
    kinds = [k for k in server.kinds if k.group == group and version in k.versions]
    if not kinds:
        return None
    schemas = _Schemas("#/components/schemas/", three=True)
    paths: Object = {}
    for kind in kinds:
        reference = _schema_of(kind, version, schemas)
        paths |= _paths(kind, version, reference, three=True)
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {"schemas": schemas.found},
    }
    documents[key] = orjson.dumps(document)
    return documents[key]


_METHODS = {"create": "post", "get": "get", "list": "get", "update": "put", "patch": "patch", "delete": "delete"}
_ACTIONS = {"create": "post", "update": "put", "list": "list", "get": "get", "patch": "patch", "delete": "delete"}


def _paths(kind: Kind, version: str, reference: Object, *, three: bool) -> Object:
    """The collection's and the object's operations."""
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    collection = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    out: Object = {}
    for path, verbs in (
        (collection, ("list", "create")),
        (collection + "/{name}", ("get", "update", "patch", "delete")),
    ):
        operations: Object = {}
        for verb in verbs:
            if verb in kind.verbs:
                operations[_METHODS[verb]] = _operation(kind, version, verb, reference, three=three)
        if operations:
            out[path] = operations
    return out


def _operation(kind: Kind, version: str, verb: str, reference: Object, *, three: bool) -> Object:
    body: Any = {"content": {"application/json": {"schema": reference}}} if three else {"schema": reference}
    out: Object = {
        "responses": {"200": {"description": "OK", **body}},
        "x-kubernetes-action": _ACTIONS[verb],
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": version},
    }
    if verb in ("create", "update") and three:
        out["requestBody"] = body
    if verb in ("create", "update", "patch"):
        parameters = [_query("dryRun", three), _query("fieldManager", three), _query("fieldValidation", three)]
        if verb == "patch":
            parameters.append(_query("force", three, "boolean"))
        out["parameters"] = parameters
    return out


def _query(name: str, three: bool, type: str = "string") -> Object:
    schema: Object = {"schema": {"type": type, "uniqueItems": True}} if three else {"type": type, "uniqueItems": True}
    return {"name": name, "in": "query", **schema}


def _documents(server: ApiServer) -> dict[str, bytes]:
    return server.openapi_documents
