"""PersistentVolume. https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-v1/"""

from __future__ import annotations

from heeler.kinds.core import podspec
from heeler.kinds.core import volume_object_rules as rules
from heeler.kinds.core.persistentvolumeclaim import access_modes, storage_class
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, UNSET, cell, text_at
from heeler.objects.value import Object

_SOURCES = {
    "hostPath": podspec.host_path,
    "iscsi": podspec.iscsi,
    "rbd": podspec.rbd,
    "azureDisk": podspec.azure_disk,
    "scaleIO": podspec.scale_io,
}


def _default(volume: Object, version: str) -> None:
    spec = volume["spec"]
    if not volume["status"].get("phase"):
        volume["status"]["phase"] = "Pending"
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    for source, fill in _SOURCES.items():
        if source in spec:
            fill(spec[source])


def _prepare_create(volume: Object) -> None:
    volume["status"] = {"phase": "Pending"}
    if volume["metadata"].get("creationTimestamp"):
        volume["status"]["lastPhaseTransitionTime"] = volume["metadata"]["creationTimestamp"]


def _stamp(new: Object, old: Object, now: str) -> None:
    """When the phase last changed: now, or when it did if the writer doesn't say."""
    status, before = new.setdefault("status", {}), old.get("status") or {}
    if status.get("phase") != before.get("phase"):
        status["lastPhaseTransitionTime"] = now
    elif before.get("lastPhaseTransitionTime") and not status.get("lastPhaseTransitionTime"):
        status["lastPhaseTransitionTime"] = before["lastPhaseTransitionTime"]


def _phase(volume: Object) -> str:
    if volume["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((volume.get("status") or {}).get("phase", ""))


def _claim(volume: Object) -> str:
    claim = volume["spec"].get("claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


COLUMNS = (
    NAME,
    Column(
        "Capacity",
        cell(lambda obj: (obj["spec"].get("capacity") or {}).get("storage", "0")),
        about="core.v1.PersistentVolumeSpec.capacity",
    ),
    Column(
        "Access Modes",
        cell(lambda obj: access_modes(obj["spec"].get("accessModes"))),
        about="core.v1.PersistentVolumeSpec.accessModes",
    ),
    Column(
        "Reclaim Policy",
        text_at("spec.persistentVolumeReclaimPolicy"),
        about="core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy",
    ),
    Column("Status", cell(_phase), about="core.v1.PersistentVolumeStatus.phase"),
    Column("Claim", cell(_claim), about="core.v1.PersistentVolumeSpec.claimRef"),
    Column("StorageClass", cell(storage_class), about="=StorageClass of the pv"),
    Column(
        "VolumeAttributesClass",
        text_at("spec.volumeAttributesClassName", UNSET),
        about="=VolumeAttributesClass of the pv",
    ),
    Column("Reason", text_at("status.reason"), about="core.v1.PersistentVolumeStatus.reason"),
    AGE,
    Column(
        "VolumeMode", text_at("spec.volumeMode", UNSET), priority=1, about="core.v1.PersistentVolumeSpec.volumeMode"
    ),
)

OWN = Own(
    "",
    "PersistentVolume",
    rules=rules.volume,
    update_rules=rules.volume_update,
    warnings=rules.volume_warnings,
    default=_default,
    status=True,
    prepare_create=_prepare_create,
    columns=COLUMNS,
    subresources={"status": SubresourceOwn(status_only, stamp=_stamp)},
)
