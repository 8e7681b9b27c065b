"""OpenAPI documents: which kinds stand in which. They are made at the first request and kept as bytes.

Schemas come from `openapi_schemas.py`, operations from `openapi_paths.py`. Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver import openapi_protobuf
from heeler.apiserver.aggregation import swagger
from heeler.apiserver.openapi_paths import paths as operations
from heeler.apiserver.openapi_paths import resources
from heeler.apiserver.openapi_schemas import COMMON, SCALE, built_in, custom
from heeler.kinds import published
from heeler.kinds.custom.kind import CustomKind
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

_INFO = {"title": "Kubernetes", "version": "v1.37.2"}


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
        document = {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions}
        documents["v2"] = orjson.dumps(swagger.merged(document, server.aggregator.swagger()))
    return documents["v2"]


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
        paths |= operations(kind, version, three=three)
    return schemas, paths


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
    schemas, paths = _group_version(server, group, version, three=True)
    if not schemas:
        return None
    custom = not published.document(key)
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"} if custom else _INFO,
        "paths": paths,
        "components": {"schemas": schemas},
    }
    documents[key] = orjson.dumps(document)
    return documents[key]


def _documents(server: ApiServer) -> dict[str, bytes]:
    return server.openapi_documents
