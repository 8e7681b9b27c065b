"""Admission policies (validating and mutating) and their bindings.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/validating-admission-policy-v1/
"""

from __future__ import annotations

from heeler.kinds.admissionregistration import rules
from heeler.kinds.admissionregistration.webhooks import GROUP, default_rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, UNSET, cell, count_at, text_at
from heeler.objects.value import Object


def _default_match(match: Object | None) -> None:
    if match is None:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    default_rules(match.get("resourceRules"))
    default_rules(match.get("excludeResourceRules"))


def _default_policy(policy: Object, version: str) -> None:
    policy["spec"].setdefault("failurePolicy", "Fail")
    _default_match(policy["spec"].get("matchConstraints"))


def _default_mutating(policy: Object, version: str) -> None:
    _default_policy(policy, version)


def _default_binding(binding: Object, version: str) -> None:
    _default_match(binding["spec"].get("matchResources"))


def _empty_status(obj: Object) -> None:
    obj["status"] = {}


def _param_kind(policy: Object) -> str:
    kind = policy["spec"].get("paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


def _param_ref(binding: Object) -> str:
    reference = binding["spec"].get("paramRef")
    if not reference:
        return UNSET
    if reference.get("namespace"):
        return f"{reference['namespace']}/{reference.get('name', '') or '*'}"
    return str(reference.get("name") or "*")


_PARAM_KIND = Column(
    "ParamKind", cell(_param_kind), about="=ParamKind specifies the kind of resources used to parameterize this policy"
)
_BINDING_COLUMNS = (
    NAME,
    Column(
        "PolicyName",
        text_at("spec.policyName"),
        about="=PolicyName indicates the policy definition which the policy binding binded to",
    ),
    Column(
        "ParamRef",
        cell(_param_ref),
        about="=ParamRef indicates the param resource which sets the configuration param",
    ),
    AGE,
)

VALIDATING = Own(
    GROUP,
    "ValidatingAdmissionPolicy",
    rules=rules.validating_policy,
    default=_default_policy,
    status=True,
    generation=True,
    prepare_create=_empty_status,
    columns=(
        NAME,
        Column(
            "Validations",
            count_at("spec.validations"),
            "integer",
            about="=Validations indicates the number of validation rules defined in this configuration",
        ),
        _PARAM_KIND,
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
VALIDATING_BINDING = Own(
    GROUP,
    "ValidatingAdmissionPolicyBinding",
    rules=lambda obj: rules.binding(obj, True),
    default=_default_binding,
    generation=True,
    columns=_BINDING_COLUMNS,
)
MUTATING = Own(
    GROUP,
    "MutatingAdmissionPolicy",
    rules=rules.mutating_policy,
    default=_default_mutating,
    generation=True,
    columns=(
        NAME,
        Column(
            "Mutations",
            count_at("spec.mutations"),
            "integer",
            about="=Mutation indicates the number of mutations rules defined in this configuration",
        ),
        _PARAM_KIND,
        AGE,
    ),
)
MUTATING_BINDING = Own(
    GROUP,
    "MutatingAdmissionPolicyBinding",
    rules=lambda obj: rules.binding(obj, False),
    default=_default_binding,
    generation=True,
    columns=_BINDING_COLUMNS,
)
