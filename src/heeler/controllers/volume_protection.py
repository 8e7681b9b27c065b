"""Claims and volumes in use stay until they aren't: the finalizers that hold them.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.base.clock import rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTRIBUTES_CLASSES,
)
from heeler.controllers.volume_binder import CLAIM_INDEX, claim_index
from heeler.controllers.volume_plan import uses
from heeler.objects.value import GroupVersionResource, Object, meta, name_of, uid_of
from heeler.workloads import pods

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
CLASS_FINALIZER = "kubernetes.io/vac-protection"


def guarded(obj: Object, finalizer: str, in_use: bool) -> Object:
    """The object with its finalizer, or without if it may go; the same object if nothing changes."""
    finalizers = meta(obj).get("finalizers") or []
    if "deletionTimestamp" not in obj["metadata"]:
        if finalizer in finalizers:
            return obj
        return {**obj, "metadata": {**obj["metadata"], "finalizers": [*finalizers, finalizer]}}
    if in_use or finalizer not in finalizers:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "finalizers": [one for one in finalizers if one != finalizer]}}


def unused_condition(claim: Object, used: bool, now: float) -> Object | None:
    """The condition that says whether any pod uses a bound claim; None if it says so already."""
    known = pods.condition(claim, "Unused")
    if (claim.get("status") or {}).get("phase") != "Bound":
        return None
    value = "False" if used else "True"
    if known is not None and known.get("status") == value:
        return None
    reason, message = (
        ("PodUsingPVC", "A pod is currently referencing this PVC")
        if used
        else ("NoPodsUsingPVC", "No pods are currently referencing this PVC")
    )
    return {
        "type": "Unused",
        "status": value,
        "lastTransitionTime": rfc3339(now),
        "reason": reason,
        "message": message,
    }


def users(claim: Object, candidates: Sequence[Object]) -> list[Object]:
    """Pods on a node that use a claim. One that has ended still does, until it is gone."""
    return [pod for pod in candidates if pods.node_name(pod) and uses(pod, claim)]


def _as_a_user(pod: Object) -> tuple[str, str, bool]:
    """What of a pod makes it a user of its claims."""
    return uid_of(pod), pods.node_name(pod), pods.is_finished(pod)


class ClaimProtectionController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._pods = context.informers.get(PODS)
        self._pods.add_index(CLAIM_INDEX, claim_index)
        self._claims.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _as_a_user(old) == _as_a_user(new):
            return
        for pod in (old, new):
            for key in claim_index(pod) if pod is not None else ():
                self.queue.add(key)

    async def reconcile(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None:
            return
        candidates = self._pods.by_index(CLAIM_INDEX, key)
        condition = unused_condition(
            claim, any(uses(pod, claim) and not pods.is_finished(pod) for pod in candidates), self._context.clock.time()
        )
        if condition is not None and "deletionTimestamp" not in claim["metadata"]:
            others = [c for c in (claim.get("status") or {}).get("conditions") or () if c.get("type") != "Unused"]
            status = {**(claim.get("status") or {}), "conditions": [*others, condition]}
            claim = await self._client.update(
                PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status"
            )
            self._claims.assume(claim)
        wanted = guarded(claim, CLAIM_FINALIZER, bool(users(claim, candidates)))
        if wanted is not claim:
            await self._client.update(PERSISTENT_VOLUME_CLAIMS, wanted)


class _UntilUnused:
    """A controller that guards the objects of one collection as long as `in_use` says."""

    def __init__(self, context: Context, resource: GroupVersionResource, finalizer: str) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._resource, self._finalizer = context.client, resource, finalizer
        self._objects = context.informers.get(resource)
        self._objects.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))

    def in_use(self, obj: Object) -> bool:
        raise NotImplementedError

    async def reconcile(self, key: str) -> None:
        obj = self._objects.get(key)
        if obj is None:
            return
        wanted = guarded(obj, self._finalizer, self.in_use(obj))
        if wanted is not obj:
            await self._client.update(self._resource, wanted)


class VolumeProtectionController(_UntilUnused):
    def __init__(self, context: Context) -> None:
        super().__init__(context, PERSISTENT_VOLUMES, VOLUME_FINALIZER)

    def in_use(self, obj: Object) -> bool:
        return (obj.get("status") or {}).get("phase") == "Bound"


class AttributesClassProtectionController(_UntilUnused):
    def __init__(self, context: Context) -> None:
        super().__init__(context, VOLUME_ATTRIBUTES_CLASSES, CLASS_FINALIZER)
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.get(PERSISTENT_VOLUMES)
        for informer in (self._claims, self._volumes):
            informer.add_handler(self._user_changed)

    def _user_changed(self, old: Object | None, new: Object | None) -> None:
        name = ((new or old or {})["spec"] or {}).get("volumeAttributesClassName")
        if name:
            self.queue.add(name)

    def in_use(self, obj: Object) -> bool:
        name = name_of(obj)
        named = "volumeAttributesClassName"
        return any(
            one["spec"].get(named) == name for informer in (self._claims, self._volumes) for one in informer
        ) or any(name in ((c.get("status") or {}).get("currentVolumeAttributesClassName"),) for c in self._claims)
