"""What is checked of claims for volumes, and of the data they start from."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.meta.checks import optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_modes(modes: list[str] | None, path: str) -> Iterator[Fault]:
    if not modes:
        yield required(path, "at least 1 access mode is required")
    for mode in modes or ():
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES)
    if modes and "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def claim_spec(spec: Object, path: str) -> Iterator[Fault]:
    """A PersistentVolumeClaimSpec."""
    yield from access_modes(spec.get("accessModes"), f"{path}.accessModes")
    yield from label_selector(spec.get("selector"), f"{path}.selector")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        yield required(f"{path}.resources[storage]")
    elif parse(storage).nano <= 0:
        yield invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    if spec.get("storageClassName"):
        yield from each(f"{path}.storageClassName", spec["storageClassName"], names.subdomain(spec["storageClassName"]))
    yield from optional_one_of(spec.get("volumeMode"), VOLUME_MODES, f"{path}.volumeMode")
    yield from _sources(spec, path)
    if spec.get("volumeAttributesClassName") is not None:
        name = spec["volumeAttributesClassName"]
        yield from each(f"{path}.volumeAttributesClassName", name, names.subdomain(name) if name else [])


def _sources(spec: Object, path: str) -> Iterator[Fault]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for key, row in (("dataSource", source), ("dataSourceRef", reference)):
        if row is None:
            continue
        here = f"{path}.{key}"
        if not row.get("name"):
            yield required(f"{here}.name")
        if not row.get("kind"):
            yield required(f"{here}.kind")
        group = row.get("apiGroup") or ""
        if not group and row.get("kind") != "PersistentVolumeClaim":
            yield invalid(
                here, row.get("kind", ""), "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            )
        if group:
            yield from each(f"{here}.apiGroup", group, names.subdomain(group))
    if source is None or reference is None:
        return
    for key in ("apiGroup", "kind", "name"):
        if (source.get(key) or None) != (reference.get(key) or None):
            yield invalid(path, {}, "must match dataSourceRef")
            return
