"""Claims and volumes: what fits what, who is bound to whom, and which nodes a volume can be used on.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heeler.objects import quantities, selectors
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import affinity

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
IS_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")

READ_WRITE_ONCE_POD = "ReadWriteOncePod"


def notes_of(obj: Object) -> dict[str, str]:
    return meta(obj).get("annotations") or {}


def class_of(obj: Object) -> str:
    """The storage class of a claim or volume; "" for none."""
    notes = notes_of(obj)
    return str(notes[BETA_CLASS] if BETA_CLASS in notes else obj["spec"].get("storageClassName") or "")


def is_default_class(storage_class: Object) -> bool:
    return any(notes_of(storage_class).get(key) == "true" for key in IS_DEFAULT)


def waits_for_consumer(storage_class: Object | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def mode_of(obj: Object) -> str:
    return obj["spec"].get("volumeMode") or "Filesystem"


def requested(claim: Object) -> quantities.Quantity:
    asked = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return quantities.parse(str(asked or "0"))


def capacity(volume: Object) -> quantities.Quantity:
    return quantities.parse(str((volume["spec"].get("capacity") or {}).get("storage") or "0"))


def is_bound(claim: Object) -> bool:
    """Bound for good: the binding was completed."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in notes_of(claim)


def is_for(volume: Object, claim: Object) -> bool:
    """Is a volume bound to this claim, or reserved for it?"""
    ref = volume["spec"].get("claimRef")
    if ref is None or (ref.get("namespace"), ref.get("name")) != (claim["metadata"]["namespace"], name_of(claim)):
        return False
    return ref.get("uid") in (None, "", claim["metadata"]["uid"])


def mismatch(volume: Object, claim: Object) -> str:
    """Why a volume that a claim asks for by name doesn't do, or ""."""
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if (volume["spec"].get("volumeAttributesClassName") or "") != (
        claim["spec"].get("volumeAttributesClassName") or ""
    ):
        return "volumeAttributesClassName does not match"
    if mode_of(volume) != mode_of(claim):
        return "incompatible volumeMode"
    if not _has_modes(volume, claim):
        return "incompatible accessMode"
    return ""


def _has_modes(volume: Object, claim: Object) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def best_match(
    claim: Object,
    volumes: Iterable[Object],
    *,
    only_reserved: bool = False,
    node: Object | None = None,
    taken: Mapping[str, None] | None = None,
) -> Object | None:
    """The volume for a claim: one that is reserved for it, else of those that fit with the fewest access modes the smallest.

    `only_reserved`: no other one will do. `node`: it must be usable there, and of those the smallest of all is taken.
    `taken`: names that are out.
    """
    fitting: list[Object] = []
    selector = selectors.of_object(claim["spec"].get("selector")) if claim["spec"].get("selector") else None
    for volume in volumes:
        if name_of(volume) in (taken or {}) or "deletionTimestamp" in volume["metadata"]:
            continue
        ref = volume["spec"].get("claimRef")
        if ref is not None and not is_for(volume, claim):
            continue
        if not _has_modes(volume, claim) or capacity(volume) < requested(claim) or mode_of(volume) != mode_of(claim):
            continue
        vac = "volumeAttributesClassName"
        if (volume["spec"].get(vac) or "") != (claim["spec"].get(vac) or ""):
            continue
        if node is not None and not usable_on(volume, node):
            continue
        if ref is not None:
            return volume
        if only_reserved or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if class_of(volume) != class_of(claim) or (selector and not selector.matches(labels_of(volume))):
            continue
        fitting.append(volume)
    return min(fitting, key=_by_modes if node is None else _by_size, default=None)


def _by_modes(volume: Object) -> tuple[object, ...]:
    return len(volume["spec"].get("accessModes") or ()), *_by_size(volume)


def _by_size(volume: Object) -> tuple[object, ...]:
    return capacity(volume).value, name_of(volume)


def usable_on(volume: Object, node: Object) -> bool:
    """Does the volume's node affinity allow the node?"""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if required is None:
        return True
    labels = labels_of(node)
    return any(affinity.term_matches(term, labels, name_of(node)) for term in required.get("nodeSelectorTerms") or ())


def claims_of(pod: Object) -> list[tuple[str, str, bool]]:
    """(volume's name, claim's name, is it the pod's own ephemeral one) of each volume that is a claim."""
    out = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            out.append((volume["name"], volume["persistentVolumeClaim"]["claimName"], False))
        elif volume.get("ephemeral"):
            out.append((volume["name"], ephemeral_name(pod, volume["name"]), True))
    return out


def ephemeral_name(pod: Object, volume: str) -> str:
    return f"{name_of(pod)}-{volume}"


def is_owned_by(claim: Object, pod: Object) -> bool:
    """Was an ephemeral claim made for this very pod?"""
    return any(
        ref.get("controller") and ref.get("uid") == pod["metadata"].get("uid")
        for ref in meta(claim).get("ownerReferences") or ()
    )


def default_class(classes: Sequence[Object]) -> Object | None:
    """The default storage class: of several the newest, then the first by name."""
    found = sorted((one for one in classes if is_default_class(one)), key=name_of)
    return max(found, key=lambda one: str(meta(one).get("creationTimestamp", "")), default=None)
