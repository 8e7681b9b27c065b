"""Create: decode, default, note who manages what, admit, prepare, validate, store.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.admission.chain import Write, admit, check
from heeler.apiserver.authorize.further import authorize
from heeler.apiserver.body import read_object
from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.call import Call, One
from heeler.apiserver.options import WriteOptions, write_options
from heeler.apiserver.verbs.fields import ignored_fields
from heeler.base.clock import rfc3339
from heeler.base.random import name_suffix
from heeler.objects import apply
from heeler.objects.names import MAX_PREFIX
from heeler.objects.status import StatusError, already_exists, bad_request, invalid
from heeler.objects.value import Object
from heeler.store.store import KeyExists

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind

#: What only the server says of an object.
SYSTEM_FIELDS = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
#: Tries of another generated name when one is taken.
NAME_TRIES = 8


async def create(call: Call, context: Context) -> One:
    """POST to a collection."""
    options = write_options(call, "CreateOptions")
    kind, server = context.kind, context.server
    size = call.weight
    obj = await server.aside.run(size, read_object, call, kind, context.version, server.kinds, options.validation)
    return await create_object(obj, call, context, options)


async def create_object(
    obj: Object, call: Call, context: Context, options: WriteOptions, managed: list[Object] | None = None
) -> One:
    """Create a decoded object of the version that was asked for; `managed` is set when apply made it.

    Whoever creates by an update or by apply needs the right to create as well. Raises 403 and what creating raises.
    """
    kind = context.kind
    metadata = obj.setdefault("metadata", {})
    if context.info.verb != "create":
        await authorize(context, "create")
    _check_metadata(metadata, context)
    now = rfc3339(context.server.clock.time())
    draft = await context.server.aside.run(call.weight, _filled, obj, call, context, options, managed, now)
    write = Write("CREATE", kind, context, draft, None, options.dry_run, call)
    draft = await admit(write)
    # what admission sees and changes has no name yet, if it is to be made
    generated = not draft["metadata"].get("name") and bool(draft["metadata"].get("generateName"))
    for attempt in range(NAME_TRIES):
        if generated:
            draft["metadata"]["name"] = _generated_name(draft, context)
        try:
            return await _create_once(draft, write, call, context, options, now)
        except StatusError as error:
            if not (generated and error.reason == "AlreadyExists") or attempt == NAME_TRIES - 1:
                raise
    raise already_exists(kind.plural, kind.group, _name(draft))


async def _create_once(
    draft: Object, write: Write, call: Call, context: Context, options: WriteOptions, now: str
) -> One:
    server, kind, size = context.server, context.kind, call.weight
    draft["metadata"] |= {"uid": server.random.uuid(), "creationTimestamp": now}
    write.new = draft
    await server.aside.run(size, _prepare, draft, call, kind, now)
    hooks = server.hooks.get((kind.group, kind.plural))
    taken = await hooks.before_create(server, draft, options.dry_run) if hooks else None
    try:
        await server.aside.run_counted(size, _validate, draft, call, kind)
        await check(write)
        kind.settle(draft)
        if options.dry_run:
            existing = await server.store.get(key_of(kind, draft["metadata"].get("namespace", ""), _name(draft)))
            if existing is not None:
                raise already_exists(kind.plural, kind.group, _name(draft))
            draft = await server.conversions.would_be(kind, draft)
            return One(kind, context.api_version, None, draft, 201)
        item = await _store(context, draft)
    except BaseException:
        if taken is not None:
            await taken.release()
        raise
    return One(kind, context.api_version, item, None, 201)


def _filled(
    obj: Object,
    call: Call,
    context: Context,
    options: WriteOptions,
    managed: list[Object] | None,
    now: str,
) -> Object:
    """The object with what the server fills in, in its storage version."""
    kind, metadata = context.kind, obj["metadata"]
    for name in SYSTEM_FIELDS:
        metadata.pop(name, None)
    kind.default(obj, context.version)
    for text in kind.tidy(obj):
        call.warn(text)
    if managed is None and kind.tracked:
        managed = apply.track_update(
            None,
            obj,
            kind.type(context.version),
            manager=options.manager,
            api_version=context.api_version,
            now=now,
            ignored=ignored_fields(kind, ""),
        )
    if managed:
        metadata["managedFields"] = managed
    else:
        metadata.pop("managedFields", None)
    return kind.convert(obj, context.api_version, kind.storage_api_version)


def _prepare(draft: Object, call: Call, kind: Kind, now: str) -> None:
    for text in kind.own.early_warnings(draft):
        call.warn(text)
    kind.prepare_create(draft, now)


def _validate(draft: Object, call: Call, kind: Kind) -> None:
    """Raises 422."""
    found = kind.validate_create(draft)
    if found:
        raise invalid(kind.kind, kind.storage_group, draft["metadata"].get("name", ""), found)
    for text in kind.warnings(draft, None):
        call.warn(text)


async def _store(context: Context, draft: Object) -> Item:
    kind = context.kind
    key = key_of(kind, draft["metadata"].get("namespace", ""), _name(draft))
    conversions = context.server.conversions
    stored = await conversions.to_store(kind, draft)
    value = encode(stored)
    try:
        revision = await context.server.store.create(key, value)
    except KeyExists:
        raise already_exists(kind.plural, kind.group, _name(draft)) from None
    return await conversions.written(kind, key, value, revision, draft, stored)


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _check_metadata(metadata: Object, context: Context) -> None:
    """What the path says of the object must hold, and the store's own fields must be empty."""
    namespace = context.info.namespace if context.kind.namespaced else ""
    if context.kind.namespaced:
        given = metadata.get("namespace")
        if given and given != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    revision = metadata.get("resourceVersion")
    if isinstance(revision, str) and revision.isdigit() and revision != "0":
        raise StatusError(500, "", "resourceVersion should not be set on objects to be created")


def _generated_name(draft: Object, context: Context) -> str:
    prefix: str = draft["metadata"]["generateName"][:MAX_PREFIX]
    return prefix + name_suffix(context.server.random)
