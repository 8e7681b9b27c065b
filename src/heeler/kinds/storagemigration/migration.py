"""StorageVersionMigration. https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.internal_form import internal
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.meta.checks import IMMUTABLE
from heeler.kinds.printing import NAME, cell
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, required
from heeler.objects.value import Object


def _prepare_create(migration: Object) -> None:
    migration["status"] = {}


def _resource(migration: Object) -> str:
    resource = (migration.get("spec") or {}).get("resource") or {}
    return (
        f"{resource.get('resource', '')}.{resource['group']}" if resource.get("group") else resource.get("resource", "")
    )


_STATES = ("Running", "Succeeded", "Failed")


def _is(migration: Object, state: str) -> bool:
    conditions = (migration.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == state and c.get("status") == "True" for c in conditions)


def _status(migration: Object) -> str:
    return next((state for state in _STATES if _is(migration, state)), "Pending")


def _rules(migration: Object) -> Iterator[Fault]:
    resource = (migration.get("spec") or {}).get("resource") or {}
    name, group = resource.get("resource", ""), resource.get("group", "")
    if not name:
        yield required("spec.resource.resource", "resource is required to be set")
    elif names.label_1035(name):
        yield invalid("spec.resource.resource", name, ",".join(names.label_1035(name)))
    if group and names.subdomain(group):
        yield invalid("spec.resource.group", group, ",".join(names.subdomain(group)))


def _update_rules(new: Object, old: Object) -> Iterator[Fault]:
    yield from _rules(new)
    if new.get("spec") != old.get("spec"):
        kind = type_named("io.k8s.api.storagemigration.v1beta1.StorageVersionMigrationSpec")
        yield invalid("spec", internal(new.get("spec"), kind), IMMUTABLE)


def _status_rules(new: Object, old: Object) -> Iterator[Fault]:
    """A migration succeeds or fails once, and neither while it runs."""
    status, before = new.get("status") or {}, old.get("status") or {}
    revision, was = status.get("resourceVersion", ""), before.get("resourceVersion", "")
    if was and revision != was:
        yield invalid("status.resourceVersion", revision, "field is immutable")
    running, succeeded, failed = (_is(new, state) for state in _STATES)
    for wrong, text in (
        (succeeded and failed, "Both success and failed conditions cannot be true at the same time"),
        (succeeded and running, "Running condition cannot be true when success condition is true"),
        (failed and running, "Running condition cannot be true when failed condition is true"),
        (_is(old, "Succeeded") and not succeeded, "Success condition cannot be set to false once it is true"),
        (_is(old, "Failed") and not failed, "Failed condition cannot be set to false once it is true"),
    ):
        if wrong:
            yield invalid("status.conditions", status.get("conditions"), text)


OWN = Own(
    "storagemigration.k8s.io",
    "StorageVersionMigration",
    rules=_rules,
    update_rules=_update_rules,
    status=True,
    prepare_create=_prepare_create,
    columns=(
        Column("Name", NAME.cell, about=NAME.about),
        Column("Resource", cell(_resource), about="=GroupResource to migrate"),
        Column("Status", cell(_status), about="=Status of the migration"),
    ),
    subresources={"status": SubresourceOwn(status_only, _status_rules)},
)
