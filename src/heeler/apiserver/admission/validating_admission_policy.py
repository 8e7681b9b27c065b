"""ValidatingAdmissionPolicy: policies whose bindings take a request may refuse it or warn of it.

What a policy finds is decided in `heeler.kinds.cel.policies`; here policies, bindings and parameters are looked up.
Audit annotations are not written (there is no audit log yet). Source:
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.objects.status import StatusError, qualified
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.cel.library import Question
    from heeler.kinds.cel.policies import Finding, Request

GROUP = "admissionregistration.k8s.io"
#: Policies do not judge what policies are made of.
_EXEMPT = (
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
)
_CODES = {"Invalid": 422, "Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
#: Rounds of questions to the authorizer for one policy.
_ROUNDS = 16


async def check(write: Write) -> None:
    """Raises StatusError for the first finding of a policy whose binding denies."""
    server = write.context.server
    if write.kind.group == GROUP and write.kind.plural in _EXEMPT:
        return
    bindings = list(server.objects(GROUP, "validatingadmissionpolicybindings"))
    if not bindings:
        return
    for policy in server.objects(GROUP, "validatingadmissionpolicies"):
        name = policy["metadata"]["name"]
        for binding in bindings:
            if binding["spec"].get("policyName") == name:
                await _judge(write, policy, binding)


async def _judge(write: Write, policy: Object, binding: Object) -> None:
    from heeler.kinds.cel.policies import Finding, matches

    request, objects = _request(write), _objects(write)
    namespace = _namespace(write, request)
    spec = policy["spec"]
    for match in (spec.get("matchConstraints"), binding["spec"].get("matchResources")):
        if match is not None and not matches(match, request, objects, namespace):
            return
    values = _values(write, request, objects, namespace)
    parameters = list(_parameters(write, spec, binding, request))
    found: list[Finding] = []
    if not parameters and spec.get("paramKind") is not None:
        reference = binding["spec"].get("paramRef") or {}
        if reference.get("parameterNotFoundAction") == "Allow":
            return
        words = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
        found = [Finding(words, error=True)]
    given: list[Object | None] = [*parameters] if spec.get("paramKind") is not None else [None]
    for parameter in given:
        found += await _findings(write, spec, {**values, "params": parameter})
    _act(write, policy, binding, found)


def _act(write: Write, policy: Object, binding: Object, found: list[Finding]) -> None:
    where = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
    actions = binding["spec"].get("validationActions") or ()
    for finding in found:
        if "Warn" in actions and not finding.error:
            write.call.warn(f"Validation failed for {where}: {finding.message}")
        if "Deny" in actions or finding.error:
            raise _denied(write, f"{where} denied request: {finding.message}", finding.reason)


def _denied(write: Write, words: str, reason: str) -> StatusError:
    kind, name = write.kind, _name(write)
    details: Object = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.plural, "causes": [{"message": words}]}
    text = f'{qualified(kind.plural, kind.group)} "{name}" is forbidden: {words}'
    return StatusError(_CODES.get(reason, 422), reason, text, details)


def _name(write: Write) -> str:
    some = write.new if write.new is not None else write.old or {}
    return str((some.get("metadata") or {}).get("name") or write.context.info.name or "")


def _request(write: Write) -> Request:
    from heeler.kinds.cel.policies import Request

    kind, info = write.kind, write.context.info
    versions = tuple((kind.group, version) for version in kind.versions)
    return Request(
        write.operation,
        kind.group,
        write.context.version,
        kind.plural,
        write.subresource,
        _name(write),
        info.namespace if kind.namespaced else "",
        kind.namespaced,
        versions,
    )


def _objects(write: Write) -> tuple[Object | None, Object | None]:
    """The new object and the old one, in the request's version."""
    kind, version = write.kind, write.context.api_version

    def seen(obj: Object | None) -> Object | None:
        return None if obj is None else {**kind.convert(obj, kind.storage_api_version, version), "kind": kind.kind}

    return seen(write.new), seen(write.old)


def _namespace(write: Write, request: Request) -> Object | None:
    if not request.namespace:
        return None
    return write.context.server.lookup("", "namespaces", "", request.namespace)


def _values(
    write: Write, request: Request, objects: tuple[Object | None, Object | None], namespace: Object | None
) -> dict[str, Any]:
    from heeler.kinds.cel.library import request_resource

    kind = {"group": request.group, "version": request.version, "kind": write.kind.kind}
    resource = {"group": request.group, "version": request.version, "resource": request.resource}
    user = write.context.user
    who: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        who["uid"] = user.uid
    if user.extra:
        who["extra"] = {key: list(values) for key, values in user.extra.items()}
    asked: Object = {
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "operation": request.operation,
        "userInfo": who,
        "dryRun": write.dry_run,
    }
    named = {"name": request.name, "namespace": request.namespace}
    named |= {"subResource": request.subresource, "requestSubResource": request.subresource}
    asked |= {key: text for key, text in named.items() if text}
    return {
        "object": objects[0],
        "oldObject": objects[1],
        "request": asked,
        "namespaceObject": namespace,
        "authorizer.requestResource": request_resource(
            request.group, request.resource, request.subresource, request.namespace, request.name
        ),
    }


def _parameters(write: Write, spec: Object, binding: Object, request: Request) -> Iterator[Object]:
    """The objects that the binding names as the policy's parameters."""
    from heeler.kinds.meta.selector_rules import matches

    kind, reference = spec.get("paramKind"), binding["spec"].get("paramRef")
    if kind is None or reference is None:
        return
    server = write.context.server
    group, _, version = kind.get("apiVersion", "").rpartition("/")
    known = server.kinds.by_kind(group, version, kind.get("kind", ""))
    if known is None:
        return
    namespace = (reference.get("namespace") or request.namespace) if known.namespaced else ""
    if reference.get("name"):
        found = server.lookup(group, known.plural, namespace, reference["name"])
        if found is not None:
            yield found
        return
    for obj in server.objects(group, known.plural, namespace):
        if matches(reference.get("selector") or {}, obj["metadata"].get("labels")):
            yield obj


async def _findings(write: Write, spec: Object, values: dict[str, Any]) -> list[Finding]:
    """What the policy finds, once all that it wants to know of rights is answered."""
    from heeler.kinds.cel.library import Rights
    from heeler.kinds.cel.policies import judge

    rights = Rights()
    found = judge(spec, values, rights)
    for _ in range(_ROUNDS):
        if not rights.open:
            break
        for question in rights.open:
            rights.answers[question] = await _answer(write, question)
        rights.open.clear()
        found = judge(spec, values, rights)
    return found


async def _answer(write: Write, question: Question) -> tuple[bool, str]:
    user = write.context.user
    if question.user:
        _, _, namespace, name = question.user.split(":")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        user = User(f"system:serviceaccount:{namespace}:{name}", "", groups)
    asked = Attributes(
        verb=question.verb,
        group=question.group,
        resource=question.resource,
        subresource=question.subresource,
        namespace=question.namespace,
        name=question.name,
        path=question.path,
    )
    why = await write.context.server.authorizer.allows(user, asked)
    return why is not None, why or ""
