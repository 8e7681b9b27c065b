"""How the server itself writes an object, mostly its status: as `kube-apiserver`, by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item, encode
from heeler.apiserver.verbs.fields import ignored_fields
from heeler.base.clock import rfc3339
from heeler.objects import apply
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

MANAGER = "kube-apiserver"


async def write_status(server: ApiServer, item: Item, new: Object) -> Object:
    """Store `new`, of which only the status is another. Returns and raises as `write`."""
    return await write(server, item, new, "status")


async def write(server: ApiServer, item: Item, new: Object, subresource: str = "") -> Object:
    """Store `new` in the place of the item; what is stored. Raises RevisionMismatch, KeyNotFound, StoreError."""
    kind = item.kind
    wanted = {**new, "metadata": dict(new["metadata"])}
    wanted["metadata"]["managedFields"] = apply.track_update(
        item.object(),
        wanted,
        kind.type(kind.storage_version),
        manager=MANAGER,
        api_version=kind.storage_api_version,
        now=rfc3339(server.clock.time()),
        subresource=subresource,
        ignored=ignored_fields(kind, subresource),
    )
    await server.store.update(item.key, encode(wanted), item.revision)
    return wanted
