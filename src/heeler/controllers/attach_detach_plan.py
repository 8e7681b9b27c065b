"""Which CSI volumes a node needs, which may be attached to it now, and which are to be detached. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods, volumes

#: On nodes with this annotation the control plane attaches, not the kubelet.
MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
KEEP_TERMINATED = "volumes.kubernetes.io/keep-terminated-pod-volumes"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
GIVEN_NAME = re.compile("csi-[0-9a-f]{64}")
SHARED_MODES = ("ReadOnlyMany", "ReadWriteMany")


class Volume(NamedTuple):
    """A CSI volume: the PersistentVolume's name, its driver and handle; `exclusive`: for one node at a time."""

    name: str
    driver: str
    handle: str
    exclusive: bool

    @property
    def unique(self) -> str:
        """How a node's status names it."""
        return f"kubernetes.io/csi/{self.driver}^{self.handle}"


def volume_of(volume: Object, driver: Object | None) -> Volume | None:
    """The volume if it is to be attached; `driver` is its CSIDriver (None: there is none, which means that it is)."""
    csi = volume["spec"].get("csi")
    if csi is None or (driver is not None and driver["spec"].get("attachRequired") is False):
        return None
    modes = volume["spec"].get("accessModes") or ()
    exclusive = bool(modes) and not any(mode in SHARED_MODES for mode in modes)
    return Volume(name_of(volume), csi["driver"], csi["volumeHandle"], exclusive)


def attachment_name(volume: Volume, node: str) -> str:
    """The VolumeAttachment's name follows from what it is about, so that it is made once."""
    return f"csi-{hashlib.sha256(f'{volume.handle}{volume.driver}{node}'.encode()).hexdigest()}"


def attachment(volume: Volume, node: str) -> Object:
    return {
        "kind": "VolumeAttachment",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": attachment_name(volume, node)},
        "spec": {"attacher": volume.driver, "nodeName": node, "source": {"persistentVolumeName": volume.name}},
    }


def is_managed(node: Object | None) -> bool:
    return node is not None and (meta(node).get("annotations") or {}).get(MANAGED) == "true"


def needs_volumes(pod: Object, node: Object) -> bool:
    """Whether a pod's volumes must be at its node: until nothing of it runs any more."""
    if (meta(node).get("annotations") or {}).get(KEEP_TERMINATED) == "true":
        return True
    if pods.is_finished(pod):
        return False
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    stopped = all({"terminated", "waiting"} & (one.get("state") or {}).keys() for one in statuses)
    return not (pods.is_terminating(pod) and statuses and stopped)


def claims_of(pod: Object) -> list[str]:
    """The keys of a pod's claims."""
    namespace = meta(pod).get("namespace", "")
    return [f"{namespace}/{name}" for _, name, _ in volumes.claims_of(pod)]


def is_attached(attachment: Object) -> bool:
    return bool((attachment.get("status") or {}).get("attached")) and "deletionTimestamp" not in meta(attachment)


def attach_error(attachment: Object) -> Object:
    found: Object = (attachment.get("status") or {}).get("attachError") or {}
    return found


def in_use(node: Object | None) -> list[str]:
    """The volumes that a node has mounted, as its kubelet says."""
    return (node.get("status") or {}).get("volumesInUse") or [] if node is not None else []


def may_detach(node: Object | None, volume: Volume, waited: float, longest: float) -> bool:
    """Not while the node has it mounted; from a node that isn't well after `longest` seconds of waiting all the same."""
    if node is None or volume.unique not in in_use(node):
        return True
    if any(taint.get("key") == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ()):
        return True
    return not pods.is_ready(node) and waited >= longest


def blocked(volume: Volume, node: str, attachments: Iterable[Object]) -> bool:
    """Is an exclusive volume still attached to another node?"""
    return volume.exclusive and any(one["spec"]["nodeName"] != node for one in attachments)


def waiting(volume: Volume, users: Sequence[str]) -> str:
    """Why a volume isn't attached: `users` are pods on other nodes that use it."""
    why = "exclusively attached to one node, waiting on detach before it can be attached to another node"
    if users:
        why = f"used by pod(s) {', '.join(users)}"
    return f'Waiting for detach for volume "{volume.name}" Volume is already {why}'


def reported(node: Object, attached: Mapping[str, None]) -> list[Object] | None:
    """The node's list of attached volumes (unique names); None if it says so already. Those that stay keep their place."""
    told = (node.get("status") or {}).get("volumesAttached") or []
    kept = [one for one in told if one.get("name") in attached]
    known = {one["name"]: None for one in kept}
    wanted = kept + [{"devicePath": "", "name": name} for name in sorted(attached) if name not in known]
    return wanted if wanted != told else None
