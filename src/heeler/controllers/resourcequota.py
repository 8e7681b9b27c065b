"""ResourceQuotas: `status.hard` follows the spec, `status.used` what there really is.

The API server takes from `status.used` when objects are made; here it is counted anew when objects go.
https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Iterable

from heeler.client.discovery import discover
from heeler.client.informer import Informer, key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES
from heeler.objects.value import GroupVersionResource, Object
from heeler.workloads import quota, quota_devices
from heeler.workloads.limits import Amounts

#: Seconds after which a quota is counted anew without a reason.
RESYNC_SECONDS = 300.0
#: Seconds after which a new object has surely reached both the watch of its kind and that of the quotas.
RECOUNT_SECONDS = 5.0
#: Watched from the start; other kinds when a quota names them.
_ALWAYS = (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS)
_CLASSES = ("resource.k8s.io", "deviceclasses")


class _Around:
    """What ResourceClaims are counted by, out of the informers."""

    def __init__(self, classes: Informer, pods: Informer, claims: Informer) -> None:
        self._classes, self._pods, self._claims = classes, pods, claims

    def device_classes(self) -> Iterable[Object]:
        return self._classes

    def pod(self, namespace: str, name: str) -> Object | None:
        return self._pods.get(f"{namespace}/{name}")

    def claims(self, namespace: str) -> Iterable[Object]:
        return self._claims.by_index("namespace", namespace)


class ResourceQuotaController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._quotas = context.informers.get(RESOURCE_QUOTAS)
        self._quotas.add_index("namespace", lambda obj: [obj["metadata"]["namespace"]])
        self._quotas.add_handler(self._quota_changed)
        self._watched: dict[tuple[str, str], Informer] = {}
        self._around: _Around | None = None
        for resource in _ALWAYS:
            self._watch(resource)

    def _quota_changed(self, old: Object | None, new: Object | None) -> None:
        """One that is new to us is counted too: what went while nobody looked was told to nobody."""
        if new is None:
            return
        if old is None or (new["spec"].get("hard") or {}) != ((new.get("status") or {}).get("hard") or {}):
            self.queue.add(key_of(new))

    def _watch(self, resource: GroupVersionResource) -> Informer:
        name = (resource.group, resource.resource)
        if name not in self._watched:
            informer = self._watched[name] = self._context.informers.get(resource)
            informer.add_index("namespace", lambda obj: [obj["metadata"].get("namespace", "")])
            informer.add_handler(lambda old, new: self._object_changed(name, old, new))
        return self._watched[name]

    def _object_changed(self, name: tuple[str, str], old: Object | None, new: Object | None) -> None:
        """What uses less is counted at once; what is new was counted by the API server, and is looked at again."""
        quotas = self._quotas.by_index("namespace", (new or old or {})["metadata"].get("namespace", ""))
        if not quotas:
            return
        if old is None:
            for found in quotas:
                self.queue.add_after(key_of(found), RECOUNT_SECONDS)
            return
        now = self._context.clock.time()
        before = quota.usage(*name, old, now, self._around)
        after = quota.usage(*name, new, now, self._around) if new is not None else {}
        if any(after.get(one) != amount for one, amount in before.items()):
            for found in quotas:
                self.queue.add(key_of(found))

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        """Another extended resource may be what its devices count as."""
        was, now = ((one or {}).get("spec", {}).get("extendedResourceName") for one in (old, new))
        for found in self._quotas if old is None or new is None or was != now else ():
            if quota.RESOURCE_CLAIMS in quota.resources_of(found["spec"].get("hard") or {}):
                self.queue.add(key_of(found))

    async def reconcile(self, key: str) -> None:
        found = self._quotas.get(key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        hard = found["spec"].get("hard") or {}
        used = {name: str(amount) for name, amount in (await self._used(found, hard)).items()}
        status = {**(found.get("status") or {}), "hard": hard, "used": used}
        if status != (found.get("status") or {}):
            done = await self._client.update(RESOURCE_QUOTAS, {**found, "status": status}, subresource="status")
            self._quotas.assume(done)
        self.queue.add_after(key, RESYNC_SECONDS)

    async def _used(self, found: Object, hard: Object) -> Amounts:
        namespace = found["metadata"]["namespace"]
        amounts: list[Amounts] = []
        now = self._context.clock.time()
        resources = quota.resources_of(hard)
        if quota.RESOURCE_CLAIMS in resources:
            await self._look_around()
            if self._around is not None and not quota_devices.concerns(hard, self._around):
                resources.remove(quota.RESOURCE_CLAIMS)
        for group, plural in resources:
            for obj in await self._objects(group, plural, namespace):
                if quota.counts(found, group, plural, obj):
                    amounts.append(quota.usage(group, plural, obj, now, self._around))
        return quota.total(amounts, hard)

    async def _look_around(self) -> None:
        if self._around is not None:
            return
        classes, claims = await self._informer(*_CLASSES), await self._informer(*quota.RESOURCE_CLAIMS)
        if classes is not None and claims is not None and self._around is None:
            self._around = _Around(classes, self._watch(PODS), claims)
            classes.add_handler(self._class_changed)

    async def _objects(self, group: str, plural: str, namespace: str) -> list[Object]:
        informer = await self._informer(group, plural)
        return informer.by_index("namespace", namespace) if informer is not None else []

    async def _informer(self, group: str, plural: str) -> Informer | None:
        """Of a kind, synced; None if it isn't served."""
        informer = self._watched.get((group, plural))
        if informer is None:
            known = await discover(self._client)
            names = [one.name for one in known.preferred()]
            resource = next((one for one in names if (one.group, one.resource) == (group, plural)), None)
            if resource is None:
                return None
            informer = self._watch(resource)
        await informer.wait_synced()
        return informer
