"""scale: how many replicas, whatever the kind. Source: https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heeler.apiserver.body import Unparsable, check_type_meta, parse
from heeler.apiserver.cache import key_of
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import WriteOptions, write_options
from heeler.apiserver.verbs.patch import APPLY, JSON_PATCH, MERGE, STRATEGIC
from heeler.apiserver.verbs.update import change_object
from heeler.objects import faults, json_patch, merge_patch, selectors
from heeler.objects.status import bad_request, invalid, modified, not_found, not_implemented, unsupported_media_type
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

GROUP, API_VERSION = "autoscaling", "autoscaling/v1"


def scale_of(obj: Object) -> Object:
    """The Scale that an object (with spec.replicas and spec.selector) shows."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    out: Object = {"kind": "Scale", "apiVersion": API_VERSION}
    out["metadata"] = {k: metadata[k] for k in kept if k in metadata}
    out["spec"] = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    out["status"] = {"replicas": status.get("replicas", 0)}
    text = _selector(spec.get("selector"))
    if text:
        out["status"]["selector"] = text
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
    return Plain(scale_of(item.object()))


async def update(call: Call, context: Context) -> Plain:
    options = write_options(call, "UpdateOptions")
    if isinstance(call.object, dict):
        value: Any = call.object
    else:
        try:
            value, _ = parse(call)
        except Unparsable as error:
            raise bad_request(str(error)) from None
        check_type_meta(value, "Scale", GROUP, "v1", context.server.kinds, call.body)
    name = (value.get("metadata") or {}).get("name", "")
    if name != context.info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({context.info.name})")
    return await _write(call, context, options, lambda _: value)


async def patch(call: Call, context: Context) -> Plain:
    options = write_options(call, "PatchOptions")
    media = call.headers.get("content-type", "").split(";", 1)[0].strip()
    if media == APPLY:
        raise not_implemented("server-side apply of a scale")
    if media not in (JSON_PATCH, MERGE, STRATEGIC):
        allowed = ", ".join((JSON_PATCH, MERGE, STRATEGIC, APPLY))
        raise unsupported_media_type(
            f"the body of the request was in an unknown format - accepted media types include: {allowed}"
        )
    body: Any = call.object
    if body is None:
        body = json_patch.decode(call.body) if media == JSON_PATCH else merge_patch.decode(call.body)

    def new_scale(live: Object) -> Object:
        patched = json_patch.apply(live, body) if media == JSON_PATCH else merge_patch.apply(live, body)
        return patched if isinstance(patched, dict) else {}

    return await _write(call, context, options, new_scale)


async def _write(call: Call, context: Context, options: WriteOptions, new_scale: Any) -> Plain:
    kind, info = context.kind, context.info

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        wanted = new_scale(scale_of(live))
        revision = (wanted.get("metadata") or {}).get("resourceVersion")
        if revision and revision != live["metadata"]["resourceVersion"]:
            raise modified(kind.plural, kind.group, info.name)
        replicas = (wanted.get("spec") or {}).get("replicas") or 0
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            shown = "string" if isinstance(replicas, str) else "number"
            text = f"json: cannot unmarshal {shown} into Go struct field ScaleSpec.spec.replicas of type int32"
            raise bad_request(f'Scale in version "v1" cannot be handled as a Scale: {text}')
        if replicas < 0:
            fault = faults.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("Scale", GROUP, info.name, [fault])
        new = {**live, "metadata": dict(live["metadata"]), "spec": {**live["spec"], "replicas": replicas}}
        return new, None

    # the object itself is written, as its main resource would be; the subresource names who did it
    found = await change_object(call, context, options, change)
    return Plain(scale_of(found.value()))
