"""Questions that are answered and not stored: who am I, whose is this token, may they do that.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access and recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.body import read_object
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import write_options
from heeler.apiserver.request_info import demanded
from heeler.apiserver.subresources.body import admitted
from heeler.apiserver.user import User
from heeler.base.clock import rfc3339
from heeler.objects import apply, faults
from heeler.objects.faults import Fault
from heeler.objects.status import bad_request, invalid, not_found, too_large
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context


MAX_REVIEW_BYTES = 256 * 1024


async def _read(call: Call, context: Context) -> Object:
    """The question, as admission lets it go on. Raises 400, 413 and what webhooks refuse with."""
    if len(call.body) > MAX_REVIEW_BYTES:  # whoever is known may ask: what a question costs is bounded
        raise too_large(f"Request entity too large: limit is {MAX_REVIEW_BYTES}")
    options = write_options(call, "CreateOptions")
    kind = context.kind
    server = context.server
    obj = await server.aside.run(
        call.weight, read_object, call, kind, context.version, server.kinds, options.validation
    )
    managed = apply.track_update(
        None,
        obj,
        kind.type(context.version),
        manager=options.manager,
        api_version=context.api_version,
        now=rfc3339(context.server.clock.time()),
    )
    if managed:
        obj.setdefault("metadata", {})["managedFields"] = managed
    return await admitted(call, context, obj, kind, dry_run=options.dry_run)


def _answer(context: Context, spec: Object | None, status: Object, metadata: Object | None = None) -> Plain:
    out: Object = {"kind": context.kind.kind, "apiVersion": context.api_version, "metadata": metadata or {}}
    if spec is not None:
        out["spec"] = spec
    out["status"] = status
    return Plain(out, 201)


def user_info(user: User) -> Object:
    """A user as reviews show it."""
    out: Object = {}
    if user.name:
        out["username"] = user.name
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = {k: list(v) for k, v in user.extra.items()}
    return out


async def self_subject(call: Call, context: Context) -> Plain:
    """Who am I?"""
    await _read(call, context)
    metadata = {"creationTimestamp": rfc3339(context.server.clock.time())}
    return _answer(context, None, {"userInfo": user_info(context.user)}, metadata)


async def token_review(call: Call, context: Context) -> Plain:
    """Whose is this token?"""
    obj = await _read(call, context)
    spec = obj.get("spec") or {}
    token = spec.get("token", "")
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    audiences = tuple(spec.get("audiences") or ())
    status: Object = {"user": {}}
    for source in context.server.token_sources:
        user, meant = _user_for(source, token, audiences, _own_audiences(context))
        if user is not None:
            status = {"authenticated": True, "user": user_info(user)}
            if meant:
                status["audiences"] = meant
            break
    else:
        status["error"] = "invalid bearer token"
    return _answer(context, spec, status, _metadata(obj))


def _own_audiences(context: Context) -> tuple[str, ...]:
    return tuple(getattr(context.server.service_accounts, "audiences", ()))


def _user_for(
    source: Any, token: str, audiences: tuple[str, ...], own: tuple[str, ...]
) -> tuple[User | None, list[str]]:
    """Whose token it is, if it is for one of `audiences` (the server's own where none are given), and for which.

    A token that says nothing of audiences (of the token file) is for the server itself.
    """
    if hasattr(source, "audiences"):
        user = source.user(token, audiences)
        return user, [a for a in audiences or own if user and source.user(token, (a,)) is not None]
    meant = [a for a in audiences if a in own] if audiences else list(own)
    return (source.user(token) if meant or not audiences else None), meant


def _metadata(obj: Object) -> Object:
    return obj.get("metadata") or {}


async def self_subject_access(call: Call, context: Context) -> Plain:
    """May I do this?"""
    obj = await _read(call, context)
    spec = obj.get("spec") or {}
    _refuse(context, obj, _spec_faults(spec, with_user=False))
    status = await _decide(context, context.user, spec)
    return _answer(context, spec, status, _metadata(obj))


async def subject_access(call: Call, context: Context) -> Plain:
    """May they do this?"""
    obj = await _read(call, context)
    spec = obj.get("spec") or {}
    _refuse(context, obj, _spec_faults(spec, with_user=True))
    return _answer(context, spec, await _decide(context, _user_of(spec), spec), _metadata(obj))


async def local_subject_access(call: Call, context: Context) -> Plain:
    """May they do this in this namespace?"""
    obj = await _read(call, context)
    spec = obj.get("spec") or {}
    found = _spec_faults(spec, with_user=True)
    asked = (spec.get("resourceAttributes") or {}).get("namespace", "")
    namespace = context.info.namespace
    if spec.get("nonResourceAttributes"):
        found.append(
            faults.invalid(
                "spec.nonResourceAttributes", spec["nonResourceAttributes"], "disallowed on this kind of request"
            )
        )
    if asked != namespace:
        found.append(
            faults.invalid("spec.resourceAttributes.namespace", asked, f"must match metadata.namespace: {namespace}")
        )
    _refuse(context, obj, found)
    metadata = {**_metadata(obj), "namespace": namespace}
    return _answer(context, spec, await _decide(context, _user_of(spec), spec), metadata)


def _refuse(context: Context, obj: Object, found: list[Fault]) -> None:
    if found:
        name = (obj.get("metadata") or {}).get("name", "")
        raise invalid(context.kind.kind, context.kind.group, name, found)


def _spec_faults(spec: Object, *, with_user: bool) -> list[Fault]:
    out = []
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        out.append(
            faults.invalid(
                "spec.nonResourceAttributes", other, "cannot be specified in combination with resourceAttributes"
            )
        )
    if resource is None and other is None:
        out.append(
            faults.invalid(
                "spec.resourceAttributes",
                None,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        )
    if with_user and not spec.get("user") and not spec.get("groups"):
        out.append(faults.invalid("spec.user", "", "at least one of user or group must be specified"))
    return out


def _user_of(spec: Object) -> User:
    extra = {k: tuple(v) for k, v in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)


def _demanded(selector: Object) -> frozenset[tuple[str, str]]:
    """The fields that a selector wants to have one value each."""
    wanted = [
        (r.get("key", ""), r["values"][0])
        for r in selector.get("requirements") or ()
        if r.get("operator") == "In" and len(r.get("values") or ()) == 1
    ]
    return frozenset(wanted) or demanded(selector.get("rawSelector") or "")


async def _decide(context: Context, user: User, spec: Object) -> Object:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None:
        asked = Attributes(
            resource.get("verb", ""),
            resource.get("group", ""),
            resource.get("version", ""),
            resource.get("resource", ""),
            resource.get("subresource", ""),
            resource.get("namespace", ""),
            resource.get("name", ""),
            fields=_demanded(resource.get("fieldSelector") or {}),
        )
    else:
        asked = Attributes((other or {}).get("verb", ""), path=(other or {}).get("path", ""))
    why = await context.server.authorizer.allows(user, asked)
    if why is None:
        reason = context.server.authorizer.reason(user, asked)
        return {"allowed": False, "reason": reason} if reason else {"allowed": False}
    return {"allowed": True, "reason": why} if why else {"allowed": True}


async def self_subject_rules(call: Call, context: Context) -> Plain:
    """What may I do in a namespace?"""
    obj = await _read(call, context)
    spec = obj.get("spec") or {}
    namespace = spec.get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    resources: list[Object] = []
    paths: list[Object] = []
    for rule, _ in context.server.rbac.rules_for(context.user, namespace):
        if rule.get("resources"):
            kept = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({k: rule[k] for k in kept if rule.get(k)})
        if rule.get("nonResourceURLs"):
            paths.append({k: rule[k] for k in ("verbs", "nonResourceURLs") if rule.get(k)})
    status = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
    return _answer(context, spec, status, _metadata(obj))


async def component_statuses(call: Call, context: Context) -> Plain:
    """The old list of components: this server has none to report on from here."""
    return Plain({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": []})


async def component_status(call: Call, context: Context) -> Plain:
    raise not_found("componentstatuses", "", context.info.name)
