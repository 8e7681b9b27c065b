"""What is checked of a Pod, and what an update may change."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from heeler.kinds.core import profile_annotations
from heeler.kinds.core.claim_status_rules import claim_statuses, extended_claim_status
from heeler.kinds.core.podspec_rules import MIRROR, pod_annotations, spec_rules, tolerations
from heeler.kinds.internal_form import difference, internal
from heeler.kinds.meta.checks import MAX_INT32, numbered
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid
from heeler.objects.value import Object

MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)


def rules(pod: Object) -> Iterator[Fault]:
    """A pod that is made."""
    yield from _pod(pod)
    if (pod.get("spec") or {}).get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    yield from profile_annotations.matching(pod["metadata"].get("annotations") or {}, pod.get("spec") or {}, "spec")


def _pod(pod: Object) -> Iterator[Fault]:
    spec = pod.get("spec") or {}
    yield from pod_annotations(pod["metadata"].get("annotations"), spec, "metadata.annotations")
    yield from spec_rules(spec, "spec")
    for key in ("containers", "initContainers"):
        for at, container in numbered(spec.get(key)):
            image = container.get("image", "")
            if image.strip() != image:
                yield invalid(f"spec.{key}[{at}].image", image, "must not have leading or trailing whitespace")


def update_rules(new: Object, old: Object) -> Iterator[Fault]:
    """A changed pod: little of the spec may change."""
    yield from _pod(new)
    yield from _annotations(new["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {})
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    for key in ("containers", "initContainers"):
        if len(spec.get(key) or ()) != len(was.get(key) or ()):
            yield forbidden(f"spec.{key}", "pod updates may not add or remove containers")
            return
    yield from _deadline(spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds"))
    added = list(_only_added(spec.get("tolerations") or [], was.get("tolerations") or []))
    yield from added
    gated = bool(was.get("schedulingGates"))
    if gated:
        known = [gate.get("name") for gate in was["schedulingGates"]]
        for at, gate in numbered(spec.get("schedulingGates")):
            if gate.get("name", "") not in known:
                words = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
                yield forbidden(f"spec.schedulingGates[{at}].name", words)
    munged = _munge(spec, was, gated)
    if munged != was:
        kind = type_named("io.k8s.api.core.v1.PodSpec")
        lines = difference(internal(was, kind), internal(munged, kind))
        yield forbidden("spec", MAY_CHANGE + lines)


def _annotations(new: Object, old: Object) -> Iterator[Fault]:
    """A pod is a mirror from its beginning, or never; its AppArmor annotations stay."""
    for key in sorted({**old, **new}):
        word = "mirror pod annotation" if key == MIRROR else "AppArmor annotations"
        if new.get(key) != old.get(key) and (key == MIRROR or key.startswith(profile_annotations.APP_ARMOR)):
            does = "remove or update" if key in old else "add"
            yield forbidden(f"metadata.annotations[{key}]", f"may not {does} {word}")


def _deadline(new: int | None, old: int | None) -> Iterator[Fault]:
    path = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 0 <= new <= MAX_INT32:
            yield invalid(path, new, f"must be between 0 and {MAX_INT32}, inclusive")
        elif old is not None and old < new:
            yield invalid(path, new, "must be less than or equal to previous value")
    elif old is not None:
        yield invalid(path, None, "must not update from a positive integer to nil value")


def _only_added(new: list[Object], old: list[Object]) -> Iterator[Fault]:
    """Tolerations may be added; of an old one only the seconds may change."""

    def without_seconds(row: Object) -> Object:
        return {k: v for k, v in row.items() if k != "tolerationSeconds"}

    kept = [without_seconds(row) for row in new]
    for row in old:
        if without_seconds(row) not in kept:
            yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
            return
    yield from tolerations(new, "spec.tolerations")


def _munge(spec: Object, was: Object, gated: bool) -> Object:
    """The new spec with everything put back that may change."""
    out = copy.deepcopy(spec)
    for key in ("containers", "initContainers"):
        for container, old in zip(out.get(key) or (), was.get(key) or ()):
            container["image"] = old.get("image", "")
            if "image" not in old:
                del container["image"]
    keep = ["activeDeadlineSeconds", "tolerations"]
    if out.get("terminationGracePeriodSeconds") == 1 and (was.get("terminationGracePeriodSeconds") or 0) < 0:
        keep.append("terminationGracePeriodSeconds")
    if gated:
        keep += ["nodeSelector", "schedulingGates"]
    elif not spec.get("schedulingGates"):
        keep.append("schedulingGates")
    for key in keep:
        if key in was:
            out[key] = was[key]
        else:
            out.pop(key, None)
    return out


def status_rules(new: Object, old: Object) -> Iterator[Fault]:
    """What is checked of a written status."""
    status = new.get("status") or {}
    for at, condition in numbered(status.get("conditions")):
        kind = condition.get("type", "")
        yield from each(f"status.conditions[{at}].Type", kind, names.qualified(kind))
    yield from claim_statuses(status.get("resourceClaimStatuses"), new, "status.resourceClaimStatuses")
    extended = status.get("extendedResourceClaimStatus")
    if extended is not None:
        yield from extended_claim_status(extended, new, "status.extendedResourceClaimStatus")
    for key in ("hostIPs", "podIPs"):
        for at, row in numbered(status.get(key)):
            yield from each(f"status.{key}[{at}]", row.get("ip", ""), names.address(row.get("ip", "")))
    rows = [row.get("ip", "") for row in status.get("podIPs") or ()]
    if len(rows) > 2:
        yield invalid("status.podIPs", status["podIPs"], "may specify no more than one IP for each IP family")


def resize_rules(new: Object, old: Object) -> Iterator[Fault]:
    """What a resize may change: cpu and memory, without another class of service."""
    from heeler.kinds.core.pod import qos_class

    spec, was = new.get("spec") or {}, old.get("spec") or {}
    for wrong, sort in (
        (MIRROR in (old["metadata"].get("annotations") or {}), "static"),
        ((was.get("os") or {}).get("name") == "windows", "windows"),
    ):
        if wrong:
            yield forbidden("[]", f"{sort} pods cannot be resized")
            return
    yield from _pod(new)
    moved = [*_moved(spec, was, "containers"), *_moved(spec, was, "initContainers")]
    if moved:
        yield from moved
        return
    if qos_class(old) != qos_class(new):
        yield invalid("spec", qos_class(old), "Pod QOS Class may not change as a result of resizing")
    whole, whole_before = spec.get("resources") or {}, was.get("resources") or {}
    if _other_resources(whole) != _other_resources(whole_before):
        yield forbidden("spec", "only cpu and memory resources are mutable at pod-level")
    yield from _taken_away(whole, whole_before, "spec.resources", "pod-level resource")
    pairs = [
        (row, before, f"spec.{key}[{at}].resources")
        for key in ("containers", "initContainers")
        for at, (row, before) in enumerate(zip(spec.get(key) or (), was.get(key) or ()))
    ]
    for row, before, path in pairs:
        yield from _taken_away(row.get("resources") or {}, before.get("resources") or {}, path, "resource")
    if any(_fixed_by_resize(row) != _fixed_by_resize(before) for row, before, _ in pairs):
        yield forbidden("spec", "only cpu and memory resources are mutable")


def _moved(spec: Object, was: Object, key: str) -> Iterator[Fault]:
    rows, before = spec.get(key) or [], was.get(key) or []
    if len(rows) != len(before):
        yield forbidden(f"spec.{key}", f"{key} may not be added or removed on resize")
        return
    for at, (row, other) in enumerate(zip(rows, before)):
        if row.get("name") != other.get("name"):
            yield forbidden(f"spec.{key}[{at}].name", f"{key} may not be renamed or reordered on resize")


def _taken_away(resources: Object, was: Object, path: str, word: str) -> Iterator[Fault]:
    for part in ("requests", "limits"):
        if (was.get(part) or {}).keys() - (resources.get(part) or {}).keys():
            yield forbidden(f"{path}.{part}", f"{word} {part} cannot be removed")


def _other_resources(resources: Object) -> Object:
    """Resources but for what a resize may change."""
    return {
        **{key: value for key, value in resources.items() if key not in ("limits", "requests")},
        **{
            part: {k: v for k, v in (resources.get(part) or {}).items() if k not in ("cpu", "memory")}
            for part in ("limits", "requests")
        },
    }


def _fixed_by_resize(container: Object) -> Object:
    return {**container, "resources": _other_resources(container.get("resources") or {})}


def ephemeral_rules(new: Object, old: Object) -> Iterator[Fault]:
    """Ephemeral containers may be added, never changed or taken away."""
    yield from _pod(new)
    rows = {c.get("name", ""): c for c in (new.get("spec") or {}).get("ephemeralContainers") or ()}
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name", "")
        if name not in rows:
            yield forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed\n')
        elif rows[name] != container:
            kind = type_named("io.k8s.api.core.v1.EphemeralContainer")
            lines = difference(internal(container, kind), internal(rows[name], kind))
            yield forbidden(
                "spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be changed\n{lines}'
            )
