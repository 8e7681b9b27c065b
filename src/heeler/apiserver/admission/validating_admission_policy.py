"""ValidatingAdmissionPolicy: policies whose bindings take a request may refuse it or warn of it.

What a policy finds is decided in `heeler.kinds.cel.policies`; which policies there are, in `policies.py`. All are heard before
the first refusal is answered; annotations, and findings whose binding audits, go to the audit log. Source:
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ and recorded answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver.admission import policies, requests
from heeler.apiserver.admission.policies import Invocation
from heeler.objects.status import StatusError
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

#: The annotation under which findings stand whose binding says `Audit`.
FAILURES = "validation.policy.admission.k8s.io/validation_failure"
POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"


async def check(write: Write) -> None:
    """Raises StatusError for the first finding of a policy whose binding denies."""
    refusals: list[StatusError] = []
    audited = Audited()
    for found in policies.invocations(write, POLICIES, BINDINGS):
        if isinstance(found, Invocation):
            refusals += await _judge(write, found, audited)
        elif found.policy["spec"].get("failurePolicy", "Fail") == "Fail":
            refusals.append(_denied(write, found.policy, found.binding, found.message, "Invalid"))
    audited.tell(write)
    if refusals:
        raise refusals[0]


@dataclass(slots=True)
class Audited:
    """What the policies have to say to the audit log: distinct values by annotation, findings in their order."""

    annotations: dict[str, dict[str, None]] = field(default_factory=dict)
    failures: list[Object] = field(default_factory=list)

    def tell(self, write: Write) -> None:
        for key, values in self.annotations.items():
            write.call.annotate(key, ", ".join(values))
        if self.failures:
            write.call.annotate(FAILURES, orjson.dumps(self.failures).decode())


async def _judge(write: Write, invocation: Invocation, audited: Audited) -> list[StatusError]:
    from heeler.kinds.cel.policies import judge

    policy, binding = invocation.policy, invocation.binding
    values = await policies.values(write, invocation)
    verdict = await policies.answered(write, lambda: judge(policy["spec"], values))
    actions, refusals = binding["spec"].get("validationActions") or (), []
    for key, value in verdict.annotations:
        audited.annotations.setdefault(f"{policy['metadata']['name']}/{key}", {})[value] = None
    for finding in verdict.findings:
        for action in actions:
            if action == "Warn":
                write.call.warn(f"Validation failed for {_named(policy, binding)}: {finding.message}")
            elif action == "Audit":
                audited.failures.append(
                    {
                        "message": finding.message,
                        "policy": policy["metadata"]["name"],
                        "binding": binding["metadata"]["name"],
                        "expressionIndex": finding.at,
                        "validationActions": list(actions),
                    }
                )
            elif action == "Deny":
                refusals.append(_denied(write, policy, binding, finding.message, finding.reason))
    return refusals


def _named(policy: Object, binding: Object | None) -> str:
    name = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}'"
    return name if binding is None else f"{name} with binding '{binding['metadata']['name']}'"


def _denied(write: Write, policy: Object, binding: Object | None, message: str, reason: str) -> StatusError:
    return requests.denied(write, f"{_named(policy, binding)} denied request: {message}", reason)
