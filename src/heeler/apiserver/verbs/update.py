"""Update: replace an object, and the loop that every change of an object goes through (patch and status too).

The loop reads the newest version from the store, makes the new object of it, runs the same steps as create, and writes
with compare-and-swap; if somebody else was faster it begins again with what is there now.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heeler.apiserver.admission.chain import Write, admit, check
from heeler.apiserver.body import read_object
from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.call import Call, One
from heeler.apiserver.options import WriteOptions, parse_revision, write_options
from heeler.apiserver.verbs.create import create_object
from heeler.apiserver.verbs.fields import ignored_fields, other_versions
from heeler.base.clock import rfc3339
from heeler.objects import apply, faults
from heeler.objects.status import StatusError, bad_request, conflict, invalid, modified, not_found
from heeler.objects.value import Object
from heeler.store.store import KeyNotFound, RevisionMismatch

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind

#: Times that a change without a revision of its own is tried again after somebody else's write.
TRIES = 16

#: (the object now, in the version that was asked for) -> (the new one, its managed fields or None: to be worked out).
Change = Callable[[Object], "tuple[Object, list[Object] | None]"]


async def update(call: Call, context: Context) -> One:
    """PUT of a whole object."""
    options = write_options(call, "UpdateOptions")
    kind, info = context.kind, context.info
    server = context.server
    obj = await server.aside.run(
        call.weight, read_object, call, kind, context.version, server.kinds, options.validation
    )
    metadata = obj.setdefault("metadata", {})
    _check_name(metadata, context)
    revision = _revision(metadata)
    resets = _resets_managers(call)

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        if revision and revision != live["metadata"]["resourceVersion"]:
            raise modified(kind.plural, kind.group, info.name)
        if not revision and not kind.allow_unconditional_update:
            fault = faults.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(kind.plural, kind.group, info.name, [fault])
        return {**obj, "metadata": dict(obj["metadata"])}, [] if resets else None

    key = key_of(kind, info.namespace, info.name)
    if kind.allow_create_on_update and not context.subresource and await server.store.get(key) is None:
        if revision:
            raise not_found(kind.plural, kind.group, info.name)
        return await create_object(obj, call, context, options)
    return await change_object(call, context, options, change, uid=metadata.get("uid", ""), retry=not revision)


_NO_MANAGERS = re.compile(rb'"managedFields"\s*:\s*\[\s*\]')


def _resets_managers(call: Call) -> bool:
    """An empty list of managed fields (which decoding takes for none given) says that nobody manages anything."""
    if isinstance(call.object, dict):
        return (call.object.get("metadata") or {}).get("managedFields") == []
    return b'"managedFields"' in call.body and _NO_MANAGERS.search(call.body) is not None


@dataclass(frozen=True, slots=True)
class Body:
    """What a subresource shows of the object in a form of its own (a Scale): admission sees that and nothing else.

    `of` makes the form of an object, `put` gives the object back with what a form says.
    """

    kind: Kind
    of: Callable[[Object], Object]
    put: Callable[[Object, Object], Object]


async def change_object(
    call: Call,
    context: Context,
    options: WriteOptions,
    change: Change,
    *,
    uid: str = "",
    retry: bool = True,
    body: Body | None = None,
    admitted: bool = False,
    created: Callable[[], Awaitable[One]] | None = None,
) -> One:
    """Run `change` on what the store holds until it is written. Raises 404, 409, 422 and what `change` raises.

    `admitted`: admission has let pass what the change is made of, and isn't asked about the object.
    """
    server, kind, info = context.server, context.kind, context.info
    key = key_of(kind, info.namespace, info.name)
    entry = await server.store.get(key)
    for _ in range(TRIES):
        if entry is None:
            if created is not None:
                return await created()
            raise not_found(kind.plural, kind.group, info.name)
        shared = server.cache.parsed(kind, key, entry.revision)
        live = shared or Item(kind, key, entry.value, entry.revision)
        await server.conversions.ready([live], context.api_version)
        if uid and uid != live.object()["metadata"]["uid"]:
            raise precondition_failed(context, "UID", uid, live.object()["metadata"]["uid"], options.dry_run)
        new = await _step(call, context, options, change, live, body, admitted)
        if new is None:
            return One(kind, context.api_version, live)
        if options.dry_run:
            new = await server.conversions.would_be(kind, new)
            new["metadata"]["resourceVersion"] = str(live.revision)
            return One(kind, context.api_version, None, new)
        try:
            return await _write(context, live, new, shared=shared is not None)
        except RevisionMismatch as mismatch:
            entry = mismatch.entry or await server.store.get(key)
            if not retry:
                raise modified(kind.plural, kind.group, info.name) from None
        except KeyNotFound:
            entry = None
    raise modified(kind.plural, kind.group, info.name)


async def _step(
    call: Call, context: Context, options: WriteOptions, change: Change, live: Item, body: Body | None, admitted: bool
) -> Object | None:
    """The new stored object, or None when nothing would change."""
    server, kind = context.server, context.kind
    size = max(call.weight, len(live.value))
    now = rfc3339(server.clock.time())
    draft = await server.aside.run(size, _filled, call, context, options, change, live, now)
    old = live.object()
    write = Write("UPDATE", kind, context, draft, old, options.dry_run, call)
    if body is not None:
        write.body, write.new, write.old = body.kind, body.of(draft), body.of(old)
    if not admitted:
        write.new = await admit(write)
        draft = write.new if body is None else body.put(draft, write.new)
    await server.aside.run(size, _prepare, draft, old, context, now)
    hooks = server.hooks.get((kind.group, kind.plural))
    if hooks is not None and not context.subresource:
        await hooks.before_update(server, draft, old, options.dry_run)
    await server.aside.run_counted(size, _validate, draft, old, call, context)
    if not admitted:
        await check(write)
    draft = await server.aside.run(size, _settled, draft, old, kind)
    if not _same(draft, old):
        return draft
    # an object that was written in an older version is brought to today's by any write
    return draft if kind.custom and live.written_version != kind.stored_api_version else None


def _filled(call: Call, context: Context, options: WriteOptions, change: Change, live: Item, now: str) -> Object:
    """What `change` makes of the object, with what the server fills in, in its storage version."""
    kind = context.kind
    before = live.in_version(context.api_version)
    new, managed = change(before)
    metadata = new.setdefault("metadata", {})
    _keep_system_fields(metadata, before["metadata"], kind)
    kind.default(new, context.version)
    for text in kind.tidy(new):
        call.warn(text)
    if managed is None and kind.tracked:
        managed = apply.track_update(
            before,
            new,
            kind.type(context.version),
            manager=options.manager,
            api_version=context.api_version,
            now="" if context.subresource == "scale" else now,
            subresource=context.subresource,
            ignored=ignored_fields(kind, context.subresource),
            convert=other_versions(kind, context.version),
        )
    if managed:
        metadata["managedFields"] = managed
    else:
        metadata.pop("managedFields", None)
    return kind.convert(new, context.api_version, kind.storage_api_version)


def _prepare(draft: Object, old: Object, context: Context, now: str) -> None:
    kind = context.kind
    given = draft.get("spec") if context.subresource else None
    kind.prepare_update(draft, old, context.subresource, now)
    if context.subresource and draft.get("spec") != given:
        # what defaults drew from the spec that was sent is drawn from the one that stays
        kind.default(draft, kind.storage_version)


def _validate(draft: Object, old: Object, call: Call, context: Context) -> None:
    """Raises 422."""
    kind = context.kind
    found = kind.validate_update(draft, old, context.subresource)
    if found:
        raise invalid(kind.kind, kind.storage_group, context.info.name, found)
    for text in kind.warnings(draft, old) if not context.subresource else ():
        call.warn(text)


def _settled(draft: Object, old: Object, kind: Kind) -> Object:
    """As it will be stored."""
    kind.settle(draft)
    return apply.keep_times(old, draft)


async def _write(context: Context, live: Item, new: Object, *, shared: bool) -> One:
    """Store the new version; an object that was only waiting for its finalizers goes now.

    `shared`: somebody in this process has had the old one parsed, and will want the new one, too.
    """
    server, kind = context.server, context.kind
    stored = await server.conversions.to_store(kind, new)
    value = encode(stored)
    if gone_now(kind, new):
        revision = await server.store.delete(live.key, live.revision)
    else:
        revision = await server.store.update(live.key, value, live.revision)
    item = await server.conversions.written(kind, live.key, value, revision, new, stored)
    if shared and stored is new:
        server.cache.share(item)
    hooks = server.hooks.get((kind.group, kind.plural))
    if hooks is not None:
        await hooks.after_update(server, new, live.object(), deleted=gone_now(kind, new))
    return One(kind, context.api_version, item)


def gone_now(kind: Kind, obj: Object) -> bool:
    """A deletion under way with nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False
    if (kind.group, kind.plural) == ("", "namespaces"):
        return not (obj.get("spec") or {}).get("finalizers")
    return True


def _same(new: Object, old: Object) -> bool:
    """Equal but for the revision."""
    if {k: v for k, v in new.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}:
        return False
    mine = {k: v for k, v in new["metadata"].items() if k != "resourceVersion"}
    return mine == {k: v for k, v in old["metadata"].items() if k != "resourceVersion"}


def _keep_system_fields(metadata: Object, before: Object, kind: Kind) -> None:
    """What the server alone sets stays as it is; identity left out is filled in."""
    for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)
    metadata.pop("selfLink", None)
    if not metadata.get("uid"):
        metadata["uid"] = before["uid"]
    if not metadata.get("resourceVersion"):
        metadata["resourceVersion"] = before["resourceVersion"]
    if kind.namespaced:
        metadata.setdefault("namespace", before.get("namespace", ""))


def _check_name(metadata: Object, context: Context) -> None:
    name, info, kind = metadata.get("name", ""), context.info, context.kind
    if kind.namespaced:
        given = metadata.get("namespace")
        if given and given != info.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = info.namespace
    else:
        metadata.pop("namespace", None)
    if not name:
        raise bad_request(
            f"the name of the object ({info.name} based on URL) was undeterminable: name must be provided"
        )
    if name != info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({info.name})")


def _revision(metadata: Object) -> str:
    text = metadata.get("resourceVersion") or ""
    if text and text != "0":
        try:
            parse_revision(text)
        except ValueError as error:
            raise StatusError(500, "", str(error)) from None
        return str(text)
    return ""


#: Where etcd has objects, as upstream's messages name it, if not under the name of their resource.
_STORED = {
    "replicationcontrollers": "controllers",
    "services": "services/specs",
    "endpoints": "services/endpoints",
    "nodes": "minions",
}


def precondition_failed(context: Context, what: str, wanted: str, found: str, dry_run: bool) -> StatusError:
    """A write is for an object of another uid or resourceVersion (`what`)."""
    kind, info = context.kind, context.info
    key = f"/{_STORED.get(kind.plural, kind.plural)}/" + (f"{info.namespace}/" if kind.namespaced else "") + info.name
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key if dry_run else '/registry' + key}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
    )
    return conflict(kind.plural, kind.group, info.name, why)
