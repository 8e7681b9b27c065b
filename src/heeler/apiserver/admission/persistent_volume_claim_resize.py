"""PersistentVolumeClaimResize: only claims of a class that allows it may grow.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#persistentvolumeclaimresize
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.workloads import volumes

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

REFUSAL = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


async def check(write: Write) -> None:
    new, old = write.new, write.old
    if write.operation != "UPDATE" or not write.of("", "persistentvolumeclaims") or new is None or old is None:
        return
    if not volumes.requested(old) < volumes.requested(new):
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise write.refused("Only bound persistent volume claims can be expanded")
    name = volumes.class_of(new)
    found = write.context.server.lookup("storage.k8s.io", "storageclasses", "", name) if name else None
    if found is None or not found.get("allowVolumeExpansion"):
        raise write.refused(REFUSAL)
