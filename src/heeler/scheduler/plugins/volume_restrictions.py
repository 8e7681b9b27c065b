"""Volumes that can't be shared: claims for a single pod, and network disks that one writer has.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heeler.objects.value import Object
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal
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


class VolumeRestrictions:
    name = "VolumeRestrictions"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        single = {
            claim["metadata"]["name"]
            for claim in pod.storage.claims_of(pod.pod)
            if volumes.READ_WRITE_ONCE_POD in (claim["spec"].get("accessModes") or ())
        }
        disks = list(_disks(pod.pod))
        if not single and not disks:
            return None
        taken = bool(single) and any(
            other.namespace == pod.namespace and name in single
            for node in nodes
            for other in node.pods.values()
            for _, name, _ in volumes.claims_of(other.pod)
        )

        def check(node: NodeInfo) -> Refusal | None:
            if disks and any(
                _conflict(mine, theirs) for p in node.pods.values() for theirs in _disks(p.pod) for mine in disks
            ):
                return DISK_TAKEN
            return CLAIM_TAKEN if taken else None

        return check


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
