"""DefaultStorageClass: a claim that names no class gets the default one, if there is one.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#defaultstorageclass
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.value import name_of
from heeler.workloads import volumes

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or not write.of("", "persistentvolumeclaims") or write.new is None:
        return
    spec = write.new.setdefault("spec", {})
    if spec.get("storageClassName") is not None or volumes.BETA_CLASS in volumes.notes_of(write.new):
        return
    found = volumes.default_class(list(write.context.server.objects("storage.k8s.io", "storageclasses")))
    if found is not None:
        spec["storageClassName"] = name_of(found)
