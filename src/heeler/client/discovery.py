"""What a server serves: every resource with its kind, scope and verbs, from the aggregated discovery documents.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Resource(NamedTuple):
    """`preferred` is whether its version is the first of its group."""

    name: GroupVersionResource
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    preferred: bool


class Discovery:
    """`resources` in the server's order; `stale` names group versions whose resources are not known.

    `documents` is what it was read from.
    """

    def __init__(self, resources: list[Resource], stale: list[str], documents: tuple[bytes, ...] = ()) -> None:
        self.resources, self.stale, self.documents = resources, stale, documents
        self._by_kind = {(r.name.api_version, r.kind): r for r in resources}

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def preferred(self) -> list[Resource]:
        """Each resource once: in its group's preferred version, else in the first that has it."""
        seen: dict[tuple[str, str], Resource] = {}
        for one in self.resources:
            seen.setdefault((one.name.group, one.name.resource), one)
        return list(seen.values())


async def discover(client: Client, known: Discovery | None = None) -> Discovery:
    """Ask the server; gives `known` back if nothing has changed since. Raises StatusError, OSError."""
    documents: list[bytes] = []
    for path in ("/api", "/apis"):
        code, body = await client.request("GET", path, headers={"accept": ACCEPT})
        if code != 200:
            raise StatusError(code, "", f"discovery of {path} answered {code}")
        documents.append(body)
    if known is not None and known.documents == tuple(documents):
        return known
    resources: list[Resource] = []
    stale: list[str] = []
    for body in documents:
        for group in orjson.loads(body).get("items") or ():
            _read(group, resources, stale)
    return Discovery(resources, stale, tuple(documents))


def _read(group: Object, resources: list[Resource], stale: list[str]) -> None:
    name = (group.get("metadata") or {}).get("name") or ""
    for place, version in enumerate(group.get("versions") or ()):
        if version.get("freshness") == "Stale":
            stale.append(f"{name}/{version['version']}" if name else version["version"])
        for one in version.get("resources") or ():
            kind = (one.get("responseKind") or {}).get("kind") or ""
            resources.append(
                Resource(
                    GroupVersionResource(name, version["version"], one["resource"]),
                    kind,
                    one.get("scope") == "Namespaced",
                    tuple(one.get("verbs") or ()),
                    place == 0,
                )
            )
