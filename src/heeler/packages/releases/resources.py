"""What is there of a release's objects, as the server shows it in tables; pods of its workloads among them.

Source: what helm 4.3 printed in `helm status`; tables: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from heeler.objects.value import GroupVersionResource, Object
from heeler.packages.releases.cluster import Target
from heeler.packages.releases.doing import Doing

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PODS = GroupVersionResource("", "v1", "pods")
#: Kinds whose pods are shown, too: those that their selector names.
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController")
RELATED = "v1/Pod(related)"


@dataclass(slots=True)
class Resources:
    """Rows by `version/Kind`, each with its columns' names, of what is there."""

    heads: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, list[list[str]]] = field(default_factory=dict)

    def add(self, title: str, table: Object) -> None:
        """The rows of a server's table, without the columns that only `-o wide` shows."""
        columns = table.get("columnDefinitions") or []
        shown = [at for at, column in enumerate(columns) if not column.get("priority")]
        self.heads.setdefault(title, [str(columns[at]["name"]).upper() for at in shown])
        for row in table.get("rows") or ():
            cells = [_text(row["cells"][at]) for at in shown]
            if cells not in self.rows.setdefault(title, []):
                self.rows[title].append(cells)


def _text(cell: Any) -> str:
    return "<none>" if cell is None else str(cell)


async def resources(doing: Doing, manifest: str) -> Resources:
    """What there is of a manifest's objects. Raises ActionError, OSError."""
    out = Resources()
    selectors: list[tuple[str | None, str]] = []
    for target in await doing.targets(manifest):
        table = await _table(doing, target.resource.path(target.namespace, target.name), {})
        if table is None:
            continue
        out.add(f"{target.resource.version}/{target.kind}", table)
        if selector := _selector(target):
            selectors.append((target.namespace, selector))
    for namespace, selector in selectors:
        table = await _table(doing, _PODS.path(namespace), {"labelSelector": selector})
        if table is not None and table.get("rows"):
            out.add(RELATED, table)
    return out


async def objects(doing: Doing, manifest: str) -> dict[str, list[Object]]:
    """The same as whole objects: by `version/Kind`, pods of workloads as lists. Raises ActionError, OSError."""
    out: dict[str, list[Object]] = {}
    related: list[Object] = []
    for target in await doing.targets(manifest):
        found = await doing.cluster.get(target)
        if found is None:
            continue
        out.setdefault(f"{target.resource.version}/{target.kind}", []).append(found)
        if selector := _selector(target):
            path = f"{_PODS.path(target.namespace)}?{urlencode({'labelSelector': selector})}"
            status, body = await doing.cluster.client.request("GET", path)
            if status == 200:
                related.append(_with_kinds(orjson.loads(body)))
    return {**out, RELATED: related} if related else out


def _with_kinds(pods: Object) -> Object:
    items = [{"kind": "Pod", "apiVersion": "v1", **pod} for pod in pods.get("items") or ()]
    return {**pods, "items": items}


def _selector(target: Target) -> str:
    """The selector of a workload's pods, "" if it has none that is only labels."""
    if target.kind not in _WORKLOADS:
        return ""
    selector = (target.object.get("spec") or {}).get("selector") or {}
    labels = selector if target.kind == "ReplicationController" else selector.get("matchLabels") or {}
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))


async def _table(doing: Doing, path: str, query: Mapping[str, str]) -> Object | None:
    where = f"{path}?{urlencode(query)}" if query else path
    status, body = await doing.cluster.client.request("GET", where, headers={"accept": _TABLE})
    if status != 200:
        return None
    found: Object = orjson.loads(body)
    return found if found.get("kind") == "Table" else None
