"""Everything that isn't a resource: discovery, health, version, metrics, OpenAPI, the token issuer's documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from heeler.apiserver import discovery, encode_protobuf, health, metrics, openapi, openapi_protobuf
from heeler.apiserver.aggregation.proxy import forward
from heeler.apiserver.call import Call, Plain, Raw
from heeler.apiserver.encode import compress, encode
from heeler.apiserver.negotiate import JSON, PROTOBUF, negotiate, route
from heeler.apiserver.request_info import RequestInfo
from heeler.apiserver.user import User
from heeler.objects.status import method_not_allowed, unknown_path
from heeler.objects.value import Object
from heeler.wire.http.messages import Response

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

TEXT = "text/plain; charset=utf-8"
VERSION: Object = {
    "major": "1",
    "minor": "37",
    "emulationMajor": "1",
    "emulationMinor": "37",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36",
    "gitVersion": "v1.37.2+heeler",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "CPython",
    "platform": "linux/amd64",
}


async def answer(call: Call, info: RequestInfo, user: User, server: ApiServer) -> Raw:
    """The answer to a path that names no resource."""
    parts = [p for p in call.path.split("/") if p]
    if not parts:
        return _json({"paths": _paths(server)})
    first = parts[0]
    if first in health.HEALTH:
        query = call.query
        found = health.answer(call.path, verbose="verbose" in query, exclude=query.get("exclude") or (), server=server)
        return not_found() if found is None else Raw(found)
    if first in ("api", "apis"):
        return _discovery(call, parts, server)
    if first == "version" and len(parts) == 1:
        route(call.headers.get("accept", ""), (JSON,))
        return _json(VERSION)
    if first == "metrics" and len(parts) == 1:
        return Raw(
            Response(
                200,
                [("Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")],
                metrics.text(server),
            )
        )
    if first == "openapi":
        return await _openapi(call, info, user, parts[1:], server)
    if call.path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
        return _issuer(call, server)
    return not_found()


def not_found() -> Raw:
    """404 as plain text: no API is known by that path."""
    return Raw(Response(404, [("Content-Type", TEXT), ("X-Content-Type-Options", "nosniff")], b"404 page not found\n"))


def no_request_info(path: str) -> Raw:
    """An old proxy path that says neither kind nor namespace."""
    text = (
        f'Internal Server Error: "{path}": failed to create RequestInfo: '
        f"unable to determine kind and namespace from url, {path}\n"
    )
    return Raw(Response(500, [("Content-Type", TEXT)], text.encode()))


def _json(obj: Object) -> Raw:
    """A document that is JSON whatever is asked for."""
    return Raw(Response(200, [("Content-Type", JSON)], orjson.dumps(obj, option=orjson.OPT_INDENT_2)))


def _object(call: Call, obj: Object, server: ApiServer, *, routed: bool) -> Raw:
    accept = call.headers.get("accept", "")
    if routed:
        route(accept)
    format = negotiate(accept, transform=False)
    found = encode(Plain(obj), call, format, server)
    assert isinstance(found, Response)
    call.warnings.clear()
    return Raw(found)


def _paths(server: ApiServer) -> list[str]:
    out = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
    for name, versions in server.aggregator.groups():
        if name:
            out += [f"/apis/{name}", *(f"/apis/{name}/{v}" for v in versions)]
    out += [*health.paths(), "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"]
    return sorted(out)


def _discovery(call: Call, parts: list[str], server: ApiServer) -> Raw:
    document: Object | None
    if len(parts) == 1:
        if call.method not in ("GET", "HEAD", "POST"):
            raise method_not_allowed()
        media = _aggregated(call)
        if media:
            return _aggregated_document(call, parts[0], media, server)
        document = discovery.api_versions(server) if parts[0] == "api" else discovery.group_list(server)
        return _object(call, document, server, routed=parts[0] == "api")
    if call.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    if parts[0] == "api":
        document = discovery.resource_list(server, "", parts[1])
    elif len(parts) == 2:
        document = discovery.group(server, parts[1])
    else:
        document = discovery.resource_list(server, parts[1], parts[2])
    if document is None:
        if parts[0] == "apis" and (parts[1] not in server.groups() or server.kinds.is_custom(parts[1])):
            return not_found()
        raise unknown_path()
    of_version = len(parts) == (2 if parts[0] == "api" else 3)
    return _object(call, document, server, routed=of_version and not server.kinds.is_custom(parts[1]))


def _aggregated(call: Call) -> str:
    """The media type in which the aggregated form is asked for, in a version that we have, before any plain one; or ""."""
    for text in call.headers.get("accept", "").split(","):
        media, *rest = (part.strip() for part in text.split(";"))
        if media not in (JSON, PROTOBUF, "*/*"):
            continue
        parameters = dict(p.partition("=")[::2] for p in rest)
        if not parameters.get("as"):
            return ""
        if (parameters["as"], parameters.get("g"), parameters.get("v")) == (
            "APIGroupDiscoveryList",
            "apidiscovery.k8s.io",
            "v2",
        ):
            return PROTOBUF if media == PROTOBUF else JSON
    return ""


def _aggregated_document(call: Call, which: str, media: str, server: ApiServer) -> Raw:
    """/api or /apis; garbage collectors and tools ask for it often, so it is made once for a set of kinds."""
    found = server.discovery_documents.get(f"{which} {media}")
    if found is None:
        document = discovery.aggregated(server, core=which == "api")
        body = orjson.dumps(document) if media == JSON else encode_protobuf.document(document)
        found = server.discovery_documents[f"{which} {media}"] = discovery.etag(document), body
    tag, body = found
    shown = discovery.AGGREGATED.replace(JSON, media)
    headers = [("Content-Type", shown), ("ETag", tag), ("Vary", "Accept"), ("Cache-Control", "public")]
    if call.headers.get("if-none-match") == tag:
        return Raw(Response(304, headers[1:]))
    return Raw(compress(call, Response(200, headers, body)))


async def _openapi(call: Call, info: RequestInfo, user: User, parts: list[str], server: ApiServer) -> Raw:
    if parts == ["v2"]:
        media = openapi_protobuf.media(call.headers.get("accept", ""))
        if not media:
            return Raw(Response(406, []))
        if media != JSON:
            headers = [("Content-Type", openapi_protobuf.CONTENT_TYPE)]
            return Raw(compress(call, Response(200, headers, openapi.v2_protobuf(server))))
        return Raw(compress(call, Response(200, [("Content-Type", "application/json")], openapi.v2(server))))
    if parts == ["v3"]:
        return Raw(Response(200, [("Content-Type", "application/json")], orjson.dumps(openapi.v3_index(server))))
    if parts[:1] == ["v3"]:
        remote = server.aggregator.remote_of("/" + "/".join(parts[1:]))
        if remote is not None and not server.aggregator.documents(remote).openapi:
            return Raw(Response(404, []))
        if remote is not None:
            return await forward(call, info, user, remote, server.aggregator)
        found = openapi.v3(server, "/".join(parts[1:]))
        if found is None:
            return Raw(Response(404, []))
        return Raw(compress(call, Response(200, [("Content-Type", "application/json")], found)))
    return not_found()


_KEYS = "application/jwk-set+json"


def _issuer(call: Call, server: ApiServer) -> Raw:
    from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens

    tokens = server.service_accounts
    if not isinstance(tokens, ServiceAccountTokens):
        return not_found()
    route(call.headers.get("accept", ""), (JSON,) if call.path.startswith("/.well-known/") else (_KEYS,))
    uri = server.settings.service_account_jwks_uri or f"{tokens.issuer}/openid/v1/jwks"
    configuration, keys = tokens.documents(uri)
    if call.path == "/openid/v1/jwks":
        return Raw(Response(200, [("Content-Type", _KEYS)], orjson.dumps(keys)))
    return Raw(Response(200, [("Content-Type", JSON)], orjson.dumps(configuration)))
