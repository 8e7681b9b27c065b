"""One rendered object held against a version of Kubernetes: is it served there, do its fields exist, is it valid?

Fields and rules are those of the newest Kubernetes that Heeler knows whole; what older ones differ in is which versions of
which kinds they serve (`served.py`). Kinds of one's own are held against their definitions, CEL rules included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heeler.objects.decode import DecodeError
from heeler.objects.value import Object
from heeler.packages.charts.matrix import served
from heeler.packages.charts.values import copy

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind
    from heeler.kinds.registry import Kinds

#: Faults of one object that are told.
MAX_FAULTS = 50


@dataclass(slots=True)
class Findings:
    """`unknown`: nothing is known of its kind, so that nothing was checked."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unknown: bool = False


class Checker:
    """Holds objects against Kubernetes' kinds and those of `definitions` (CustomResourceDefinitions)."""

    def __init__(self, definitions: Iterable[Object] = ()) -> None:
        from heeler.kinds.registry import built_in

        self._kinds: Kinds = built_in()
        self._custom: dict[tuple[str, str], Kind] = {}
        for definition in definitions:
            self.define(definition)

    def define(self, definition: Object) -> None:
        """Know a kind; a definition that isn't valid makes none (it is a fault where it is rendered)."""
        from heeler.kinds.custom.kind import CustomKind

        kind = self._kinds.by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
        if kind is None or definition.get("apiVersion") != "apiextensions.k8s.io/v1":
            return
        prepared = copy(definition)
        if list(_decoded(kind, prepared, "v1", "")) != []:
            return
        obj, _ = kind.decode(copy(definition), "v1")
        kind.default(obj, "v1")
        if not any(version.get("served") for version in obj["spec"]["versions"]):
            return
        found = CustomKind(obj)
        for version in found.versions:
            self._custom[found.api_version(version), found.kind] = found

    def api_versions(self) -> list[str]:
        """What the definitions add to `.Capabilities.APIVersions`."""
        return [
            *dict.fromkeys(version for version, _ in self._custom),
            *(f"{version}/{kind}" for version, kind in self._custom),
        ]

    def check(self, obj: Object, minor: int, namespace: str) -> Findings:
        """What is to be said of an object in Kubernetes 1.`minor`."""
        found = Findings()
        api_version, name = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(name, str) or not api_version or not name:
            found.faults.append("apiVersion and kind must be set")
            return found
        group, _, version = api_version.rpartition("/")
        kind = self._custom.get((api_version, name))
        if kind is None and served.is_known(api_version, name):
            if said := served.fault(api_version, name, minor):
                found.faults.append(said)
            if said := served.warning(api_version, name, minor):
                found.warnings.append(said)
            kind = self._kinds.by_kind(group, version, name)
        elif kind is None:
            found.unknown = True
        if kind is not None:
            found.faults += list(_decoded(kind.view(version), obj, version, namespace))[:MAX_FAULTS]
        return found


def _decoded(kind: Kind, given: Object, version: str, namespace: str) -> Iterator[str]:
    """What the API server would refuse an object for."""
    try:
        obj, unknown = kind.decode(copy(given), version, strict=True)
    except DecodeError as error:
        yield str(error)
        return
    yield from unknown
    obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version(version)
    metadata: Any = obj.setdefault("metadata", {})
    if kind.namespaced:
        metadata.setdefault("namespace", namespace or "default")
    else:
        metadata.pop("namespace", None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = f"{metadata['generateName']}x"
    kind.default(obj, version)
    stored = kind.convert(obj, kind.api_version(version), kind.storage_api_version)
    kind.prepare_create(stored, "2026-01-01T00:00:00Z")
    for fault in kind.validate_create(stored):
        yield f"{fault.field}: {fault.message}"
