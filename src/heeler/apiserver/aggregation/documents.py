"""What other API servers say of themselves: their resources, and where their OpenAPI documents are.

Kept for a minute, and on as stale when a server doesn't answer. Source:
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from heeler.apiserver.aggregation import swagger
from heeler.apiserver.aggregation.services import Remote
from heeler.apiserver.aggregation.transport import Misconfigured, Transport, said_of
from heeler.apiserver.user import AUTHENTICATED, MASTERS, User
from heeler.objects.value import Object

log = logging.getLogger(__name__)

#: Seconds for an answer, and bytes of one.
PATIENCE, MAX_DOCUMENT = 5.0, 16 << 20
#: Resources of one group version.
MAX_RESOURCES = 10_000
READER = User("system:kube-aggregator", "", (MASTERS, AUTHENTICATED))
_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@dataclass(frozen=True, slots=True)
class Documents:
    """`resources` in the aggregated form; `openapi` is the address of its OpenAPI v3 document here, "" without one.

    `swagger`: its part of an OpenAPI v2 document.
    """

    resources: tuple[Object, ...] = ()
    openapi: str = ""
    swagger: Object = field(default_factory=dict)
    fresh: bool = False

    def entry(self, version: str) -> Object:
        """The version in the aggregated discovery document."""
        entry: Object = {"version": version}
        if self.resources:
            entry["resources"] = list(self.resources)
        return {**entry, "freshness": "Current" if self.fresh else "Stale"}


UNKNOWN = Documents()


async def fetch(remote: Remote, base: str, transport: Transport, known: Documents) -> Documents:
    """Ask the server at `base` (a URL without a path); what was known is stale when it doesn't answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            resources = await _resources(remote, base, transport)
            openapi = await _openapi(remote, base, transport)
            _, document = await _get(remote, f"{base}/openapi/v2", transport)
    except (OSError, TimeoutError, ValueError, Misconfigured) as error:
        log.info("%s: no discovery document: %s", remote.name, error)
        return replace(known, fresh=False)
    return Documents(tuple(resources[:MAX_RESOURCES]), openapi, swagger.part(document, remote.path), fresh=True)


async def _resources(remote: Remote, base: str, transport: Transport) -> list[Object]:
    """Raises OSError, ValueError."""
    status, found = await _get(remote, f"{base}{'/apis' if remote.group else '/api'}", transport, accept=_AGGREGATED)
    if status == 200 and found.get("kind") == "APIGroupDiscoveryList":
        for group in _objects(found.get("items")):
            if ((group.get("metadata") or {}).get("name") or "") == remote.group:
                for version in _objects(group.get("versions")):
                    if version.get("version") == remote.version:
                        return [one for one in _objects(version.get("resources")) if _is_resource(one)]
    status, found = await _get(remote, f"{base}{remote.path}", transport)
    if status != 200:
        raise ValueError(f"{remote.path} answered {status}")
    return aggregated(_objects(found.get("resources")), remote)


def aggregated(resources: list[Object], remote: Remote) -> list[Object]:
    """The entries of an APIResourceList in the aggregated form. Pure."""
    out: dict[str, Object] = {}
    subresources: list[tuple[str, str, Object]] = []
    for one in resources:
        if not _are_words(one.get("verbs")):
            continue
        name, _, subresource = str(one.get("name") or "").partition("/")
        kind = {
            "group": one.get("group") or remote.group,
            "version": one.get("version") or remote.version,
            "kind": one.get("kind") or "",
        }
        scope = "Namespaced" if one.get("namespaced") else "Cluster"
        entry: Object
        if subresource:
            entry = {"subresource": subresource, "responseKind": kind, "verbs": one.get("verbs") or []}
            subresources.append((name, scope, entry))
            continue
        entry = {
            "resource": name,
            "responseKind": kind,
            "scope": scope,
            "singularResource": one.get("singularName") or "",
            "verbs": one.get("verbs") or [],
        }
        entry |= {key: one[key] for key in ("shortNames", "categories") if one.get(key)}
        out[name] = entry
    for name, scope, entry in sorted(subresources, key=lambda row: (row[0], row[2]["subresource"])):
        nobody: Object = {"resource": name, "responseKind": {"group": "", "version": "", "kind": ""}, "scope": scope}
        parent = out.setdefault(name, {**nobody, "singularResource": "", "verbs": []})
        parent.setdefault("subresources", []).append(entry)
    return list(out.values())


async def _openapi(remote: Remote, base: str, transport: Transport) -> str:
    """Where its OpenAPI v3 document of the group version is, as its own index says. Raises OSError, ValueError."""
    status, found = await _get(remote, f"{base}/openapi/v3", transport)
    paths = found.get("paths") if status == 200 else None
    entry = paths.get(remote.path[1:]) if isinstance(paths, dict) else None
    address = entry.get("serverRelativeURL") if isinstance(entry, dict) else None
    return address if isinstance(address, str) and address.startswith("/") else ""


async def _get(remote: Remote, url: str, transport: Transport, accept: str = "application/json") -> tuple[int, Object]:
    """The status, and the object that was answered ({} for anything else). Raises OSError, ValueError."""
    headers = [("Accept", accept), *said_of(READER)]
    answer = await transport.client(remote).request("GET", url, headers=headers)
    parts, size = [], 0
    try:
        async for chunk in answer.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_DOCUMENT:
                raise ValueError(f"{url} is larger than {MAX_DOCUMENT >> 20} MiB")
    finally:
        await answer.close()
    found: Any = orjson.loads(b"".join(parts)) if answer.status == 200 else {}
    return answer.status, found if isinstance(found, dict) else {}


def _is_resource(one: Object) -> bool:
    """Is it what readers of discovery may count on? Another server may say anything."""
    subresources = one.get("subresources") or []
    return (
        isinstance(one.get("resource"), str)
        and isinstance(one.get("responseKind") or {}, dict)
        and _are_words(one.get("verbs"))
        and isinstance(subresources, list)
        and all(isinstance(s, dict) and isinstance(s.get("subresource"), str) for s in subresources)
    )


def _are_words(found: Any) -> bool:
    return found is None or (isinstance(found, list) and all(isinstance(one, str) for one in found))


def _objects(found: Any) -> list[Object]:
    """The objects of a list; other things in it are passed over."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
