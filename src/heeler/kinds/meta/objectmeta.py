"""What is checked of every object's metadata, on create and on update, in upstream's order and words.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from heeler.kinds.kind import NameForm
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, mark, quote, required, too_long
from heeler.objects.value import Object

ANNOTATIONS_LIMIT_BYTES = 256 * 1024
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")

NAME_CHECKS: dict[str, Callable[[str], list[str]]] = {
    "subdomain": names.subdomain,
    "label": names.label,
    "label1035": names.label_1035,
    "path": names.path_segment,
    "any": lambda text: [],
}


def each(path: str, value: Any, messages: Iterable[str]) -> Iterator[Fault]:
    """An "Invalid value" for each message."""
    for message in messages:
        yield invalid(path, value, message)


def label_rules(values: dict[str, str] | None, path: str) -> Iterator[Fault]:
    for key, value in sorted((values or {}).items()):
        yield from each(path, key, names.qualified(key))
        yield from each(path, value, names.label_value(value))


def annotation_rules(values: dict[str, str] | None, path: str) -> Iterator[Fault]:
    size = 0
    for key, value in sorted((values or {}).items()):
        yield from each(path, key, names.qualified(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT_BYTES:
        yield too_long(path, ANNOTATIONS_LIMIT_BYTES)


def owner_references(owners: list[Object], path: str) -> Iterator[Fault]:
    controller = ""
    for at, owner in enumerate(owners):
        yield from _owner(owner, f"{path}[{at}]")
        if owner.get("controller"):
            here = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                yield invalid(
                    path,
                    owners_shown(owners),
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {here}",
                )
            else:
                controller = here


def owners_shown(owners: list[Object]) -> list[Object]:
    return [
        {
            key: owner[key]
            for key in ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
            if key in owner
        }
        for owner in owners
    ]


def _owner(owner: Object, path: str) -> Iterator[Fault]:
    api_version = owner.get("apiVersion", "")
    group, _, version = api_version.rpartition("/")
    if not api_version:
        yield required(f"{path}.apiVersion", "must not be empty")
    elif not version or "/" in group:
        yield invalid(f"{path}.apiVersion", api_version, "must be <group>/<version> or <version>")
    for key in ("kind", "name", "uid"):
        if not owner.get(key):
            yield required(f"{path}.{key}", "must not be empty")
    if (group, version, owner.get("kind")) == ("", "v1", "Event"):
        yield invalid(path, owners_shown([owner])[0], "/v1, Kind=Event is disallowed from being an owner")


def finalizers(values: list[str], path: str, *, custom: bool = False) -> Iterator[Fault]:
    for at, value in enumerate(values):
        yield from each(path, value, names.qualified(value))
        if not custom and "/" not in value and value not in STANDARD_FINALIZERS:
            yield invalid(f"{path}[{at}]", value, "name is neither a standard finalizer name nor is it fully qualified")
    if "orphan" in values and "foregroundDeletion" in values:
        yield invalid(path, values, "finalizer orphan and foregroundDeletion cannot be both set")


def object_rules(
    meta: Object, namespaced: bool, form: NameForm, path: str = "metadata", *, custom: bool = False
) -> Iterator[Fault]:
    """What holds for metadata by itself. Finalizers of custom objects may have any qualified name."""
    check = NAME_CHECKS[form]
    prefix = meta.get("generateName")
    if prefix:
        yield from each(f"{path}.generateName", prefix, check(_masked(prefix)))
    name = meta.get("name", "")
    if not name:
        yield required(f"{path}.name", "name or generateName is required")
    else:
        yield from each(f"{path}.name", name, check(name))
    if namespaced:
        if not meta.get("namespace"):
            yield required(f"{path}.namespace")
        else:
            yield from each(f"{path}.namespace", meta["namespace"], names.label(meta["namespace"]))
    elif meta.get("namespace"):
        yield forbidden(f"{path}.namespace", "not allowed on this type")
    yield from _rest(meta, path, custom=custom)


def _rest(meta: Object, path: str, *, custom: bool = False) -> Iterator[Fault]:
    if meta.get("generation", 0) < 0:
        yield invalid(f"{path}.generation", meta["generation"], "must be greater than or equal to 0")
    if meta.get("labels"):
        yield from label_rules(meta["labels"], f"{path}.labels")
    if meta.get("annotations"):
        yield from annotation_rules(meta["annotations"], f"{path}.annotations")
    if meta.get("ownerReferences"):
        yield from owner_references(meta["ownerReferences"], f"{path}.ownerReferences")
    if meta.get("finalizers"):
        yield from finalizers(meta["finalizers"], f"{path}.finalizers", custom=custom)


def _masked(prefix: str) -> str:
    """A prefix as a name: a trailing dash would be followed by more."""
    return prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix


def create_rules(meta: Object, namespaced: bool, form: NameForm, *, custom: bool = False) -> Iterator[Fault]:
    return object_rules(meta, namespaced, form, custom=custom)


def update_rules(new: Object, old: Object, namespaced: bool, *, custom: bool = False) -> Iterator[Fault]:
    """What may not change; the name's form is not checked again."""
    path = "metadata"
    if old.get("deletionTimestamp"):
        added = [f for f in sorted(new.get("finalizers") or []) if f not in (old.get("finalizers") or [])]
        if added:
            listed = ", ".join(quote(f) for f in added)
            yield forbidden(
                f"{path}.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{listed}}}",
            )
    if new.get("generation", 0) < old.get("generation", 0):
        yield invalid(f"{path}.generation", new.get("generation", 0), "must not be decremented")
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if new.get(key) != old.get(key):
            yield invalid(f"{path}.{key}", new.get(key, "" if key in ("name", "namespace", "uid") else None), IMMUTABLE)
    yield from _rest(new, path, custom=custom)


IMMUTABLE = "field is immutable"


def drop_repeated_owners(meta: Object) -> list[str]:
    """Leave each owner once, in place; the warning names those that stood twice."""
    owners = meta.get("ownerReferences") or []
    if len(owners) < 2:
        return []
    kept: dict[object, Object] = {}
    repeated: list[str] = []
    for owner in owners:
        if kept.setdefault(mark(owner), owner) is not owner:
            repeated.append(owner.get("uid", ""))
    if not repeated:
        return []
    meta["ownerReferences"] = list(kept.values())
    return [
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
        "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        + ", ".join(repeated)
    ]


def unique(path: str, values: Iterable[Any]) -> Iterator[Fault]:
    """A "Duplicate value" for each value that was there before; `path` has `{at}` for the index."""
    seen: set[object] = set()
    for at, value in enumerate(values):
        if mark(value) in seen:
            yield duplicate(path.format(at=at), value)
        else:
            seen.add(mark(value))
