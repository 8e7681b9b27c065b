"""An admission request: what policies and webhooks are shown of a write, and matched against.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from heeler.objects.schema import Type
from heeler.objects.status import StatusError
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.cel.policies import Request

GROUP = "admissionregistration.k8s.io"
#: Policies and webhooks do not judge what they are made of.
EXEMPT = (
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
)
_CODES = {"Invalid": 422, "Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


def denied(write: Write, words: str, reason: str) -> StatusError:
    error = write.refused(words)
    assert error.details is not None
    error.details["causes"] = [{"message": words}]
    return StatusError(_CODES.get(reason, 422), reason, error.message, error.details)


def refused(write: Write, words: str) -> StatusError:
    """403 where it isn't a policy's verdict: no causes."""
    return write.refused(words)


def request(write: Write) -> Request:
    from heeler.kinds.cel.policies import Request

    kind, info = write.kind, write.context.info
    versions = tuple((kind.group, version) for version in kind.versions)
    return Request(
        write.operation,
        kind.group,
        write.context.version,
        kind.plural,
        write.subresource,
        write.name,
        info.namespace if kind.namespaced else "",
        kind.namespaced,
        versions,
    )


def of_version(request: Request, group: str, version: str) -> Request:
    """The same request as if it had been made in another version of the resource."""
    return dataclasses.replace(request, group=group, version=version)


def in_version(write: Write, obj: Object | None, api_version: str) -> Object | None:
    """An object of the write (stored form) as a version shows it."""
    if obj is None:
        return None
    kind = write.form
    shown = obj if write.body is not None else kind.convert(obj, kind.storage_api_version, api_version)
    return {**shown, "kind": kind.kind}


async def converted(write: Write, obj: Object | None, api_version: str) -> Object | None:
    """The same for another version, for which custom kinds may have to ask a webhook. Raises 500."""
    if obj is None or write.body is not None:
        return in_version(write, obj, api_version)
    kind = write.kind
    found = await write.context.server.conversions.convert(kind, obj, kind.storage_api_version, api_version)
    return {**found, "kind": kind.kind}


def type_of(write: Write, version: str) -> Type:
    """The shape of the write's objects in a version of its resource."""
    form = write.form
    return form.type(form.versions[0] if write.body is not None else version)


def objects(write: Write) -> tuple[Object | None, Object | None]:
    """The new object and the old one, in the request's version."""
    version = write.context.api_version
    return in_version(write, write.new, version), in_version(write, write.old, version)


def namespace(write: Write, request: Request) -> Object | None:
    if not request.namespace:
        return None
    return write.context.server.lookup("", "namespaces", "", request.namespace)


async def replace(write: Write, changed: Object, version: str, *, strict: bool = False) -> list[str]:
    """Go on with a changed object, given as `version` shows it: decoded, defaulted, who owns its fields as it was.

    A line for each unknown field (they are dropped unless `strict`: then nothing is done). Raises DecodeError.
    """
    kind, target = write.form, write.kind.api_version(version)
    if write.body is not None:
        version, target = kind.versions[0], kind.storage_api_version
    assert write.new is not None
    if changed == await converted(write, write.new, target):
        return []
    new, lines = kind.decode(changed, version, strict=strict)
    if lines and strict:
        return lines
    new |= {"apiVersion": target, "kind": kind.kind}
    kind.default(new, version)
    stored = await write.context.server.conversions.convert(kind, new, target, kind.storage_api_version)
    if "managedFields" in (write.new.get("metadata") or {}):
        stored["metadata"]["managedFields"] = write.new["metadata"]["managedFields"]
    write.new = stored
    return []


def asked(write: Write, request: Request, version: str = "") -> Object:
    """The AdmissionRequest but for uid, objects and options; `version`: the one that objects are shown in."""
    user = write.context.user
    who: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        who["uid"] = user.uid
    if user.extra:
        who["extra"] = {key: list(values) for key, values in user.extra.items()}
    shown = {"group": request.group, "version": version or request.version}
    made = {"group": request.group, "version": request.version}
    body, name = write.body, write.form.kind
    own = None if body is None else {"group": body.group, "version": body.versions[0], "kind": name}
    out: Object = {
        "kind": own or {**shown, "kind": name},
        "resource": {**shown, "resource": request.resource},
        "requestKind": own or {**made, "kind": name},
        "requestResource": {**made, "resource": request.resource},
        "operation": request.operation,
        "userInfo": who,
        "dryRun": write.dry_run,
    }
    named = {"name": request.name, "namespace": request.namespace}
    named |= {"subResource": request.subresource, "requestSubResource": request.subresource}
    return out | {key: text for key, text in named.items() if text}


async def admission_request(write: Write, uid: str, version: str) -> Object:
    """What a webhook is sent, with the objects in `version`."""
    api_version = write.kind.api_version(version)
    return {
        "uid": uid,
        **asked(write, request(write), version),
        "object": await converted(write, write.new, api_version),
        "oldObject": await converted(write, write.old, api_version),
        "options": options(write),
    }


def options(write: Write) -> Object | None:
    """The options of the operation; a connection's are its object."""
    if write.operation == "CONNECT":
        return None
    found: Object = {"kind": _OPTIONS[write.operation], "apiVersion": "meta.k8s.io/v1", **write.options}
    if write.dry_run:
        found["dryRun"] = ["All"]
    for name in ("fieldManager", "fieldValidation") if write.operation != "DELETE" else ():
        if text := write.call.param(name):
            found[name] = text
    return found


def values(
    write: Write,
    request: Request,
    objects: tuple[Object | None, Object | None],
    namespace: Object | None,
    version: str = "",
) -> dict[str, Any]:
    """What expressions may look at; `version`: the one that the objects are shown in."""
    from heeler.kinds.cel.rights import request_resource

    return {
        "object": objects[0],
        "oldObject": objects[1],
        "request": {**asked(write, request, version), "options": options(write)},
        "namespaceObject": namespace,
        "authorizer.requestResource": request_resource(
            request.group, request.resource, request.subresource, request.namespace, request.name
        ),
    }
