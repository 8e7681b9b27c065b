"""Claims of devices in use by others need a namespace that an administrator has marked for it.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#admin-access
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.faults import forbidden
from heeler.objects.status import invalid
from heeler.objects.value import labels_of

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

LABEL = "resource.kubernetes.io/admin-access"
_CLAIMS = ("resourceclaims", "resourceclaimtemplates")


async def check(write: Write) -> None:
    """Refuse new claims, and templates of claims, with `adminAccess` in other namespaces. Raises 422."""
    new, kind = write.new, write.kind
    if write.operation != "CREATE" or new is None or kind.group != "resource.k8s.io" or kind.plural not in _CLAIMS:
        return
    spec = new["spec"] if kind.plural == "resourceclaims" else new["spec"]["spec"]
    rows = (spec.get("devices") or {}).get("requests") or []
    asking = [at for at, row in enumerate(rows) if (row.get("exactly") or {}).get("adminAccess")]
    if not asking:
        return
    namespace = await write.context.server.lookup_fresh("", "namespaces", "", write.context.info.namespace)
    if namespace is not None and labels_of(namespace).get(LABEL) == "true":
        return
    words = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"
    faults = [forbidden(f"spec.devices.requests[{at}].adminAccess", words) for at in asking]
    raise invalid(kind.kind, kind.group, new["metadata"].get("name", ""), faults)
