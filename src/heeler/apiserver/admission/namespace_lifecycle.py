"""NamespaceLifecycle: nothing is made in a namespace that isn't there or is going; some namespaces stay for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.objects.status import not_found

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

IMMORTAL = ("default", "kube-system", "kube-public")


async def admit(write: Write) -> None:
    """Refuse early, as upstream does: before anything else looks at the object."""
    if write.operation == "DELETE" and write.of("", "namespaces") and write.old is not None:
        name = write.old["metadata"]["name"]
        if name in IMMORTAL:
            raise write.refused("this namespace may not be deleted")
    if write.operation != "CREATE" or not write.kind.namespaced or write.new is None:
        return
    server = write.context.server
    if (write.kind.group, write.kind.plural) in (("authorization.k8s.io", "localsubjectaccessreviews"),):
        return
    namespace = write.context.info.namespace
    found = await server.lookup_fresh("", "namespaces", "", namespace)
    if found is None:
        raise not_found("namespaces", "", namespace)
    if found["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = write.refused(why)
        assert error.details is not None
        error.details["causes"] = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise error
