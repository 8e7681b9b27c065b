"""What happens in the cluster, as plugins are asked about it: may this change help a pod that was refused?

https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#queueinghint
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from heeler.objects.value import Object, labels_of
from heeler.scheduler.pod import PodInfo
from heeler.workloads import node_features, pods, resources

# what changes
POD, NODE, NAMESPACE = "Pod", "Node", "Namespace"
CLAIM, VOLUME, STORAGE_CLASS = "PersistentVolumeClaim", "PersistentVolume", "StorageClass"
CSI_NODE, CSI_DRIVER, VOLUME_ATTACHMENT = "CSINode", "CSIDriver", "VolumeAttachment"
STORAGE_CAPACITY = "CSIStorageCapacity"
RESOURCE_CLAIM, RESOURCE_SLICE, DEVICE_CLASS = "ResourceClaim", "ResourceSlice", "DeviceClass"
# and how
ADD, DELETE, UPDATE = "Add", "Delete", "Update"
ALLOCATABLE, LABEL, TAINT, CONDITION, ANNOTATION = "Allocatable", "Label", "Taint", "Condition", "Annotation"
FEATURES = "DeclaredFeature"
SCALE_DOWN, TOLERATION, GATES, GENERATED = "ScaleDown", "Toleration", "Gates", "GeneratedClaims"

#: A resource and an action on it.
Change = tuple[str, str]
#: Whether a change from an old to a new object may help a pod. The pods of POD changes are on nodes, or the pod itself.
Hint = Callable[[PodInfo, Object | None, Object | None], bool]
#: The changes that may help, and when; None: always.
Hints = Mapping[Change, Hint | None]


def node_changes(old: Object | None, new: Object | None) -> Iterator[Change]:
    """What an event about a node tells."""
    if new is None:
        yield NODE, DELETE
        return
    if old is None:
        yield NODE, ADD
        return
    before, now = old.get("spec") or {}, new.get("spec") or {}
    if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get("allocatable"):
        yield NODE, ALLOCATABLE
    if labels_of(old) != labels_of(new):
        yield NODE, LABEL
    if before.get("taints") != now.get("taints") or before.get("unschedulable") != now.get("unschedulable"):
        yield NODE, TAINT
    if _conditions(old) != _conditions(new):
        yield NODE, CONDITION
    if old["metadata"].get("annotations") != new["metadata"].get("annotations"):
        yield NODE, ANNOTATION
    if node_features.declared(old) != node_features.declared(new):
        yield NODE, FEATURES


def _conditions(node: Object) -> dict[str, object]:
    return {one["type"]: one.get("status") for one in (node.get("status") or {}).get("conditions") or ()}


def pod_changes(old: Object | None, new: Object | None) -> Iterator[Change]:
    """What an event about a pod tells."""
    if new is None or (pods.is_finished(new) and not (old is not None and pods.is_finished(old))):
        yield POD, DELETE
        return
    if old is None:
        yield POD, ADD
        return
    before, now = old["spec"], new["spec"]
    if labels_of(old) != labels_of(new) or pods.is_terminating(old) != pods.is_terminating(new):
        yield POD, LABEL
    if before.get("tolerations") != now.get("tolerations"):
        yield POD, TOLERATION
    if before.get("schedulingGates") and not now.get("schedulingGates"):
        yield POD, GATES
    was, status = old.get("status") or {}, new.get("status") or {}
    if was.get("resourceClaimStatuses") != status.get("resourceClaimStatuses"):
        yield POD, GENERATED
    if before.get("containers") != now.get("containers") or before.get("resources") != now.get("resources"):
        asked, asks = resources.requests(old), resources.requests(new)
        if any(amount > asks.get(name, 0) for name, amount in asked.items()):
            yield POD, SCALE_DOWN
        else:
            yield POD, UPDATE


def plain_change(resource: str, old: Object | None, new: Object | None) -> Change:
    """What an event about any other object tells."""
    return resource, DELETE if new is None else ADD if old is None else UPDATE
