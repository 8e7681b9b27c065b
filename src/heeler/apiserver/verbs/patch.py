"""Patch: JSON, merge, strategic merge, and server-side apply.

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/ ;
https://kubernetes.io/docs/reference/using-api/server-side-apply/ and recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.body import check_kind, strictly
from heeler.apiserver.call import Call, One
from heeler.apiserver.options import WriteOptions, write_options
from heeler.apiserver.verbs.create import create_object
from heeler.apiserver.verbs.fields import ignored_fields
from heeler.apiserver.verbs.update import change_object
from heeler.base.clock import rfc3339
from heeler.kinds.internal_form import external
from heeler.objects import apply, faults, json_patch, merge_patch, strategic, yaml_text
from heeler.objects.decode import duplicate_keys, may_repeat_keys
from heeler.objects.schema import Type
from heeler.objects.status import (
    StatusError,
    bad_request,
    conflict,
    invalid,
    modified,
    not_found,
    too_large,
    unsupported_media_type,
)
from heeler.objects.value import Object
from heeler.wire.http.server import MAX_BODY_BYTES

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
_TYPES = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
_CUSTOM_TYPES = (JSON_PATCH, MERGE, APPLY)


async def patch(call: Call, context: Context) -> One:
    """PATCH of an object, or of its status."""
    media = _media(call, context)
    options = write_options(call, "PatchOptions", apply=media == APPLY)
    if call.oversized:
        raise too_large(f"Request entity too large: limit is {MAX_BODY_BYTES}")
    if media == APPLY:
        return await _apply(call, context, options)
    body, repeated = await context.server.aside.run(call.weight, _decode, call, media, options)
    if call.record is not None:
        call.record.body(body)

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        draft, managed = _unmanaged(_patched(live, body, media, context), live)
        shown = lambda: _patched(_in_order(live, context), body, media, context)
        new = _typed(draft, call, context, options, body if media == STRATEGIC else shown, repeated)
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        _check_identity(new, live, context)
        reset = "managedFields" in live["metadata"] and "managedFields" not in new["metadata"]
        return new, [] if reset else None

    return await change_object(call, context, options, change, retry=True)


def _unmanaged(draft: Any, live: Object) -> tuple[Any, list[Object] | None]:
    """The document without the managed fields that the patch left alone, and these: half of an object, and read before."""
    metadata, managed = (
        draft.get("metadata") if isinstance(draft, dict) else None,
        live["metadata"].get("managedFields"),
    )
    if not managed or not isinstance(metadata, dict) or metadata.get("managedFields") is not managed:
        return draft, None
    return {**draft, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}, managed


def _may_repeat(call: Call, body: Any, options: WriteOptions) -> bool:
    return bool(call.body) and options.validation != "Ignore" and may_repeat_keys(call.body, body)


def _in_order(live: Object, context: Context) -> Object:
    """The object with its fields in the order in which upstream writes them: documents in messages keep it."""
    ordered: Object = external(live, context.kind.type(context.version))
    return ordered


def _typed(
    draft: Any,
    call: Call,
    context: Context,
    options: WriteOptions,
    shown: Object | Callable[[], Any],
    repeated: Sequence[str],
) -> Object:
    """The patched document as an object of the kind; `repeated`: keys that the patch has twice.

    Raises 422 with `shown` in it: a strategic patch itself, or what makes the document anew, in order."""
    kind = context.kind
    try:
        if draft.get("kind") != kind.kind or draft.get("apiVersion") != context.api_version:
            check_kind(draft, kind, context.version, context.server.kinds, b"")
        return strictly(draft, kind, context.version, _reader(call), options.validation, duplicates=repeated)
    except StatusError as error:
        if kind.custom and error.code == 422:
            raise
        if isinstance(shown, dict):
            raise strategic.unfit(shown, _of_value(_why(error, kind.kind))) from None
        raise unfit(error, kind.kind, shown()) from None


def unfit(error: StatusError, kind: str, document: Object) -> StatusError:
    """A patched document that is none of the kind, as a fault of the patch."""
    shown = orjson.dumps(_ordered(document)).decode()
    return invalid("", "", "", [faults.invalid("patch", shown, _why(error, kind))])


def _why(error: StatusError, kind: str) -> str:
    """The fault itself: the words before it name what the document says that it is."""
    _, _, why = error.message.partition(f" cannot be handled as a {kind}: ")
    return why or error.message


_FIELD = re.compile(r"Go struct field \S+ of type")


def _of_value(why: str) -> str:
    """What upstream's converter leaves to a type's own reader (times, quantities…) is told without the field."""
    return _FIELD.sub("Go value of type", why)


def _ordered(draft: Object) -> Object:
    """A patched document as it is shown: the keys of its top level are sorted."""
    return {key: draft[key] for key in sorted(draft)}


def _reader(call: Call) -> Call:
    """Warnings of a patched object are told by its fields only; the body is no object of the kind."""
    return Call(call.method, call.path, warnings=call.warnings)


def _media(call: Call, context: Context) -> str:
    header = call.headers.get("content-type", "")
    media = header.split(";", 1)[0].strip().lower()
    allowed = _CUSTOM_TYPES if context.kind.custom else _TYPES
    if media not in allowed:
        if context.kind.custom:
            text = "the body of the request was in an unknown format - accepted media types include: "
            raise unsupported_media_type(text + ", ".join(allowed))
        raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    return media


def _decode(call: Call, media: str, options: WriteOptions) -> tuple[Any, list[str]]:
    """The patch, and which of its keys come twice."""
    if call.object is not None:
        return call.object, []
    if media == JSON_PATCH:
        return json_patch.decode(call.body), []
    body = merge_patch.decode(call.body)
    return body, duplicate_keys(call.body) if _may_repeat(call, body, options) else []


#: The order of Go's ObjectMeta, in which upstream shows what a patch left alone.
_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)


def _patched(live: Object, body: Any, media: str, context: Context) -> Any:
    metadata = live["metadata"]
    live = {**live, "metadata": {name: metadata[name] for name in _METADATA if name in metadata}}
    if media == JSON_PATCH:
        return json_patch.apply(live, body)
    if media == MERGE:
        return merge_patch.apply(live, body)
    return strategic.apply(live, body, context.kind.type(context.version))


def _check_identity(new: Object, live: Object, context: Context) -> None:
    """A patch may say which version it is for; it may not make another object of this one."""
    kind, info = context.kind, context.info
    metadata, before = new.get("metadata") or {}, live["metadata"]
    revision = metadata.get("resourceVersion")
    if revision and revision != before["resourceVersion"]:
        raise modified(kind.plural, kind.group, info.name)
    _check_path(metadata, context)


def _check_path(metadata: Object, context: Context) -> None:
    """The object must be the one that the path names."""
    kind, info = context.kind, context.info
    name = metadata.get("name")
    if not name:
        raise bad_request(
            f"the name of the object ({info.name} based on URL) was undeterminable: name must be provided"
        )
    if name != info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({info.name})")
    namespace = metadata.get("namespace")
    if kind.namespaced and namespace and namespace != info.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _names_managers(configuration: Object, type: Type) -> bool:
    """Whether a configuration has managed fields, which it may not: those that can't be read count as none."""
    metadata = configuration.get("metadata")
    managed = metadata.get("managedFields") if isinstance(metadata, dict) else None
    field = type.fields.get("metadata")
    if managed is None or field is None:
        return managed is not None
    try:
        strategic.check_form(managed, field.type.fields["managedFields"].type)
    except ValueError:
        return False
    return True


async def _apply(call: Call, context: Context, options: WriteOptions) -> One:
    kind, info, server = context.kind, context.info, context.server
    type = kind.type(context.version)

    def read() -> Object:
        value, duplicates = configuration(call)
        _check_kind(value, context)
        if not _names_managers(value, type):
            apply.check(value, type)
            # unknown fields are refused by the check: only keys that come twice are left to be told of
            strictly({}, kind, context.version, _reader(call), options.validation, duplicates)
        return value

    value = await server.aside.run(call.weight, read)
    if call.record is not None:
        call.record.body(value)
    revision = (value.get("metadata") or {}).get("resourceVersion")

    def merged(live: Object | None, applied: Object) -> apply.Applied:
        return apply.apply(
            live,
            applied,
            type,
            manager=options.manager,
            api_version=context.api_version,
            now=rfc3339(server.clock.time()),
            subresource=context.subresource,
            force=options.force,
            ignored=ignored_fields(kind, context.subresource),
        )

    def converted(obj: Object) -> Object:
        try:
            if not kind.custom:
                obj = strategic.fitted(obj, type, value)
            return strictly(obj, kind, context.version, _reader(call), "Ignore", [])
        except (StatusError, ValueError) as error:
            what = f"unable to convert unstructured object to {apply.described(obj).partition('; ')[2]}"
            text = f"failed to convert new object ({apply.described(obj)}) to proper version: {what}: "
            why = _of_value(_why(error, kind.kind)) if isinstance(error, StatusError) else str(error)
            raise StatusError(500, "", text + why) from None

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        if revision and revision != live["metadata"]["resourceVersion"]:
            raise modified(kind.plural, kind.group, info.name)
        result = merged(live, value)
        new = converted(result.object)
        _check_identity(new, live, context)
        return new, result.managed_fields

    async def created() -> One:
        if context.subresource:
            raise not_found(kind.plural, kind.group, info.name)
        # A revision of nothing is nothing to compare with.
        given = {key: one for key, one in (value.get("metadata") or {}).items() if key != "resourceVersion"}
        if given.get("uid"):
            why = f"uid mismatch: the provided object specified uid {given['uid']}, and no existing object was found"
            raise conflict(kind.plural, kind.group, info.name, why)

        def first() -> tuple[Object, list[Object]]:
            result = merged(None, {**value, "metadata": given})
            return converted(result.object), result.managed_fields

        new, managed_fields = await server.aside.run(call.weight, first)
        _check_path(new.get("metadata") or {}, context)
        return await create_object(new, call, context, options, managed_fields)

    return await change_object(call, context, options, change, retry=True, created=created)


def configuration(call: Call) -> tuple[Object, list[str]]:
    """The applied configuration, and which of its keys come twice. Raises 400."""
    if call.object is not None:
        value: Any = call.object
        duplicates: list[str] = []
    else:
        try:
            value, duplicates = yaml_text.load(call.body)
        except yaml_text.YamlError as error:
            raise bad_request(f"error encoding patch: {error}") from None
    if value is None:
        return {}, duplicates
    if not isinstance(value, dict):
        why = json_patch.mismatch(value, "map[string]interface {}")
        raise bad_request(f"error decoding patch: error unmarshaling JSON: while decoding JSON: {why}")
    return value, duplicates


def _check_kind(value: Object, context: Context) -> None:
    """The configuration must be of this kind, in the version of the path."""
    given, version = (one if isinstance(one := value.get(key), str) else "" for key in ("kind", "apiVersion"))
    if (given, version) != (context.kind.kind, context.api_version):
        shown = version if "/" in version else f"/{version}"
        raise bad_request(f"invalid object type: {shown}, Kind={given}")
