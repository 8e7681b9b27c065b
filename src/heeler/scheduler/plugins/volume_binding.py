"""A pod's claims decide where it can run: where their volumes can be used, or could be bound or made.

https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from __future__ import annotations

from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of
from heeler.scheduler.events import (
    ADD,
    CLAIM,
    CSI_DRIVER,
    CSI_NODE,
    DELETE,
    LABEL,
    NODE,
    POD,
    STORAGE_CAPACITY,
    STORAGE_CLASS,
    UPDATE,
    VOLUME,
    VOLUME_ATTACHMENT,
    Hints,
)
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.plugin import Check, Refusal, looped
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.storage import NO_SPACE, NO_VOLUME, Bindings, Storage
from heeler.scheduler.table import Table
from heeler.scheduler.volume_binder import TIMEOUT_SECONDS, VolumeBinder
from heeler.workloads import volumes

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
ELSEWHERE = Refusal(("node(s) didn't match PersistentVolume's node affinity",), True)
GONE = Refusal(("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",), True)
NONE_FREE = Refusal(("node(s) didn't find available persistent volumes to bind",), True)
WHY = {
    NO_VOLUME: NONE_FREE,
    NO_SPACE: Refusal(("node(s) did not have enough free storage",), True),
}


def _is_wanted(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Only a pod's own claims matter to it."""
    claim = new or old
    if claim is None or claim["metadata"].get("namespace") != pod.namespace:
        return False
    return any(name == name_of(claim) for _, name, _ in pod.claims)


class VolumeBinding:
    name = "VolumeBinding"

    def __init__(
        self, storage: Storage, binder: VolumeBinder | None = None, timeout_seconds: float | None = None
    ) -> None:
        self._storage, self._binder = storage, binder
        self._timeout = TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
        #: What is to be bound for pods that have a node, by uid.
        self._reserved: dict[str, Bindings] = {}
        self.hints: Hints = {
            (CLAIM, ADD): _is_wanted,
            (CLAIM, UPDATE): _is_wanted,
            **{(resource, action): None for resource in (VOLUME, CSI_NODE) for action in (ADD, UPDATE)},
            (STORAGE_CLASS, ADD): self._is_of_a_claim,
            (STORAGE_CLASS, UPDATE): self._is_of_a_claim,
            (CSI_DRIVER, UPDATE): None,
            (STORAGE_CAPACITY, ADD): None,
            (STORAGE_CAPACITY, UPDATE): None,
            (NODE, ADD): None,
            (NODE, LABEL): None,
        }

    def _is_of_a_claim(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A class matters to pods that have a claim of it."""
        name = name_of(new or old or {})
        return any(volumes.class_of(claim) == name for claim in self._storage.claims_of(pod))

    def reserve(self, pod: PodInfo, node: str) -> None:
        """Volumes that are free are the pod's from now on."""
        if not pod.claims or self._binder is None:
            return
        bindings = self._binder.reserve(pod, node)
        if bindings:
            self._reserved[pod.uid] = bindings

    def unreserve(self, pod: PodInfo, node: str) -> None:
        bindings = self._reserved.pop(pod.uid, None)
        if bindings is not None and self._binder is not None:
            self._binder.release(bindings)

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        return pod.uid in self._reserved

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Bind the claims, or have volumes made, and wait for it."""
        assert self._binder is not None
        try:
            await self._binder.bind(self._reserved[pod.uid], pod, node, self._timeout)
        except (StatusError, OSError) as error:
            raise Rejected(f"binding volumes: {error}") from error

    async def take_back(self, pod: PodInfo, node: str) -> None:
        """What was bound stays so: it is the pod's claim."""

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self.unreserve(pod, node)

    def hopeless(self, pod: PodInfo) -> str:
        """Why no node will do: a claim that isn't there, is going, or should be bound by now."""
        namespace = pod.namespace
        for _, name, own in pod.claims:
            claim = self._storage.claim(namespace, name)
            if claim is None:
                if own:
                    return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
                return f'persistentvolumeclaim "{name}" not found'
            if (claim.get("status") or {}).get("phase") == "Lost":
                bound_to = claim["spec"].get("volumeName", "")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{bound_to}"'
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if own and not volumes.is_owned_by(claim, pod.pod):
                return f"PVC {namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
        for claim in self._storage.claims_of(pod):
            if not volumes.is_bound(claim) and not self._storage.is_delayed(claim):
                return UNBOUND
        return ""

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        if not pod.claims:
            return None
        why = self.hopeless(pod)
        if why:
            return Refusal((why,), True)
        storage = self._storage
        claims = list(storage.claims_of(pod))
        bound = [storage.volume_of(claim) for claim in claims if claim["spec"].get("volumeName")]
        delayed = any(storage.is_delayed(claim) for claim in claims)

        def check(row: int) -> Refusal | None:
            node = table.node(row)
            if any(volume is None for volume in bound):
                return GONE
            if any(volume is not None and not volumes.usable_on(volume, node) for volume in bound):
                return ELSEWHERE
            found = storage.choose(pod, node) if delayed else None
            return WHY[found] if isinstance(found, str) else None

        return looped(check)


ZONES = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
OTHER_ZONE = Refusal(("node(s) had no available volume zone",), True)


class VolumeZone:
    """Volumes with a zone label want nodes of that zone, or of one of several (`a__b`)."""

    name = "VolumeZone"
    hints: Hints = {
        (STORAGE_CLASS, ADD): None,
        (NODE, ADD): None,
        (NODE, LABEL): None,
        (CLAIM, ADD): _is_wanted,
        (CLAIM, UPDATE): _is_wanted,
        (VOLUME, ADD): None,
        (VOLUME, UPDATE): None,
    }

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        wanted: list[tuple[str, tuple[str, ...]]] = []
        for claim in self._storage.claims_of(pod):
            volume = self._storage.volume_of(claim)
            name = claim["spec"].get("volumeName")
            if name and volume is None:
                return Refusal((f'persistentvolume "{name}" not found',), True)
            labels = (volume["metadata"].get("labels") or {}) if volume is not None else {}
            wanted += [(key, tuple(labels[key].split("__"))) for key in ZONES if key in labels]
        if not wanted:
            return None

        def check(row: int) -> Refusal | None:
            labels = table.node(row)["metadata"].get("labels") or {}
            if not any(key in labels for key in ZONES):
                return None
            return None if all(labels.get(key) in values for key, values in wanted) else OTHER_ZONE

        return looped(check)


EXCEEDED = Refusal(("node(s) exceed max volume count",))


class NodeVolumeLimits:
    """No more volumes of a CSI driver on a node than it says that it can attach."""

    name = "NodeVolumeLimits"
    hints: Hints = {
        (CSI_NODE, ADD): None,
        (CSI_NODE, UPDATE): None,
        (POD, DELETE): None,
        (CLAIM, ADD): _is_wanted,
        (VOLUME_ATTACHMENT, DELETE): None,
    }

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        wanted = self._attached(pod)
        if not wanted:
            return None

        def check(row: int) -> Refusal | None:
            found = self._storage.csi_nodes.get(table.names[row])
            for driver in (found or {}).get("spec", {}).get("drivers") or ():
                limit = (driver.get("allocatable") or {}).get("count")
                more = {key for key in wanted if key[0] == driver.get("name")}
                if limit is None or not more:
                    continue
                there = {
                    key
                    for other in table.pods[row].values()
                    for key in self._attached(other)
                    if key[0] == driver["name"]
                }
                if len(there | more) > int(limit) and more - there:
                    return EXCEEDED
            return None

        return looped(check)

    def _attached(self, pod: PodInfo) -> set[tuple[str, str]]:
        """(driver, volume) of each CSI volume of a pod; one that isn't made yet goes by its claim."""
        out = set()
        for claim in self._storage.claims_of(pod):
            volume = self._storage.volume_of(claim)
            source = (volume["spec"].get("csi") or {}) if volume is not None else {}
            if source:
                out.add((str(source.get("driver")), str(source.get("volumeHandle"))))
            elif volume is None:
                provisioner = (self._storage.class_of(claim) or {}).get("provisioner")
                if provisioner:
                    out.add((str(provisioner), f"{pod.namespace}/{name_of(claim)}"))
        return out
