"""Volumes that can't be shared: claims for a single pod, and network disks that one writer has.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.objects.value import Object
from heeler.scheduler.events import ADD, CLAIM, DELETE, NODE, POD, UPDATE, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, looped
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.storage import Storage
from heeler.scheduler.table import Table
from heeler.workloads import volumes

DISK_TAKEN = Refusal(("node(s) had no available disk",))
CLAIM_TAKEN = Refusal(
    (
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
    )
)
#: Source -> the fields that tell one disk from another.
DISKS = {
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "iscsi": ("iqn",),
    "rbd": ("pool", "image"),
}
#: One of these is in use even if all only read.
NEVER_SHARED = ("awsElasticBlockStore",)


def _pod_goes(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """A pod that goes helps if it had a disk, or a claim for a single pod, that is wanted."""
    if old is None:
        return False
    mine, theirs = list(_disks(pod.pod)), list(_disks(old))
    if any(_conflict(one, other) for one in mine for other in theirs):
        return True
    if old["metadata"].get("namespace") != pod.namespace:
        return False
    names = [name for _, name, _ in pod.claims]
    return any(name in names for _, name, _ in volumes.claims_of(old))


class VolumeRestrictions:
    name = "VolumeRestrictions"
    hints: Hints = {(POD, DELETE): _pod_goes, (NODE, ADD): None, (CLAIM, ADD): None, (CLAIM, UPDATE): None}

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        single = [
            claim["metadata"]["name"]
            for claim in self._storage.claims_of(pod)
            if volumes.READ_WRITE_ONCE_POD in (claim["spec"].get("accessModes") or ())
        ]
        disks = list(_disks(pod.pod))
        if not single and not disks:
            return None
        taken = bool(single) and any(
            other.namespace == pod.namespace and name in single
            for there in table.pods
            for other in there.values()
            for _, name, _ in other.claims
        )

        def check(row: int) -> Refusal | None:
            there = table.pods[row].values()
            if disks and any(_conflict(mine, theirs) for p in there for theirs in _disks(p.pod) for mine in disks):
                return DISK_TAKEN
            return CLAIM_TAKEN if taken else None

        return looped(check)


def _disks(pod: Object) -> Iterator[tuple[str, tuple[object, ...], bool]]:
    """(source, identity, read-only) of a pod's network disks."""
    for volume in pod["spec"].get("volumes") or ():
        for source, fields in DISKS.items():
            if source in volume:
                found = volume[source]
                yield source, tuple(found.get(one) for one in fields), bool(found.get("readOnly"))


def _conflict(left: tuple[str, tuple[object, ...], bool], right: tuple[str, tuple[object, ...], bool]) -> bool:
    if left[:2] != right[:2]:
        return False
    return left[0] in NEVER_SHARED or not (left[2] and right[2])
