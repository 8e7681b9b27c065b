"""ValidatingAdmissionPolicy: policies whose bindings take a request may refuse it or warn of it.

What a policy finds is decided in `heeler.kinds.cel.policies`; here policies, bindings and parameters are looked up.
Audit annotations are not written (there is no audit log yet). Source:
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from heeler.apiserver.admission import requests
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.cel.policies import Finding, Request


async def check(write: Write) -> None:
    """Raises StatusError for the first finding of a policy whose binding denies."""
    server = write.context.server
    if write.kind.group == requests.GROUP and write.kind.plural in requests.EXEMPT:
        return
    bindings = list(server.objects(requests.GROUP, "validatingadmissionpolicybindings"))
    if not bindings:
        return
    for policy in server.objects(requests.GROUP, "validatingadmissionpolicies"):
        name = policy["metadata"]["name"]
        for binding in bindings:
            if binding["spec"].get("policyName") == name:
                await _judge(write, policy, binding)


async def _judge(write: Write, policy: Object, binding: Object) -> None:
    from heeler.kinds.cel.policies import Finding, matches

    request, objects = requests.request(write), requests.objects(write)
    namespace = requests.namespace(write, request)
    spec = policy["spec"]
    for match in (spec.get("matchConstraints"), binding["spec"].get("matchResources")):
        if match is not None and not matches(match, request, objects, namespace):
            return
    values = requests.values(write, request, objects, namespace)
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
        found += await requests.findings(write, spec, {**values, "params": parameter})
    _act(write, policy, binding, found)


def _act(write: Write, policy: Object, binding: Object, found: list[Finding]) -> None:
    where = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
    actions = binding["spec"].get("validationActions") or ()
    for finding in found:
        if "Warn" in actions and not finding.error:
            write.call.warn(f"Validation failed for {where}: {finding.message}")
        if "Deny" in actions or finding.error:
            raise requests.denied(write, f"{where} denied request: {finding.message}", finding.reason)


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
