"""PersistentVolumeClaim. https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/"""

from __future__ import annotations

from heeler.kinds.core import volume_object_rules as rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, UNSET, cell, text_at
from heeler.objects.value import Object

MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def default_claim(claim: Object, version: str = "v1") -> None:
    """Fill in a claim."""
    claim["spec"].setdefault("volumeMode", "Filesystem")
    if not claim["status"].get("phase"):
        claim["status"]["phase"] = "Pending"


#: What the old field may name.
_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def _copy_source(spec: Object) -> None:
    """The old and the new field for the data's source are kept equal."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and (source.get("apiGroup") or "", source.get("kind")) not in _SOURCES:
        del spec["dataSource"]  # only the new field takes others
        source = None
    if source is not None and reference is None:
        spec["dataSourceRef"] = {k: source.get(k) for k in ("apiGroup", "kind", "name")}
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {k: reference.get(k) for k in ("apiGroup", "kind", "name")}


def _prepare_create(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}
    _copy_source(claim["spec"])


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})
    _copy_source(new["spec"])


def access_modes(modes: list[str] | None) -> str:
    """ "RWO,ROX", each once, in Kubernetes' order."""
    return ",".join(short for mode, short in MODES.items() if mode in (modes or ()))


def storage_class(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(rules.OLD_CLASS) or (obj.get("spec") or {}).get("storageClassName") or "")


def _phase(claim: Object) -> str:
    if claim["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((claim.get("status") or {}).get("phase", ""))


def _capacity(claim: Object) -> str:
    if not claim["spec"].get("volumeName"):
        return ""
    return str(((claim.get("status") or {}).get("capacity") or {}).get("storage", "0"))


def _modes(claim: Object) -> str:
    if not claim["spec"].get("volumeName"):
        return ""
    return access_modes((claim.get("status") or {}).get("accessModes"))


COLUMNS = (
    NAME,
    Column("Status", cell(_phase), about="core.v1.PersistentVolumeClaimStatus.phase"),
    Column("Volume", text_at("spec.volumeName"), about="core.v1.PersistentVolumeClaimSpec.volumeName"),
    Column("Capacity", cell(_capacity), about="core.v1.PersistentVolumeClaimStatus.capacity"),
    Column("Access Modes", cell(_modes), about="core.v1.PersistentVolumeClaimStatus.accessModes"),
    Column("StorageClass", cell(storage_class), about="=StorageClass of the pvc"),
    Column(
        "VolumeAttributesClass",
        text_at("spec.volumeAttributesClassName", UNSET),
        about="=VolumeAttributesClass of the pvc",
    ),
    AGE,
    Column(
        "VolumeMode",
        text_at("spec.volumeMode", UNSET),
        priority=1,
        about="core.v1.PersistentVolumeClaimSpec.volumeMode",
    ),
)

OWN = Own(
    "",
    "PersistentVolumeClaim",
    rules=rules.claim,
    update_rules=rules.claim_update,
    default=default_claim,
    status=True,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    columns=COLUMNS,
    subresources={"status": SubresourceOwn(status_only, rules.claim_status)},
)
