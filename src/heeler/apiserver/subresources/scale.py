"""scale: how many replicas, whatever the kind.

A custom kind says where its numbers stand; built-in ones have them in `spec.replicas`. Source:
https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/ ,
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from heeler.apiserver.body import check_kind, read_body, strictly
from heeler.apiserver.cache import key_of
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import WriteOptions, write_options
from heeler.apiserver.verbs.patch import APPLY, JSON_PATCH, MERGE, STRATEGIC, configuration, unfit
from heeler.apiserver.verbs.update import Body, change_object, precondition_failed
from heeler.kinds.bodies import SCALE
from heeler.kinds.custom.kind import CustomKind
from heeler.objects import apply, faults, json_patch, merge_patch, selectors
from heeler.objects.status import StatusError, bad_request, invalid, modified, not_found, unsupported_media_type
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

GROUP, VERSION, API_VERSION = "autoscaling", "v1", "autoscaling/v1"
#: (the Scale that the object shows, the object) -> the Scale that is wanted
NewScale = Callable[[Object, Object], Object]


def scale_of(obj: Object, paths: Object | None = None) -> Object:
    """The Scale that an object shows: of `paths` (as a definition has them), or of spec.replicas and spec.selector.

    Raises 500 if the object doesn't have the replicas that its definition's path names.
    """
    if paths is not None:
        return _custom_scale(obj, paths)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return _scale(obj, spec.get("replicas") or 0, status.get("replicas", 0), _selector(spec.get("selector")))


def _custom_scale(obj: Object, paths: Object) -> Object:
    replicas = _at(obj, paths["specReplicasPath"])
    if replicas is None:
        text = f'the spec replicas field "{paths["specReplicasPath"]}" does not exist'
        raise StatusError(500, "InternalError", f"Internal error occurred: {text}", {"causes": [{"message": text}]})
    selector = _at(obj, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else ""
    return _scale(obj, replicas, _at(obj, paths["statusReplicasPath"]) or 0, selector or "")


def _at(obj: Object, path: str) -> Any:
    node: Any = obj
    for step in path.lstrip(".").split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _with_replicas(obj: Object, path: str, replicas: int) -> Object:
    """A copy of the object, new along the path."""
    out = {**obj, "metadata": dict(obj["metadata"])}
    *way, last = path.lstrip(".").split(".")
    node = out
    for step in way:
        node[step] = dict(node.get(step) or {})
        node = node[step]
    node[last] = replicas
    return out


def _scale(obj: Object, replicas: int, current: int, selector: str) -> Object:
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    out: Object = {"kind": "Scale", "apiVersion": API_VERSION}
    out["metadata"] = {k: metadata[k] for k in kept if k in metadata}
    out["spec"] = {"replicas": replicas} if replicas else {}
    out["status"] = {"replicas": current}
    if selector:
        out["status"]["selector"] = selector
    return out


def _selector(selector: Any) -> str:
    """Replication controllers have a plain map, everything else a LabelSelector."""
    if not selector:
        return ""
    if "matchLabels" in selector or "matchExpressions" in selector:
        return str(selectors.of_object(selector))
    return str(selectors.of_map(selector))


async def get(call: Call, context: Context) -> Plain:
    await context.server.freshen()
    kind, info = context.kind, context.info
    item = context.server.cache.of(kind).items.get(key_of(kind, info.namespace, info.name))
    if item is None:
        raise not_found(kind.plural, kind.group, info.name)
    await context.server.conversions.ready_to_read(item, context.api_version)
    return Plain(scale_of(item.in_version(context.api_version), _paths(context)), rows_of=SCALE)


def _paths(context: Context) -> Object | None:
    kind = context.kind
    return kind.scale_paths(context.version) if isinstance(kind, CustomKind) else None


async def update(call: Call, context: Context) -> Plain:
    options = write_options(call, "UpdateOptions")
    server = context.server
    value = await server.aside.run(call.weight, read_body, call, SCALE, server.kinds, options.validation)
    name = (value.get("metadata") or {}).get("name", "")
    if name != context.info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({context.info.name})")
    return await _write(call, context, options, lambda *_: value)


async def patch(call: Call, context: Context) -> Plain:
    media = call.headers.get("content-type", "").split(";", 1)[0].strip()
    options = write_options(call, "PatchOptions", apply=media == APPLY)
    if media == APPLY:
        return await _apply(call, context, options)
    if media not in (JSON_PATCH, MERGE, STRATEGIC):
        allowed = ", ".join((JSON_PATCH, MERGE, STRATEGIC, APPLY))
        raise unsupported_media_type(
            f"the body of the request was in an unknown format - accepted media types include: {allowed}"
        )
    body: Any = call.object
    if body is None:
        decode = json_patch.decode if media == JSON_PATCH else merge_patch.decode
        body = await context.server.aside.run(call.weight, decode, call.body)

    def patched(scale: Object) -> Any:
        return json_patch.apply(scale, body) if media == JSON_PATCH else merge_patch.apply(scale, body)

    def new_scale(scale: Object, live: Object) -> Object:
        found = patched(scale)
        try:
            check_kind(found, SCALE, VERSION, context.server.kinds, b"")
            quiet = Call(call.method, call.path, warnings=call.warnings)
            return strictly(found, SCALE, VERSION, quiet, options.validation, [])
        except StatusError as error:
            shown = {**scale, "metadata": {**scale["metadata"], **_managers(live, _replicas_path(_paths(context)))}}
            raise unfit(error, SCALE.kind, patched(shown)) from None

    return await _write(call, context, options, new_scale)


async def _write(call: Call, context: Context, options: WriteOptions, new_scale: NewScale) -> Plain:
    kind, info = context.kind, context.info

    paths = _paths(context)

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        wanted = new_scale(scale_of(live, paths), live)
        revision = (wanted.get("metadata") or {}).get("resourceVersion")
        if revision and revision != live["metadata"]["resourceVersion"]:
            raise modified(kind.plural, kind.group, info.name)
        uid = (wanted.get("metadata") or {}).get("uid")
        if uid and uid != live["metadata"]["uid"]:
            raise precondition_failed(context, "UID", uid, live["metadata"]["uid"], options.dry_run)
        replicas = _replicas(wanted, context, paths)
        return _with_replicas(live, _replicas_path(paths), replicas), None

    # the object itself is written, as its main resource would be; the subresource names who did it
    found = await change_object(call, context, options, change, body=_body(context, paths))
    return Plain(scale_of(found.value(), paths), rows_of=SCALE)


def _body(context: Context, paths: Object | None) -> Body:
    """Admission sees the Scale, and may change the number in it."""

    def put(obj: Object, scale: Object) -> Object:
        return _with_replicas(obj, _replicas_path(paths), _replicas(scale, context, paths))

    return Body(SCALE, lambda obj: scale_of(obj, paths), put)


def _managers(live: Object, path: str) -> Object:
    """Who manages the replicas, as upstream shows it in a Scale."""
    out = []
    for entry in live["metadata"].get("managedFields") or ():
        node = entry.get("fieldsV1") or {}
        for step in path.lstrip(".").split("."):
            node = node.get(f"f:{step}") if isinstance(node, dict) else None
        if node is not None:
            out.append({**entry, "apiVersion": API_VERSION, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    return {"managedFields": out} if out else {}


def _replicas_path(paths: Object | None) -> str:
    return ".spec.replicas" if paths is None else paths["specReplicasPath"]


def _replicas(scale: Object, context: Context, paths: Object | None) -> int:
    """The number that a Scale wants. Raises 400, 422."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas < 0 and paths is not None:
        fault = faults.invalid(_replicas_path(paths), replicas, "should be a non-negative integer")
        raise invalid(context.kind.kind, context.kind.group, context.info.name, [fault])
    if replicas < 0:
        fault = faults.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", GROUP, context.info.name, [fault])
    return replicas


async def _apply(call: Call, context: Context, options: WriteOptions) -> Plain:
    """Server-side apply: whoever applies a scale comes to manage the field where the replicas stand."""
    value, _ = await context.server.aside.run(call.weight, configuration, call)
    kind, paths = context.kind, _paths(context)
    check_kind(value, SCALE, VERSION, context.server.kinds, call.body)
    value = strictly(value, SCALE, VERSION, call, options.validation, [])
    replicas = _replicas(value, context, paths)
    applied = _with_replicas({"apiVersion": context.api_version, "metadata": {}}, _replicas_path(paths), replicas)

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        result = apply.apply(
            live,
            {**applied, "kind": kind.kind},
            kind.type(context.version),
            manager=options.manager,
            api_version=context.api_version,
            now="",
            subresource="scale",
            force=options.force,
            told_version=API_VERSION,
        )
        return result.object, result.managed_fields

    found = await change_object(call, context, options, change, body=_body(context, paths))
    return Plain(scale_of(found.value(), paths), rows_of=SCALE)
