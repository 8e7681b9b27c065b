"""What is checked of the kinds of storage.k8s.io."""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.pod_warnings import old_label
from heeler.kinds.core.volume_rules import csi_driver_name
from heeler.kinds.internal_form import internal
from heeler.kinds.meta.checks import IMMUTABLE, numbered, optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required, too_long
from heeler.objects.quantities import parse
from heeler.objects.value import Object

MAX_PARAMETERS = 512
MAX_PARAMETERS_BYTES = 256 * 1024


def _provisioner(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
    else:
        yield from each(path, name.lower(), names.qualified(name.lower()))


def _parameters(values: dict[str, str] | None, path: str) -> Iterator[Fault]:
    values = values or {}
    if len(values) > MAX_PARAMETERS:
        yield too_long(path, MAX_PARAMETERS)
        return
    size = 0
    for key, value in sorted(values.items()):
        if not key:
            yield invalid(path, key, "field can not be empty.")
        size += len(key.encode()) + len(value.encode())
    if size > MAX_PARAMETERS_BYTES:
        yield too_long(path, MAX_PARAMETERS_BYTES)


def storage_class(obj: Object) -> Iterator[Fault]:
    yield from _provisioner(obj.get("provisioner", ""), "provisioner")
    yield from _parameters(obj.get("parameters"), "parameters")
    yield from optional_one_of(obj.get("reclaimPolicy") or None, ("Delete", "Retain"), "reclaimPolicy")
    mode = obj.get("volumeBindingMode")
    if mode is None:
        yield required("volumeBindingMode")
    else:
        yield from optional_one_of(mode, ("Immediate", "WaitForFirstConsumer"), "volumeBindingMode")
    yield from _topologies(obj.get("allowedTopologies"), "allowedTopologies")


def _topologies(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    seen_terms: list[dict[str, tuple[str, ...]]] = []
    for at, term in numbered(rows):
        here = f"{path}[{at}].matchLabelExpressions"
        keys: dict[str, tuple[str, ...]] = {}
        for index, row in numbered(term.get("matchLabelExpressions")):
            one, key, values = f"{here}[{index}]", row.get("key", ""), row.get("values") or []
            if not values:
                yield required(f"{one}.values")
            seen: set[str] = set()
            for number, value in enumerate(values):
                if value in seen:
                    yield duplicate(f"{one}.values[{number}]", value)
                seen.add(value)
            yield from each(f"{one}.key", key, names.qualified(key))
            if key in keys:
                yield duplicate(f"{one}.key", key)
            keys[key] = tuple(sorted(values))
        if keys in seen_terms or not keys:  # an empty term counts as one that was there before
            yield duplicate(here, "")
        seen_terms.append(keys)


def storage_class_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from storage_class(new)
    for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if (new.get(key) or None) != (old.get(key) or None):
            yield invalid(key, None, IMMUTABLE)


def storage_class_warnings(new: Object, old: Object | None) -> Iterator[str]:
    for at, term in numbered(new.get("allowedTopologies")):
        for index, row in numbered(term.get("matchLabelExpressions")):
            yield from old_label(row.get("key", ""), f"allowedTopologies[{at}].matchLabelExpressions[{index}].key")


def attributes_class(obj: Object) -> Iterator[Fault]:
    yield from _provisioner(obj.get("driverName", ""), "driverName")
    if not obj.get("parameters"):
        yield required("parameters", "must contain at least one key/value pair")
    yield from _parameters(obj.get("parameters"), "parameters")


def attributes_class_update(new: Object, old: Object) -> Iterator[Fault]:
    for key in ("driverName", "parameters"):
        if (new.get(key) or None) != (old.get(key) or None):
            yield forbidden(key, f"updates to {key} are forbidden.")
    yield from attributes_class(new)


def _attacher(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    words = names.caseless_subdomain(name)
    yield from each(path, name, [text.replace("253 characters", "253 bytes") for text in words])
    if len(name) > 63:
        yield too_long(path, 63, "characters")


def attachment(obj: Object) -> Iterator[Fault]:
    """A new one: its attacher is checked by what is declared, which an update doesn't look at."""
    spec = obj["spec"]
    yield from _attachment(spec)
    yield from _attacher(spec.get("attacher", ""), "spec.attacher")


def _attachment(spec: Object) -> Iterator[Fault]:
    yield from _source(spec.get("source") or {}, "spec.source")
    node = spec.get("nodeName", "")
    yield from each("spec.nodeName", node, names.subdomain(node))


def _source(source: Object, path: str) -> Iterator[Fault]:
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if name is None and inline is None:
        yield required(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name is not None and inline is not None:
        yield forbidden(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name is not None:
        if not name:
            yield required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")
        yield from each(f"{path}.persistentVolumeName", name, names.subdomain(name))


def attachment_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from csi_driver_name(new["spec"].get("attacher", ""), "spec.attacher")
    yield from _attachment(new["spec"])
    if new["spec"] != old["spec"]:
        yield invalid("spec", None, IMMUTABLE)


_LIFECYCLES = ("Persistent", "Ephemeral")


def csi_driver(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    for key in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(key) is None:
            yield required(f"spec.{key}")
    yield from optional_one_of(
        spec.get("fsGroupPolicy"), ("File", "None", "ReadWriteOnceWithFSType"), "spec.fsGroupPolicy"
    )
    seen: set[str] = set()
    for at, row in numbered(spec.get("tokenRequests")):
        here, audience = f"spec.tokenRequests[{at}]", row.get("audience", "")
        if audience in seen:
            yield duplicate(f"{here}.audience", audience)
        seen.add(audience)
        seconds = row.get("expirationSeconds")
        if seconds is not None:
            if seconds < 600:
                yield invalid(f"{here}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            if seconds > 1 << 32:
                yield invalid(
                    f"{here}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
                )
    for _, mode in numbered(spec.get("volumeLifecycleModes")):
        if mode not in _LIFECYCLES:
            yield not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
    if spec.get("serviceAccountTokenInSecrets") is not None and not spec.get("tokenRequests"):
        yield invalid(
            "spec.serviceAccountTokenInSecrets",
            spec["serviceAccountTokenInSecrets"],
            "must be unset if tokenRequests is not specified",
        )


def csi_driver_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from csi_driver(new)
    for key, shown in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
        if new["spec"].get(key) != old["spec"].get(key):
            yield invalid(f"spec.{shown}", new["spec"].get(key), IMMUTABLE)


def csi_driver_warnings(new: Object, old: Object | None) -> Iterator[str]:
    spec = new["spec"]
    before = (old or {}).get("spec") or {}
    if (
        (old is None or before.get("tokenRequests") != spec.get("tokenRequests"))
        and spec.get("tokenRequests")
        and spec.get("serviceAccountTokenInSecrets") is None
    ):
        yield (
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent "
            "possible logging of tokens in volume attributes"
        )


def csi_node(obj: Object) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, driver in numbered((obj.get("spec") or {}).get("drivers")):
        here, name = f"spec.drivers[{at}]", driver.get("name", "")
        yield from csi_driver_name(name, f"{here}.name")
        node = driver.get("nodeID", "")
        if not node:
            yield required(f"{here}.nodeID")
        elif len(node) > 256:
            yield invalid(f"{here}.nodeID", node, "must be 256 characters or less")
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            yield invalid(f"{here}.allocatable.count", count, "must be greater than or equal to 0")
        keys: list[str] = []
        for key in driver.get("topologyKeys") or ():
            if not key:
                yield required(here)
            if key in keys:
                yield duplicate(here, key)
            keys.append(key)
            yield from each(here, key, names.qualified(key))
        if name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name)


def csi_node_update(new: Object, old: Object) -> Iterator[Fault]:
    """A driver may come, go and say how many volumes it can attach; the rest of it stays."""
    yield from csi_node(new)
    before = {driver.get("name", ""): driver for driver in (old.get("spec") or {}).get("drivers") or ()}
    for driver in (new.get("spec") or {}).get("drivers") or ():
        was = before.get(driver.get("name", ""))
        if was is not None and {**driver, "allocatable": None} != {**was, "allocatable": None}:
            yield invalid(
                "spec.drivers",
                internal({**driver, "allocatable": None}, type_named("io.k8s.api.storage.v1.CSINodeDriver")),
                IMMUTABLE,
            )


def storage_capacity(obj: Object) -> Iterator[Fault]:
    name = obj.get("storageClassName", "")
    yield from each("storageClassName", name, names.subdomain(name))
    yield from label_selector(obj.get("nodeTopology"), "nodeTopology")
    if obj.get("capacity") is not None and parse(obj["capacity"]).nano < 0:
        yield invalid("capacity", obj["capacity"], "must be greater than or equal to 0")


def storage_capacity_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from storage_capacity(new)
    for key in ("storageClassName", "nodeTopology"):
        if new.get(key) != old.get(key):
            yield invalid(key, new.get(key), IMMUTABLE)
