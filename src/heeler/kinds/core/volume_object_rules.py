"""What is checked of PersistentVolume and PersistentVolumeClaim as objects, and what an update may change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.core.claim_rules import ACCESS_MODES, VOLUME_MODES, claim_spec
from heeler.kinds.core.storage_system_rules import SYSTEMS_OF_VOLUMES
from heeler.kinds.core.volume_rules import csi_driver_name, host_path, nfs
from heeler.kinds.internal_form import difference, internal
from heeler.kinds.meta.checks import IMMUTABLE, immutable, needed, numbered, optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import node_selector
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

RECLAIM = ("Delete", "Recycle", "Retain")
#: Where volumes and claims named their class before there was a field.
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


def _csi(value: Object, path: str) -> Iterator[Fault]:
    yield from csi_driver_name(value.get("driver", ""), f"{path}.driver")
    yield from needed(value.get("volumeHandle"), f"{path}.volumeHandle")
    for key in (
        *("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"),
    ):
        reference = value.get(key)
        if reference is not None:
            yield from needed(reference.get("name"), f"{path}.{key}.name")
            yield from needed(reference.get("namespace"), f"{path}.{key}.namespace")


def _local(value: Object, path: str) -> Iterator[Fault]:
    if not value.get("path"):
        yield required(f"{path}.path")
    elif ".." in value["path"].split("/"):
        yield invalid(f"{path}.path", value["path"], "must not contain '..'")


_OWN: dict[str, Any] = {"hostPath": host_path, "nfs": nfs, "local": _local, "csi": _csi}
#: In the order in which upstream looks at them: of several, the first counts.
_ORDER = """
hostPath gcePersistentDisk awsElasticBlockStore glusterfs flocker nfs rbd quobyte cephfs iscsi cinder fc flexVolume
azureFile vsphereVolume photonPersistentDisk portworxVolume azureDisk scaleIO local storageos csi
""".split()
_VOLUME_SOURCES: dict[str, Any] = {key: {**SYSTEMS_OF_VOLUMES, **_OWN}[key] for key in _ORDER}


def volume(obj: Object) -> Iterator[Fault]:
    yield from _volume_spec(obj["spec"], "spec")


def _volume_spec(spec: Object, path: str) -> Iterator[Fault]:
    modes = spec.get("accessModes") or []
    if not modes:
        yield required(f"{path}.accessModes")
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(f"{path}.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        yield forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")
    yield from _capacity(spec.get("capacity"), f"{path}.capacity")
    if spec.get("persistentVolumeReclaimPolicy"):
        yield from optional_one_of(
            spec["persistentVolumeReclaimPolicy"], RECLAIM, f"{path}.persistentVolumeReclaimPolicy"
        )
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        here = f"{path}.nodeAffinity"
        if affinity.get("required") is None:
            yield required(f"{here}.required", "must specify required node constraints")
        else:
            yield from node_selector(affinity["required"], f"{here}.required")
    yield from _volume_source(spec, path)
    if spec.get("storageClassName"):
        yield from each(f"{path}.storageClassName", spec["storageClassName"], names.subdomain(spec["storageClassName"]))
    yield from optional_one_of(spec.get("volumeMode"), VOLUME_MODES, f"{path}.volumeMode")
    if spec.get("volumeAttributesClassName") is not None:
        name = spec["volumeAttributesClassName"]
        if not name:
            yield required(f"{path}.volumeAttributesClassName", "an empty string is disallowed")
        else:
            yield from each(f"{path}.volumeAttributesClassName", name, names.subdomain(name))


def _capacity(capacity: dict[str, str] | None, path: str) -> Iterator[Fault]:
    if not capacity:
        yield required(path)
    if not capacity or "storage" not in capacity or len(capacity) > 1:
        shown = {key: capacity[key] for key in sorted(capacity)} if capacity is not None else None
        yield not_supported(path, shown, ("storage",))
    for name, text in sorted((capacity or {}).items()):
        here = f"{path}[{name}]"
        if parse(text).nano < 0:
            yield invalid(here, parse(text).ceil, "must be a valid resource quantity")
        if name == "storage" and parse(text).nano <= 0:
            yield invalid(here, text, "must be greater than zero")


def _volume_source(spec: Object, path: str) -> Iterator[Fault]:
    found = 0
    for key, rule in _VOLUME_SOURCES.items():
        if key not in spec:
            continue
        if found:
            yield forbidden(f"{path}.{key}", "may not specify more than 1 volume type")
            continue
        found += 1
        yield from rule(spec[key], f"{path}.{key}")
        if key == "local" and spec.get("nodeAffinity") is None:
            yield required(f"{path}.nodeAffinity", "Local volume requires node affinity")
    if not found:
        yield required(path, "must specify a volume type")
    if (spec.get("hostPath") or {}).get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield forbidden(f"{path}.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")


def volume_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from volume(new)
    spec, was = new["spec"], old["spec"]
    sources = {key: spec[key] for key in _VOLUME_SOURCES if key in spec}
    before = {key: was[key] for key in _VOLUME_SOURCES if key in was}
    if sources != before:
        lines = difference(_source_form(before), _source_form(sources))
        yield forbidden(
            "spec.persistentvolumesource", f"spec.persistentvolumesource is immutable after creation\n{lines}"
        )
    if spec.get("volumeMode") != was.get("volumeMode"):
        yield invalid("volumeMode", spec.get("volumeMode"), IMMUTABLE)
    if was.get("nodeAffinity") is not None and spec.get("nodeAffinity") != was.get("nodeAffinity"):
        shown = spec.get("nodeAffinity")
        if shown is not None:
            shown = internal(shown, type_named("io.k8s.api.core.v1.VolumeNodeAffinity"))
        yield invalid("nodeAffinity", shown, f"{IMMUTABLE}, except for updating from beta label to GA")


def _source_form(sources: Object) -> Any:
    """The volume's sources alone, in the order of the server's internal struct."""
    kind = type_named("io.k8s.api.core.v1.PersistentVolumeSpec")
    shown = internal(sources, kind)
    keep = [name for name in shown if name not in _NOT_SOURCES]
    return {name: shown[name] for name in keep}


_NOT_SOURCES = (
    *("Capacity", "AccessModes", "ClaimRef", "PersistentVolumeReclaimPolicy", "StorageClassName", "MountOptions"),
    *("VolumeMode", "NodeAffinity", "VolumeAttributesClassName"),
)


def volume_warnings(new: Object, old: Object | None) -> Iterator[str]:
    spec = new["spec"]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield (
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
            "approach is to use dynamic provisioning."
        )
    from heeler.kinds.core.pod_warnings import old_label

    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
    for at, term in numbered(terms):
        for index, row in numbered(term.get("matchExpressions")):
            yield from old_label(
                row.get("key", ""),
                f"spec.nodeAffinity.required.nodeSelectorTerms[{at}].matchExpressions[{index}].key",
            )


# Claims.


def claim(obj: Object) -> Iterator[Fault]:
    yield from claim_spec(obj["spec"], "spec")


def claim_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from claim(new)
    yield from _class_annotation(new, old)
    now, was = dict(new["spec"]), dict(old["spec"])
    if not was.get("volumeName"):
        was["volumeName"] = now.get("volumeName", "")
    if was.get("storageClassName") is None and _class_moved_or_given(new, old):
        now.pop("storageClassName", None)
    if (old.get("status") or {}).get("phase") == "Bound":
        now["volumeAttributesClassName"] = was.get("volumeAttributesClassName")
        now["resources"] = _with_storage(now.get("resources") or {}, _storage(was))
    kind = type_named("io.k8s.api.core.v1.PersistentVolumeClaimSpec")
    shown, before = internal(now, kind), internal(was, kind)
    if shown != before:
        yield forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
            f"\n{difference(before, shown)}",
        )
    size, capacity = parse(_storage(new["spec"])).nano, ((old.get("status") or {}).get("capacity") or {}).get("storage")
    if parse(_storage(old["spec"])).nano > size and size <= parse(capacity or "0").nano:
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from immutable(new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "volumeMode")


def _storage(spec: Object) -> str:
    return str(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _with_storage(resources: Object, storage: str) -> Object:
    return {**resources, "requests": {**(resources.get("requests") or {}), "storage": storage}}


def _old_class(claim: Object) -> str | None:
    annotations: Object = claim["metadata"].get("annotations") or {}
    return annotations.get(OLD_CLASS)


def _class_moved_or_given(new: Object, old: Object) -> bool:
    """A claim's class moves from the annotation to the field, or comes to a claim made before there was a default."""
    given, was = new["spec"].get("storageClassName"), _old_class(old)
    if was is not None:
        return bool(given == was)
    return bool(given) and (old.get("status") or {}).get("phase") != "Bound"


def _class_annotation(new: Object, old: Object) -> Iterator[Fault]:
    was, now = _old_class(old), _old_class(new)
    moved = was is not None and now is None and new["spec"].get("storageClassName") == was
    if not moved and (was or "") != (now or ""):
        yield invalid(f"metadata.annotations.{OLD_CLASS}", now or "", IMMUTABLE)


def claim_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    for name, text in sorted((status.get("capacity") or {}).items()):
        here = f"status.capacity[{name}]"
        if parse(text).nano < 0:
            yield invalid(here, parse(text).ceil, "must be a valid resource quantity")
