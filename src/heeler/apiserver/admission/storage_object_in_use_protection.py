"""StorageObjectInUseProtection: new claims, volumes and attributes classes get the finalizer that holds them while in use.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#storageobjectinuseprotection
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

FINALIZERS = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


async def admit(write: Write) -> None:
    finalizer = FINALIZERS.get((write.kind.group, write.kind.plural))
    if finalizer is None or write.operation != "CREATE" or write.subresource or write.new is None:
        return
    metadata = write.new["metadata"]
    there = metadata.get("finalizers") or []
    if finalizer not in there:
        metadata["finalizers"] = [*there, finalizer]
