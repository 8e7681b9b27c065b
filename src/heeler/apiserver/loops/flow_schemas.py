"""Says in each FlowSchema's status whether its priority level exists (the condition `Dangling`).

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item, encode
from heeler.apiserver.loops.follow import follow
from heeler.apiserver.verbs.fields import ignored_fields
from heeler.base.clock import rfc3339
from heeler.base.together import together
from heeler.objects import apply
from heeler.objects.faults import quote
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

GROUP = "flowcontrol.apiserver.k8s.io"
SCHEMAS, LEVELS = "flowschemas", "prioritylevelconfigurations"
MANAGER = "api-priority-and-fairness-config-consumer-v1"


def dangling(level: str, exists: bool, now: str) -> Object:
    """The condition of a schema that names `level`."""
    text = f"This FlowSchema references the PriorityLevelConfiguration object named {quote(level)} "
    return {
        "type": "Dangling",
        "status": "False" if exists else "True",
        "lastTransitionTime": now,
        "reason": "Found" if exists else "NotFound",
        "message": text + ("and it exists" if exists else "but there is no such object"),
    }


async def keep(server: ApiServer) -> None:
    """Until cancelled."""
    schemas, levels = server.cache_of(GROUP, SCHEMAS), server.cache_of(GROUP, LEVELS)

    async def schema_changed(key: str) -> None:
        item = schemas.items.get(key)
        if item is not None:
            await _tell(server, item)

    async def level_changed(key: str) -> None:
        name = key.removeprefix(levels.prefix)
        for item in list(schemas.items.values()):
            if item.object()["spec"]["priorityLevelConfiguration"]["name"] == name:
                await _tell(server, item)

    await together(follow(schemas, schema_changed, server.clock), follow(levels, level_changed, server.clock))


async def _tell(server: ApiServer, item: Item) -> None:
    live, kind = item.object(), item.kind
    level = live["spec"]["priorityLevelConfiguration"]["name"]
    now = rfc3339(server.clock.time())
    wanted = dangling(level, server.item(GROUP, LEVELS, "", level) is not None, now)
    conditions = (live.get("status") or {}).get("conditions") or ()
    found: Object = next((c for c in conditions if c["type"] == wanted["type"]), {})
    if {**found, "lastTransitionTime": now} == wanted:
        return
    if found.get("status") == wanted["status"]:
        wanted["lastTransitionTime"] = found["lastTransitionTime"]
    told = {"kind": kind.kind, "apiVersion": kind.storage_api_version, "status": {"conditions": [wanted]}}
    told["metadata"] = {"name": item.name}
    applied = apply.apply(
        live,
        told,
        kind.type(kind.storage_version),
        manager=MANAGER,
        api_version=kind.storage_api_version,
        now=now,
        subresource="status",
        force=True,
        ignored=ignored_fields(kind, "status"),
    )
    new = {**applied.object, "metadata": {**applied.object["metadata"], "managedFields": applied.managed_fields}}
    await server.store.update(item.key, encode(new), item.revision)
