"""OpenAPI documents: which kinds stand in which. They are made at the first request and kept as bytes.

Schemas come from `openapi_schemas.py`, operations from `openapi_paths.py`. Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver import openapi_protobuf
from heeler.apiserver.aggregation import swagger
from heeler.apiserver.openapi_paths import general, general_keys, resources
from heeler.apiserver.openapi_paths import paths as operations
from heeler.apiserver.openapi_schemas import COMMON, GROUP, SCALE, built_in, custom, unpublished
from heeler.kinds import published
from heeler.kinds.custom.kind import CustomKind
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

_INFO = {"title": "Kubernetes", "version": "1.37"}
_SECURITY = {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}}


def v2(server: ApiServer) -> bytes:
    """/openapi/v2: every kind's definition and the paths that read and write it."""
    documents = _documents(server)
    if "v2" not in documents:
        definitions: dict[str, Object] = {}
        paths: Object = {}
        for group, version in dict.fromkeys(
            (kind.group, version) for kind in server.kinds for version in kind.versions
        ):
            schemas, found = _group_version(server, group, version, three=False)
            definitions |= schemas
            paths |= found
        for key in general_keys(_built_in_groups(server)):
            definitions |= {
                name: built_in(name, published.marks(name), three=False) for name in published.document(key)
            }
            paths |= general(key, three=False)
        document = {
            "swagger": "2.0",
            "info": _INFO,
            "paths": paths,
            "definitions": definitions,
            "securityDefinitions": _SECURITY,
            "security": [{name: [] for name in _SECURITY}],
        }
        documents["v2"] = orjson.dumps(swagger.merged(document, server.aggregator.swagger()))
    return documents["v2"]


def _built_in_groups(server: ApiServer) -> list[str]:
    return sorted({kind.group for kind in server.kinds if not kind.custom})


def _group_version(server: ApiServer, group: str, version: str, *, three: bool) -> tuple[dict[str, Object], Object]:
    """Schemas and paths of a group version; nothing if it isn't served."""
    kinds = [kind for kind in server.kinds if kind.group == group and version in kind.versions]
    if not kinds:
        return {}, {}
    types = published.document(f"apis/{group}/{version}" if group else f"api/{version}")
    paths = resources(group, version, three=three) if types else {}
    if not types:
        scale = (SCALE,) if any("scale" in kind.subresources for kind in kinds) else ()
        types = {name: published.marks(name) for name in published.reachable((*COMMON, *scale))}
    schemas = {
        name: built_in(name, marks if three else published.marks(name), three=three) for name, marks in types.items()
    }
    for kind in kinds:
        if isinstance(kind, CustomKind):
            schemas |= custom(kind, version, three=three)
        elif kind.type_name(version) not in types:
            schemas |= unpublished(kind, version, three=three)
        paths |= operations(kind, version, three=three)
    return schemas, paths


def v2_protobuf(server: ApiServer) -> bytes:
    """The same in protobuf, without the paths."""
    documents = _documents(server)
    if "v2-protobuf" not in documents:
        documents["v2-protobuf"] = openapi_protobuf.encode(orjson.loads(v2(server)))
    return documents["v2-protobuf"]


def v3_index(server: ApiServer) -> Object:
    """/openapi/v3: where each document is, those of group versions and those about what lies above them."""
    out: Object = {key: _address(server, key) for key in general_keys(_built_in_groups(server))}
    for name, versions in server.aggregator.groups():
        for version in versions:
            remote = server.aggregator.remote(name, version)
            if remote is not None:
                address = server.aggregator.documents(remote).openapi
                if address:
                    out[remote.path[1:]] = {"serverRelativeURL": address}
                continue
            key = f"apis/{name}/{version}" if name else f"api/{version}"
            out[key] = _address(server, key)
    return {"paths": dict(sorted(out.items()))}


def _address(server: ApiServer, key: str) -> Object:
    body = v3(server, key) or b""
    return {"serverRelativeURL": f"/openapi/v3/{key}?hash={hashlib.sha256(body).hexdigest()[:32].upper()}"}


def v3(server: ApiServer, key: str) -> bytes | None:
    """/openapi/v3/apis/GROUP/VERSION (or `version`, `apis/GROUP`…), or None where nothing is served."""
    documents = _documents(server)
    if key in documents:
        return documents[key]
    found = _schemas_and_paths(server, key)
    if found is None:
        return None
    schemas, paths = found
    components: Object = {"schemas": schemas} if schemas else {}
    custom = bool(schemas) and not published.document(key)
    if not custom:
        components["securitySchemes"] = _SECURITY
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"} if custom else _INFO,
        "paths": paths,
        "components": components,
    }
    documents[key] = orjson.dumps(document)
    return documents[key]


def _schemas_and_paths(server: ApiServer, key: str) -> tuple[dict[str, Object], Object] | None:
    """What stands in a v3 document; None where nothing is served."""
    if key in general_keys(_built_in_groups(server)):
        types = published.document(key) or {name: published.marks(name) for name in published.reachable((GROUP,))}
        return {name: built_in(name, marks, three=True) for name, marks in types.items()}, general(key, three=True)
    match key.split("/"):
        case ["api", version]:
            found = _group_version(server, "", version, three=True)
        case ["apis", group, version]:
            found = _group_version(server, group, version, three=True)
        case _:
            return None
    return found if found[0] else None


def _documents(server: ApiServer) -> dict[str, bytes]:
    return server.openapi_documents
