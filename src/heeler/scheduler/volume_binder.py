"""Binds a pod's claims before the pod itself: reserves volumes for them, or asks for new ones on the pod's node, and waits."""

from __future__ import annotations

from collections.abc import Callable

from heeler.base.clock import Clock
from heeler.client.client import Client
from heeler.client.informer import key_of
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.storage import Bindings, Storage
from heeler.workloads import volumes

CLAIMS = GroupVersionResource("", "v1", "persistentvolumeclaims")
VOLUMES = GroupVersionResource("", "v1", "persistentvolumes")
#: So long a pod waits for its volumes, and so often it looks.
TIMEOUT_SECONDS = 600.0
LOOK_SECONDS = 0.2


class VolumeBinder:
    """`nodes` gives a node by its name, `wanted` says whether a pod still is to be bound."""

    def __init__(
        self,
        client: Client,
        storage: Storage,
        clock: Clock,
        *,
        nodes: Callable[[str], Object | None],
        wanted: Callable[[PodInfo], bool],
    ) -> None:
        self._client, self._storage, self._clock = client, storage, clock
        self._nodes, self._wanted = nodes, wanted

    def reserve(self, pod: PodInfo, node: str) -> Bindings:
        """What must be bound for the pod on its node; no other pod gets those volumes until `release`."""
        found = self._storage.choose(pod, self._nodes(node) or {})
        bindings = Bindings() if isinstance(found, str) else found
        for claim, volume in bindings.static:
            self._storage.promised[name_of(volume)] = key_of(claim)
        return bindings

    def release(self, bindings: Bindings) -> None:
        for _, volume in bindings.static:
            self._storage.promised.pop(name_of(volume), None)

    async def bind(self, bindings: Bindings, pod: PodInfo, node: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Returns when all claims are bound. Raises StatusError when one can't be, or not in time, or the pod is gone."""
        for claim, volume in bindings.static:
            if volume["spec"].get("claimRef") is None:
                await self._client.update(VOLUMES, _reserved(volume, claim))
        for claim in bindings.provision:
            if volumes.notes_of(claim).get(volumes.SELECTED_NODE) != node:
                notes = {**volumes.notes_of(claim), volumes.SELECTED_NODE: node}
                await self._client.update(CLAIMS, {**claim, "metadata": {**meta(claim), "annotations": notes}})
        waiting = [claim for claim, _ in bindings.static] + list(bindings.provision)
        until = self._clock.monotonic() + timeout_seconds
        seen: dict[str, None] = {}
        while True:
            waiting = [claim for claim in waiting if not self._is_bound(claim, node, seen)]
            if not waiting:
                return
            if self._clock.monotonic() > until:
                text = f"timed out waiting for the condition: {key_of(waiting[0])} is not bound"
                raise StatusError(504, "Timeout", text)
            if not self._wanted(pod):
                raise StatusError(409, "Conflict", "the pod is gone")
            await self._clock.sleep(LOOK_SECONDS)

    def _is_bound(self, claim: Object, node: str, seen: dict[str, None]) -> bool:
        """`seen`: claims whose chosen node has shown: if it goes again, the provisioner wants another one."""
        current = self._storage.claims.get(key_of(claim))
        if current is None or current["metadata"]["uid"] != claim["metadata"]["uid"]:
            raise StatusError(404, "NotFound", f'persistentvolumeclaim "{name_of(claim)}" not found')
        if volumes.is_bound(current):
            return True
        key = key_of(claim)
        if volumes.notes_of(current).get(volumes.SELECTED_NODE) == node:
            seen[key] = None
        elif key in seen:
            raise StatusError(409, "Conflict", f"selectedNode annotation reset for PVC {name_of(claim)}")
        return False


def _reserved(volume: Object, claim: Object) -> Object:
    """The volume with its reference to the claim."""
    metadata = claim["metadata"]
    ref = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        **{key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
    }
    notes = {**volumes.notes_of(volume), volumes.BOUND_BY_CONTROLLER: "yes"}
    return {
        **volume,
        "metadata": {**meta(volume), "annotations": notes},
        "spec": {**volume["spec"], "claimRef": ref},
    }
