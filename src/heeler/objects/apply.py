"""Managed fields: who set which field, for every write; and server-side apply, which is decided by them.

Pure: objects in, objects and managed fields out. Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
and recorded answers. Defaulting and validation of the result are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from heeler.objects import fieldsets, typed
from heeler.objects.faults import quote
from heeler.objects.fieldsets import EMPTY, Comparison, FieldSet
from heeler.objects.schema import Type
from heeler.objects.status import StatusError, bad_request
from heeler.objects.value import Object, meta

APPLY, UPDATE = "Apply", "Update"

#: More updaters than this are folded, the oldest first, into one entry named ANCIENT for each version.
MAX_UPDATERS = 10
ANCIENT = "ancient-changes"

#: The manager of what an object held before anybody applied to it.
BEFORE = "before-first-apply"

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

#: Gives an object in another version of its kind, with that version's type; None if it is not served any more. Raises
#: ValueError where the object doesn't fit that version's type.
Convert = Callable[[Object, str], "tuple[Object, Type] | None"]


class Manager(NamedTuple):
    """What tells entries apart. An applier has one entry for all versions: its `api_version` here is empty."""

    name: str
    operation: str
    api_version: str
    subresource: str


@dataclass(slots=True)
class _Entry:
    fields: FieldSet
    api_version: str
    time: str = ""


class Applied(NamedTuple):
    """`object` is the merged object (without managed fields), `managed_fields` what to store with it."""

    object: Object
    managed_fields: list[Object]


# --- encoding ---------------------------------------------------------------------------------------------------


def _decode(entries: object, *, sound: bool = False) -> dict[Manager, _Entry]:
    """Raises ValueError for entries that are not understood. `sound`: they were checked when they were stored."""
    out: dict[Manager, _Entry] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("fieldsType") != "FieldsV1":
            raise ValueError("not FieldsV1")
        operation, api_version = entry.get("operation", ""), entry.get("apiVersion", "")
        if operation not in (APPLY, UPDATE):
            raise ValueError("unknown operation")
        manager = Manager(
            entry.get("manager", ""), operation, "" if operation == APPLY else api_version, entry.get("subresource", "")
        )
        fields = entry.get("fieldsV1") or {}
        out[manager] = _Entry(fields if sound else fieldsets.check(fields), api_version, entry.get("time") or "")
    return out


def _encode(managed: dict[Manager, _Entry]) -> list[Object]:
    order = sorted(managed, key=lambda m: (m.operation, managed[m].time, m.name, managed[m].api_version, m.subresource))
    return [_entry(manager, managed[manager]) for manager in order]


def _entry(manager: Manager, entry: _Entry) -> Object:
    out: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": entry.api_version}
    if entry.time:
        out["time"] = entry.time
    out["fieldsType"] = "FieldsV1"
    out["fieldsV1"] = entry.fields
    if manager.subresource:
        out["subresource"] = manager.subresource
    return out


def _plain(obj: Object) -> Object:
    """The object without its managed fields."""
    if "managedFields" not in (obj.get("metadata") or {}):
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def _known(live: Object | None, new: Object) -> dict[Manager, _Entry]:
    """The entries to go on with: those that the write brings if they are sound, else those that are there."""
    brought = meta(new).get("managedFields")
    if brought in ([], [{}]):
        return {}  # the documented way to reset them
    stored = meta(live).get("managedFields") if live else None
    for entries in (brought, stored):
        try:
            found = _decode(entries, sound=entries == stored)
        except ValueError:
            continue
        if found:
            return found
    return {}


# --- create, update, patch ----------------------------------------------------------------------------------------


def track_update(
    live: Object | None,
    new: Object,
    type: Type,
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    ignored: FieldSet = EMPTY,
    convert: Convert | None = None,
) -> list[Object]:
    """The managed fields of `new` as written by `manager` over `live` (None: a create).

    `now` is RFC 3339 in whole seconds. `ignored` are the fields that this way of writing never changes (status through
    the main resource, say). An object that nobody manages and that exists already stays unmanaged: [].
    Where it can't be told what others' versions of the object lose, nothing is changed, as upstream has it.
    """
    try:
        return _track(
            live, new, type, Manager(manager or "unknown", UPDATE, api_version, subresource), now, ignored, convert
        )
    except fieldsets.Untypable:  # upstream leaves the fields as they were then
        return _encode(_known(live, new)) if live is not None else []


def _track(
    live: Object | None, new: Object, type: Type, self: Manager, now: str, ignored: FieldSet, convert: Convert | None
) -> list[Object]:
    api_version = self.api_version
    if live is None and not meta(new).get("managedFields"):
        fields = fieldsets.without(fieldsets.created(new, type), ignored)
        return [_entry(self, _Entry(fields, api_version, now))] if fields else []
    managed = _known(live, new)
    if live is None:
        old: Object = fieldsets.zero(type)
    elif not managed:
        return []
    else:
        old = _plain(live)
    compared = _without(fieldsets.compare(old, _plain(new), type), ignored)
    versions = _Versions(old, _plain(new), type, api_version, compared, ignored, convert)
    try:
        _take(managed, versions, None)
    except ValueError:
        return _encode(_known(live, new))
    taken = fieldsets.strip(fieldsets.union(compared.added, compared.modified))
    if taken:
        before = managed.get(self)
        managed[self] = _Entry(fieldsets.union(before.fields, taken) if before else taken, api_version, now)
    _cap(managed)
    return _encode(managed)


def _without(compared: Comparison, ignored: FieldSet) -> Comparison:
    if not ignored:
        return compared
    return Comparison(*(fieldsets.without(part, ignored) for part in compared))


@dataclass(slots=True)
class _Versions:
    """What changed, as seen in each version in which somebody manages fields."""

    old: Object
    new: Object
    type: Type
    api_version: str
    compared: Comparison
    ignored: FieldSet
    convert: Convert | None
    _cache: dict[str, Comparison | None] = field(default_factory=dict)

    def compare(self, api_version: str) -> Comparison | None:
        """None if the version is not served any more."""
        if api_version == self.api_version or self.convert is None:
            return self.compared
        if api_version not in self._cache:
            old, new = self.convert(self.old, api_version), self.convert(self.new, api_version)
            self._cache[api_version] = None
            if old is not None and new is not None:
                self._cache[api_version] = _without(fieldsets.compare(old[0], new[0], new[1]), self.ignored)
        return self._cache[api_version]


def _take(managed: dict[Manager, _Entry], versions: _Versions, skip: Manager | None) -> None:
    """Everybody but `skip` loses the fields that this write changed or removed; entries without fields go."""
    for manager, entry in list(managed.items()):
        if manager == skip:
            continue
        compared = versions.compare(entry.api_version)
        if compared is None:
            del managed[manager]
            continue
        fields = entry.fields
        for part in compared:
            fields = fieldsets.difference(fields, part)
        if fields:
            entry.fields = fields
        else:
            del managed[manager]


def _cap(managed: dict[Manager, _Entry]) -> None:
    if len(managed) <= MAX_UPDATERS:
        return
    updaters = sorted(
        (manager for manager in managed if manager.operation == UPDATE), key=lambda m: (managed[m].time, m)
    )
    over = len(updaters) - MAX_UPDATERS
    firsts: dict[str, Manager] = {}
    for manager in updaters:
        if over <= 0:
            return
        entry = managed[manager]
        version = entry.api_version
        if version not in firsts:
            firsts[version] = manager
            continue
        bucket = Manager(ANCIENT, UPDATE, version, "")
        if bucket not in managed:
            managed[bucket] = managed.pop(firsts[version])
        if manager != bucket:
            merged = fieldsets.union(managed[bucket].fields, entry.fields)
            managed[bucket] = _Entry(merged, version, entry.time)
            del managed[manager]
        over -= 1


def keep_times(live: Object, new: Object) -> Object:
    """`new`, or `new` with the managed fields of `live` if only their times differ (nothing need be written then)."""
    old_entries, new_entries = meta(live).get("managedFields") or [], meta(new).get("managedFields") or []
    if old_entries == new_entries or len(old_entries) != len(new_entries):
        return new
    if {**live, "metadata": _unversioned(live)} != {**new, "metadata": _unversioned(new)}:
        return new
    if _timeless(old_entries) != _timeless(new_entries):
        return new
    return {**new, "metadata": {**new["metadata"], "managedFields": old_entries}}


def _timeless(entries: list[Object]) -> list[Object]:
    plain = [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
    return sorted(
        plain,
        key=lambda e: (e.get("operation", ""), e.get("manager", ""), e.get("apiVersion", ""), e.get("subresource", "")),
    )


def _unversioned(obj: Object) -> Object:
    return {key: value for key, value in meta(obj).items() if key not in ("resourceVersion", "managedFields")}


# --- server-side apply ----------------------------------------------------------------------------------------------


class _Conflicts(Exception):
    def __init__(self, found: dict[Manager, tuple[FieldSet, str]]) -> None:
        super().__init__("conflicts")
        self.found = found


def apply(
    live: Object | None,
    applied: Object,
    type: Type,
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    force: bool = False,
    ignored: FieldSet = EMPTY,
    convert: Convert | None = None,
    told_version: str = "",
) -> Applied:
    """Merge an applied configuration into an object (None: create it) and say who manages what afterwards.

    `told_version`: the apiVersion that conflicts name instead of the managers' own (a Scale's).

    Raises StatusError: 400 for managed fields in the configuration or another version, 409 with a cause for each
    conflict (without `force`), 500 in upstream's words for what does not fit the type.
    """
    if meta(applied).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if applied.get("apiVersion", "") != api_version:
        raise bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {applied.get('apiVersion', '')}, "
            f"expected: {api_version}"
        )
    check(applied, type)
    plain = _plain(live) if live is not None else fieldsets.zero(type)
    state = _State(plain, applied, type, api_version, ignored, convert)
    self = Manager(manager, APPLY, "", subresource)
    try:
        try:
            return state.run(self, _managers_before(live, type, api_version, ignored, now), force, now)
        except _Conflicts as conflicts:
            if manager != "kubectl" or live is None:
                raise
            _allow_own(conflicts, plain, type)
            return state.run(self, _managers_before(live, type, api_version, ignored, now), True, now)
    except _Conflicts as conflicts:
        raise _conflict(conflicts.found, told_version) from None
    except fieldsets.Untypable:
        raise StatusError(500, "", f"failed to create typed live object ({described(applied)})") from None


def check(applied: Object, type: Type) -> None:
    """Whether an applied configuration fits its type. Raises StatusError 500 in upstream's words."""
    try:
        typed.check(applied, type)
    except ValueError as error:
        raise StatusError(500, "", f"failed to create typed patch object ({described(applied)}): {error}") from None


def described(obj: Object) -> str:
    """An object as apply's refusals name it: "namespace/name; group/version, Kind=Kind"."""
    metadata = meta(obj) if isinstance(meta(obj), dict) else {}
    names = [name if isinstance(name := metadata.get(key), str) else "" for key in ("namespace", "name")]
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    return f"{'/'.join(names)}; {group}/{version}, Kind={obj.get('kind', '')}"


def _managers_before(
    live: Object | None, type: Type, api_version: str, ignored: FieldSet, now: str
) -> dict[Manager, _Entry]:
    if live is None:
        return {}
    try:
        managed = _decode(meta(live).get("managedFields"))
    except ValueError as error:
        raise StatusError(500, "", f"failed to decode managed fields: {error}") from None
    if not managed:
        fields = fieldsets.without(fieldsets.created(_plain(live), type), ignored)
        if fields:
            managed[Manager(BEFORE, UPDATE, api_version, "")] = _Entry(fields, api_version, now)
    return managed


@dataclass(slots=True)
class _State:
    live: Object
    applied: Object
    type: Type
    api_version: str
    ignored: FieldSet
    convert: Convert | None

    def run(self, self_: Manager, managed: dict[Manager, _Entry], force: bool, now: str) -> Applied:
        merged = typed.merge(self.live, self.applied, self.type)
        last = managed.get(self_)
        claimed = fieldsets.without(fieldsets.applied(self.applied, self.type), self.ignored)
        managed[self_] = _Entry(claimed, self.api_version, last.time if last else "")
        result = merged
        if last is not None and last.fields:
            gone = self._given_up(last, managed)
            result = typed.remove(merged, gone, self.type)
            merged = typed.remove(merged, gone, self.type, hollow=True)
        changed = fieldsets.compare(self.live, merged, self.type)
        compared = _without(changed, self.ignored)
        versions = _Versions(self.live, merged, self.type, self.api_version, compared, self.ignored, self.convert)
        if not force:
            _refuse_conflicts(managed, versions, self_)
        _take(managed, versions, self_)
        stripped = fieldsets.strip(claimed)
        if stripped:
            # fields that are ignored afterwards (the status of an object) count as changes here, as upstream has it
            time = managed[self_].time if changed.same else now
            managed[self_] = _Entry(stripped, self.api_version, time)
        else:
            del managed[self_]
        obj = _updated_last_applied(result, self.applied) if self_.name == "kubectl" else result
        return Applied(obj, _encode(managed))

    def _given_up(self, last: _Entry, managed: dict[Manager, _Entry]) -> FieldSet:
        """What the manager applied before, applies no more, and nobody else manages."""
        given_up = fieldsets.with_named_fields(last.fields, self.type)
        owned: FieldSet = EMPTY
        for entry in managed.values():
            owned = fieldsets.union(owned, entry.fields)
        owned = fieldsets.with_named_fields(owned, self.type)
        gone = fieldsets.difference(given_up, owned)
        return _without_ancestors(gone, owned)


def _without_ancestors(gone: FieldSet, owned: FieldSet) -> FieldSet:
    """What may go: not a map or list item in which somebody manages a field."""
    out: FieldSet = {}
    for key, node in gone.items():
        if key == fieldsets.SELF:
            continue
        held = owned.get(key)
        if not held:
            out[key] = node
            continue
        rest = _without_ancestors(node, held)
        if rest:
            out[key] = rest
    return out


def _refuse_conflicts(managed: dict[Manager, _Entry], versions: _Versions, self_: Manager) -> None:
    found: dict[Manager, tuple[FieldSet, str]] = {}
    for manager, entry in managed.items():
        compared = versions.compare(entry.api_version)
        if manager == self_ or compared is None:
            continue
        fields = fieldsets.intersection(entry.fields, fieldsets.union(compared.modified, compared.added))
        if fields:
            found[manager] = (fields, entry.api_version)
    if found:
        raise _Conflicts(found)


def _conflict(found: dict[Manager, tuple[FieldSet, str]], told_version: str) -> StatusError:
    causes, blocks = [], []
    for manager in sorted(found, key=lambda m: orjson.dumps(m._asdict())):
        name = _who(manager._replace(api_version=told_version) if told_version and manager.api_version else manager)
        paths = [fieldsets.path_text(path) for path in fieldsets.paths(found[manager][0])]
        causes += [{"reason": "FieldManagerConflict", "message": f"conflict with {name}", "field": p} for p in paths]
        blocks.append("\n".join([f"conflicts with {name}:", *(f"- {path}" for path in paths)]))
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(blocks)
    return StatusError(409, "Conflict", message, {"causes": causes})


def _who(manager: Manager) -> str:
    text = quote(manager.name)
    if manager.subresource:
        text += f" with subresource {quote(manager.subresource)}"
    if manager.operation == UPDATE:
        text += f" using {manager.api_version}"
    return text


# --- kubectl's own annotation ---------------------------------------------------------------------------------------


def _allow_own(conflicts: _Conflicts, live: Object, type: Type) -> None:
    """kubectl may take over what its client-side apply last set and nobody changed since. Else raises _Conflicts."""
    try:
        last = orjson.loads((meta(live).get("annotations") or {})[LAST_APPLIED])
        typed.check(last, type)
    except (KeyError, ValueError):
        raise conflicts from None
    own = fieldsets.applied(last, type)
    for part in fieldsets.compare(last, live, type):
        own = fieldsets.difference(own, part)
    left = {
        manager: (rest, version)
        for manager, (fields, version) in conflicts.found.items()
        if (rest := fieldsets.difference(fields, own))
    }
    if left:
        raise _Conflicts(left)


def _updated_last_applied(merged: Object, applied: Object) -> Object:
    """Keep the annotation of client-side apply current, where there is one."""
    annotations = meta(merged).get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return merged
    bare = _plain(applied)
    if LAST_APPLIED in (meta(bare).get("annotations") or {}):
        kept = {key: value for key, value in bare["metadata"]["annotations"].items() if key != LAST_APPLIED}
        bare = {**bare, "metadata": {**bare["metadata"], "annotations": kept}}
    text = orjson.dumps(bare, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**merged, "metadata": {**merged["metadata"], "annotations": {**annotations, LAST_APPLIED: text}}}
