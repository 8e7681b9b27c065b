"""Discovery documents: which groups, versions and resources are served, in the plain and the aggregated form.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer
    from heeler.kinds.kind import Kind, Subresource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def api_versions(server: ApiServer) -> Object:
    """/api"""
    address = f"{server.settings.advertise_address}:{server.settings.advertise_port}"
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(server: ApiServer) -> Object:
    """/apis"""
    groups = [_group(name, versions) for name, versions in server.aggregator.groups() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(server: ApiServer, name: str) -> Object | None:
    """/apis/GROUP, or None where nothing is served."""
    for found, versions in server.aggregator.groups():
        if found == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}
    return None


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resource_list(server: ApiServer, name: str, version: str) -> Object | None:
    """/apis/GROUP/VERSION or /api/v1, or None where nothing is served."""
    kinds = list(_kinds(server, name, version))
    if not kinds:
        return None
    resources: list[Object] = []
    for kind in kinds:
        resources.append(_resource(kind))
        resources += [_subresource(kind, sub) for sub in _subresources(kind)]
    out: Object = {"kind": "APIResourceList"}
    if name:
        out["apiVersion"] = "v1"
    return {**out, "groupVersion": f"{name}/{version}" if name else version, "resources": resources}


def _kinds(server: ApiServer, name: str, version: str) -> Iterator[Kind]:
    found = (k.view(version) for k in server.kinds if k.group == name and version in k.versions)
    return iter(sorted(found, key=lambda k: k.plural))


def _resource(kind: Kind) -> Object:
    out: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        out["shortNames"] = list(kind.short_names)
    if kind.categories:
        out["categories"] = list(kind.categories)
    if kind.storage_version_hash:
        out["storageVersionHash"] = kind.storage_version_hash
    return out


def _subresources(kind: Kind) -> list[Subresource]:
    """By name; of custom kinds the status first."""
    return [sub for _, sub in sorted(kind.subresources.items(), reverse=kind.custom)]


def _subresource(kind: Kind, sub: Subresource) -> Object:
    out: Object = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
    if sub.foreign:
        out |= {"group": sub.group, "version": sub.version}
    return {**out, "kind": sub.kind, "verbs": list(sub.verbs)}


def aggregated(server: ApiServer, *, core: bool) -> Object:
    """/api and /apis in the aggregated form (apidiscovery.k8s.io/v2)."""
    items = []
    for name, versions in server.aggregator.groups():
        if bool(name) == core:
            continue
        entries = [_version(server, name, v) for v in versions]
        items.append({"metadata": {"name": name} if name else {}, "versions": entries})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _version(server: ApiServer, group: str, version: str) -> Object:
    """A version's entry; what another server serves is as good as its last answer."""
    remote = server.aggregator.remote(group, version)
    if remote is not None:
        return server.aggregator.documents(remote).entry(version)
    resources = [_aggregated(kind) for kind in _kinds(server, group, version)]
    return {"version": version, "resources": resources, "freshness": "Current"}


def _aggregated(kind: Kind) -> Object:
    out: Object = {
        "resource": kind.plural,
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        out["shortNames"] = list(kind.short_names)
    if kind.categories:
        out["categories"] = list(kind.categories)
    if kind.subresources:
        out["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {
                    "group": sub.group if sub.foreign else "",
                    "version": sub.version if sub.foreign else "",
                    "kind": sub.kind,
                },
                "verbs": list(sub.verbs),
            }
            for sub in _subresources(kind)
        ]
    return out


def etag(document: Object) -> str:
    """A tag that changes with the document."""
    return f'"{hashlib.sha256(orjson.dumps(document)).hexdigest()[:32].upper()}"'
