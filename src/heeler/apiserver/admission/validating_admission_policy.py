"""ValidatingAdmissionPolicy: bound policies are judged on each write they match; a denial refuses it, a warning is told.

What a policy says is decided in `kinds.cel.policies`; here policies, bindings and parameters are found and answers given.
Audit annotations are not written (there is no audit log yet). Source:
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.kinds.cel import policies
from heeler.kinds.cel.library import Question, Rights, request_resource
from heeler.kinds.cel.policies import Finding, Request
from heeler.kinds.meta.selector_rules import matches as selects
from heeler.objects.status import StatusError, forbidden
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

GROUP = "admissionregistration.k8s.io"
#: A policy can't lock itself in: these are never judged.
EXEMPT = (
    (GROUP, "validatingadmissionpolicies"),
    (GROUP, "validatingadmissionpolicybindings"),
    (GROUP, "mutatingadmissionpolicies"),
    (GROUP, "mutatingadmissionpolicybindings"),
)
_CODES = {"Invalid": 422, "Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
#: Rounds of questions about rights that one policy may ask.
MAX_ROUNDS = 16


async def check(write: Write) -> None:
    server = write.context.server
    bindings = server.cache_of(GROUP, "validatingadmissionpolicybindings").items
    if not bindings or (write.kind.group, write.kind.plural) in EXEMPT:
        return
    request, values = _request(write), None
    for item in list(bindings.values()):
        binding = item.object()
        policy = server.lookup(GROUP, "validatingadmissionpolicies", "", binding["spec"]["policyName"])
        if policy is None or not _matches(write, policy, binding, request):
            continue
        values = values or _values(write, request)
        for params in _params(write, policy["spec"], binding["spec"]):
            found = params if isinstance(params, Finding) else None
            findings = [found] if found else await _judge(write, policy["spec"], {**values, "params": params})
            _answer(write, policy["metadata"]["name"], binding, findings)


def _request(write: Write) -> Request:
    info, kind = write.context.info, write.kind
    name = info.name or ((write.new or {}).get("metadata") or {}).get("name", "")
    return Request(
        write.operation,
        kind.group,
        write.context.version,
        kind.plural,
        write.subresource,
        name,
        info.namespace if kind.namespaced else "",
        kind.namespaced,
        tuple((kind.group, version) for version in kind.versions),
    )


def _matches(write: Write, policy: Object, binding: Object, request: Request) -> bool:
    objects = (write.new, write.old)
    constraints = policy["spec"].get("matchConstraints") or {}
    if not constraints.get("resourceRules") or not policies.matches(constraints, request, objects, _namespace(write)):
        return False
    return policies.matches(binding["spec"].get("matchResources") or {}, request, objects, _namespace(write))


def _namespace(write: Write) -> Object | None:
    if not write.kind.namespaced:
        return None
    return write.context.server.lookup("", "namespaces", "", write.context.info.namespace)


def _values(write: Write, request: Request) -> dict[str, Any]:
    """What expressions may look at, but for the parameters."""
    kind, context = write.kind, write.context

    def shown(obj: Object | None) -> Object | None:
        return None if obj is None else kind.convert(obj, kind.storage_api_version, context.api_version)

    gvk = {"group": kind.group, "version": context.version, "kind": kind.kind}
    gvr = {"group": kind.group, "version": context.version, "resource": kind.plural}
    user = context.user
    admission: Object = {
        "kind": gvk,
        "resource": gvr,
        "subResource": write.subresource,
        "requestKind": gvk,
        "requestResource": gvr,
        "requestSubResource": write.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "operation": write.operation,
        "userInfo": {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
        },
        "dryRun": write.dry_run,
        "options": None,
    }
    asked = (kind.group, kind.plural, write.subresource, request.namespace, request.name)
    return {
        "object": shown(write.new),
        "oldObject": shown(write.old),
        "request": admission,
        "namespaceObject": _namespace(write),
        "authorizer.requestResource": request_resource(*asked),
    }


def _params(write: Write, policy: Object, binding: Object) -> Iterator[Object | Finding | None]:
    """The objects that the policy is judged with: None without parameters; a finding where they are missing."""
    wanted, ref = policy.get("paramKind"), binding.get("paramRef")
    if not wanted or not ref:
        yield None
        return
    server = write.context.server
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = server.kinds.by_kind(group, version, wanted["kind"])
    found: list[Object] = []
    if kind is not None:
        namespace = (ref.get("namespace") or write.context.info.namespace) if kind.namespaced else ""
        if ref.get("name"):
            one = server.lookup(kind.group, kind.plural, namespace, ref["name"])
            found = [one] if one is not None else []
        else:
            objects = server.objects(kind.group, kind.plural, namespace)
            found = [o for o in objects if selects(ref.get("selector") or {}, o["metadata"].get("labels") or {})]
    if found:
        yield from found
    elif ref.get("parameterNotFoundAction", "Deny") == "Deny":
        text = "no params found for policy binding with `Deny` parameterNotFoundAction"
        yield Finding(f"failed to configure binding: {text}", error=True)


async def _judge(write: Write, policy: Object, values: dict[str, Any]) -> list[Finding]:
    """What the policy finds; rights that its expressions ask for are looked up, then it is judged again."""
    rights = Rights()
    for _ in range(MAX_ROUNDS):
        findings = policies.judge(policy, values, rights)
        if not rights.open:
            return findings
        asked, rights.open = rights.open, []
        for question in asked:
            why = await write.context.server.authorizer.allows(_asker(write, question), _asked(question))
            rights.answers[question] = (why is not None, why or "")
    return findings


def _asker(write: Write, question: Question) -> User:
    """Whoever made the request, or the service account that the expression names (namespace:name)."""
    if not question.user:
        return write.context.user
    namespace, _, name = question.user.rpartition("/" if "/" in question.user else ":")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", "", groups)


def _asked(question: Question) -> Attributes:
    if question.path:
        return Attributes(question.verb, path=question.path)
    return Attributes(
        question.verb,
        question.group,
        "*",
        question.resource,
        question.subresource,
        question.namespace,
        question.name,
    )


def _answer(write: Write, policy: str, binding: Object, findings: list[Finding]) -> None:
    """Refuse, or warn, as the binding says."""
    actions = binding["spec"].get("validationActions") or ()
    name = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding['metadata']['name']}'"
    for finding in findings:
        if "Deny" in actions:
            raise _denied(write, f"{name} denied request: {finding.message}", finding.reason)
        if "Warn" in actions:
            write.call.warn(f"Validation failed for {name}: {finding.message}")


def _denied(write: Write, why: str, reason: str) -> StatusError:
    subject = write.new or write.old or {}
    name = (subject.get("metadata") or {}).get("name", "")
    error = forbidden(write.kind.plural, write.kind.group, name, why)
    details = {**(error.details or {}), "causes": [{"message": why}]}
    return StatusError(_CODES.get(reason, 422), reason, error.message, details)
