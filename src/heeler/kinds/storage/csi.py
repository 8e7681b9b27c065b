"""CSIDriver, CSINode, CSIStorageCapacity.

https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-driver-v1/ and its neighbours.
"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, UNSET, at, cell, count_at
from heeler.kinds.storage import rules
from heeler.objects.value import Object

_SPEC = "storage.v1.CSIDriverSpec"


def _default_driver(driver: Object, version: str) -> None:
    spec = driver["spec"]
    spec.setdefault("attachRequired", True)
    for key in (
        *("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount", "preventPodSchedulingIfMissing"),
    ):
        spec.setdefault(key, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _grow(new: Object, old: Object) -> None:
    """The generation begins with the first change (upstream sets none at creation)."""
    generation = old["metadata"].get("generation", 0) + (new["spec"] != old["spec"])
    if generation:
        new["metadata"]["generation"] = generation


def _tokens(driver: Object) -> str:
    rows = driver["spec"].get("tokenRequests")
    if rows is None:
        return UNSET
    return ",".join(r.get("audience", "") for r in rows)


def _modes(driver: Object) -> str:
    return ",".join(driver["spec"].get("volumeLifecycleModes") or ()) or NONE


CSI_DRIVER = Own(
    "storage.k8s.io",
    "CSIDriver",
    rules=rules.csi_driver,
    update_rules=rules.csi_driver_update,
    warnings=rules.csi_driver_warnings,
    default=_default_driver,
    prepare_update=_grow,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column("AttachRequired", at("spec.attachRequired", True), "boolean", about=f"{_SPEC}.attachRequired"),
        Column("PodInfoOnMount", at("spec.podInfoOnMount", False), "boolean", about=f"{_SPEC}.podInfoOnMount"),
        Column("StorageCapacity", at("spec.storageCapacity", False), "boolean", about=f"{_SPEC}.storageCapacity"),
        Column("TokenRequests", cell(_tokens), about=f"{_SPEC}.tokenRequests"),
        Column("RequiresRepublish", at("spec.requiresRepublish", False), "boolean", about=f"{_SPEC}.requiresRepublish"),
        Column("Modes", cell(_modes), about=f"{_SPEC}.volumeLifecycleModes"),
        AGE,
    ),
)


def _empty_status(obj: Object) -> None:
    obj["status"] = {}


CSI_NODE = Own(
    "storage.k8s.io",
    "CSINode",
    rules=rules.csi_node,
    update_rules=rules.csi_node_update,
    status=True,
    prepare_create=_empty_status,
    columns=(
        NAME,
        Column(
            "Drivers",
            count_at("spec.drivers"),
            "integer",
            about="=Drivers indicates the number of CSI drivers registered on the node",
        ),
        AGE,
    ),
    allow_unconditional_update=False,
    subresources={"status": SubresourceOwn(status_only)},
)

CSI_STORAGE_CAPACITY = Own(
    "storage.k8s.io",
    "CSIStorageCapacity",
    rules=rules.storage_capacity,
    update_rules=rules.storage_capacity_update,
    columns=(
        NAME,
        Column("StorageClassName", at("storageClassName"), about="storage.v1.CSIStorageCapacity.storageClassName"),
        Column("Capacity", at("capacity", UNSET), about="storage.v1.CSIStorageCapacity.capacity"),
        AGE,
    ),
)
