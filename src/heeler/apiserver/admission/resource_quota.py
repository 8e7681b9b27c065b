"""ResourceQuota: what an object would use is taken from its namespace's quotas before it is stored, or it is refused.

The quota's `status.used` is the account: it is changed by compare-and-swap in the store, so that two writers can't both
take the last of something. The quota controller puts right what deletions and failed writes leave. Source:
https://kubernetes.io/docs/concepts/policy/resource-quotas/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from heeler.apiserver.cache import Item
from heeler.apiserver.status_writer import write_status
from heeler.objects.status import StatusError
from heeler.objects.value import Object
from heeler.store.store import KeyNotFound, RevisionMismatch
from heeler.workloads import quota, quota_devices
from heeler.workloads.limits import Amounts, parsed

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.apiserver.server import ApiServer

#: Times that a quota is read anew after somebody else's write.
TRIES = 16


async def check(write: Write) -> None:
    if write.new is None or write.operation == "DELETE" or not write.kind.namespaced:
        return
    if write.subresource not in ("", "resize"):
        return
    cache = write.context.server.cache_of("", "resourcequotas")
    if not cache.items:
        return
    prefix = f"{cache.prefix}{write.context.info.namespace}/"
    for item in list(cache.range(prefix)):
        asked = _asked(write, item.object())
        if asked and any(amount.nano > 0 for amount in asked.values()):
            await _take(write, item, asked)


class _Around:
    """What ResourceClaims are counted by, out of the server's cache."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def device_classes(self) -> Iterable[Object]:
        return self._server.objects("resource.k8s.io", "deviceclasses")

    def pod(self, namespace: str, name: str) -> Object | None:
        return self._server.lookup("", "pods", namespace, name)

    def claims(self, namespace: str) -> Iterable[Object]:
        return self._server.objects(*quota.RESOURCE_CLAIMS, namespace)


def _asked(write: Write, found: Object) -> Amounts:
    """What the write takes from this quota. Raises 403 if the pod doesn't say what it must."""
    new, kind = write.new, write.kind
    assert new is not None
    group, plural = kind.group, kind.plural
    hard = (found.get("status") or {}).get("hard") or {}
    if not hard or not quota.counts(found, group, plural, new):
        return {}
    now = write.context.server.clock.time()
    around = _Around(write.context.server)
    if (group, plural) == quota.RESOURCE_CLAIMS and not quota_devices.concerns(hard, around):
        return {}
    used = quota.usage(group, plural, new, now, around)
    if write.old is not None:
        used = quota.difference(used, quota.usage(group, plural, write.old, now, around))
    elif (group, plural) == ("", "pods"):
        missing = quota.unnamed(hard, new["spec"])
        if missing:
            why = f"failed quota: {found['metadata']['name']}: must specify {missing}"
            raise write.refused(why)
    return {name: amount for name, amount in used.items() if name in hard}


async def _take(write: Write, item: Item, asked: Amounts) -> None:
    server = write.context.server
    for _ in range(TRIES):
        found = item.object()
        status = found.get("status") or {}
        used = parsed(status.get("used"))
        excess = quota.over(parsed(status.get("hard")), used, asked)
        if excess:
            raise _exceeded(write, found["metadata"]["name"], excess)
        if write.dry_run:
            return
        more = {name: str(used[name] + asked[name] if name in used else asked[name]) for name in asked}
        new = {**found, "status": {**status, "used": {**(status.get("used") or {}), **more}}}
        try:
            await write_status(server, item, new)
            return
        except RevisionMismatch as mismatch:
            entry = mismatch.entry or await server.store.get(item.key)
        except KeyNotFound:
            return
        if entry is None:
            return
        item = Item(server.kind("", "resourcequotas"), item.key, entry.value, entry.revision)
    raise _exceeded(write, item.name, "it is being changed by too many; try again")


def _exceeded(write: Write, name: str, why: str) -> StatusError:
    return write.refused(f"exceeded quota: {name}, {why}")
