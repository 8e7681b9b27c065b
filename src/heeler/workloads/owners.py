"""Owner references: who controls an object, and what claiming or letting go changes.

https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from heeler.objects.selectors import LabelSelector
from heeler.objects.value import Object, labels_of, meta


def references(obj: Object) -> list[Object]:
    return meta(obj).get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """The reference that controls the object."""
    return next((ref for ref in references(obj) if ref.get("controller")), None)


def controller_uid(obj: Object) -> str:
    ref = controller_of(obj)
    return ref["uid"] if ref else ""


def reference(owner: Object, api_version: str, kind: str) -> Object:
    """A controlling reference to an owner."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


class Claims(NamedTuple):
    """`owned` are kept, `adopt` have no controller yet, `release` match no more."""

    owned: list[Object]
    adopt: list[Object]
    release: list[Object]


def claim(
    owner: Object, selector: LabelSelector, candidates: Iterable[Object], may_adopt: Callable[[Object], bool]
) -> Claims:
    """Sort what an owner has, may take and must let go. An owner that is being deleted does neither."""
    uid, going = owner["metadata"]["uid"], "deletionTimestamp" in owner["metadata"]
    owned: list[Object] = []
    adopt: list[Object] = []
    release: list[Object] = []
    for obj in candidates:
        ref = controller_of(obj)
        matches = selector.matches(labels_of(obj))
        if ref is not None:
            if ref["uid"] != uid:
                continue
            if matches:
                owned.append(obj)
            elif not going:
                release.append(obj)
        elif matches and not going and "deletionTimestamp" not in meta(obj) and may_adopt(obj):
            adopt.append(obj)
    return Claims(owned, adopt, release)


def adoption(obj: Object, ref: Object) -> Object:
    """The strategic merge patch that makes `ref` the controller."""
    return {"metadata": {"ownerReferences": [ref], "uid": obj["metadata"]["uid"]}}


def letting_go(obj: Object, owner: Object) -> Object:
    """The strategic merge patch that takes an owner's reference away."""
    gone = {"$patch": "delete", "uid": owner["metadata"]["uid"]}
    return {"metadata": {"ownerReferences": [gone], "uid": obj["metadata"]["uid"]}}
