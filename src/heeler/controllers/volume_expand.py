"""Claims that were made larger. Heeler drives no storage by itself: it says who would have to.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from __future__ import annotations

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from heeler.objects import quantities
from heeler.objects.value import Object
from heeler.workloads import volumes

WAITING = "waiting for an external controller to expand this PVC"


def wants_more(claim: Object) -> bool:
    """Bound, and asks for more than it has."""
    status = claim.get("status") or {}
    has = (status.get("capacity") or {}).get("storage")
    return status.get("phase") == "Bound" and has is not None and quantities.parse(str(has)) < volumes.requested(claim)


class VolumeExpandController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._events = context.recorder("volume_expand")
        self._claims = context.informers.get(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.get(PERSISTENT_VOLUMES)
        self._claims.add_handler(self._claim_changed)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and wants_more(new) and (old is None or volumes.requested(old) < volumes.requested(new)):
            self.queue.add(key_of(new))

    async def reconcile(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None or not wants_more(claim):
            return
        volume = self._volumes.get(claim["spec"].get("volumeName") or "")
        if volume is None or volume["spec"].get("claimRef", {}).get("uid") != claim["metadata"]["uid"]:
            return
        about = {**claim, "kind": "PersistentVolumeClaim", "apiVersion": "v1"}
        self._events.record(about, "Normal", "ExternalExpanding", WAITING)
