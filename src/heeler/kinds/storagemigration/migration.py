"""StorageVersionMigration. https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import NAME, cell
from heeler.objects.value import Object


def _prepare_create(migration: Object) -> None:
    migration["status"] = {}


def _resource(migration: Object) -> str:
    resource = (migration.get("spec") or {}).get("resource") or {}
    return (
        f"{resource.get('resource', '')}.{resource['group']}" if resource.get("group") else resource.get("resource", "")
    )


def _status(migration: Object) -> str:
    for kind in ("Running", "Succeeded", "Failed"):
        for condition in (migration.get("status") or {}).get("conditions") or ():
            if condition.get("type") == kind and condition.get("status") == "True":
                return kind
    return "Pending"


OWN = Own(
    "storagemigration.k8s.io",
    "StorageVersionMigration",
    status=True,
    prepare_create=_prepare_create,
    columns=(
        Column("Name", NAME.cell, about=NAME.about),
        Column("Resource", cell(_resource), about="=GroupResource to migrate"),
        Column("Status", cell(_status), about="=Status of the migration"),
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
