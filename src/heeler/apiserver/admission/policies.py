"""What validating and mutating admission policies have in common: which of them take a write, with which parameters.

A policy acts where one of its bindings says so, once for each parameter that the binding names. What its expressions
say is decided in `heeler.kinds.cel.policies`; `validating_admission_policy.py` and `mutating_admission_policy.py` come next.
Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from heeler.apiserver.admission import requests
from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.cel.policies import Request
    from heeler.kinds.cel.rights import Question
    from heeler.kinds.kind import Kind

T = TypeVar("T")
#: Questions that are not stored: policies that took them could break a cluster.
REVIEWS = (
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
)
#: Rounds of questions to the authorizer for one policy.
_ROUNDS = 16


@dataclass(frozen=True, slots=True)
class Invocation:
    """A policy that is to act: for a binding, with a parameter (None: it has none), in a version of the kind."""

    policy: Object
    binding: Object
    parameter: Object | None
    version: str

    @property
    def key(self) -> tuple[str, ...]:
        parameter = ((self.parameter or {}).get("metadata") or {}) if self.parameter else {}
        names = (self.policy["metadata"]["name"], self.binding["metadata"]["name"])
        return (*names, parameter.get("namespace") or "", parameter.get("name") or "")


@dataclass(frozen=True, slots=True)
class Misfit:
    """A policy (or, if `binding` is not None, a binding of it) that takes the write but cannot be put to work, and why."""

    policy: Object
    binding: Object | None
    message: str


class _Unusable(Exception):
    """Why there are no parameters."""


def invocations(write: Write, policies: str, bindings: str) -> Iterator[Invocation | Misfit]:
    """What is to be done for the write, in the order of the names of policies, then of bindings. Both by plural."""
    server = write.context.server
    if not server.cache_of(requests.GROUP, bindings).items:
        return
    if write.kind.group == requests.GROUP and write.kind.plural in requests.EXEMPT:
        return
    if (write.kind.group, write.kind.plural) in REVIEWS:
        return
    of_policy: dict[str, list[Object]] = {}
    for binding in server.objects(requests.GROUP, bindings):
        of_policy.setdefault(binding["spec"].get("policyName", ""), []).append(binding)
    from heeler.kinds.cel.policies import matched_form, matches

    request, shown = requests.request(write), requests.objects(write)
    namespace = requests.namespace(write, request)
    for policy in server.objects(requests.GROUP, policies):
        found = of_policy.get(policy["metadata"]["name"], ())
        match = policy["spec"].get("matchConstraints") or {}
        form = matched_form(match, request) if found and matches(match, request, shown, namespace) else None
        if form is None:
            continue
        try:
            kind = _param_kind(write, policy["spec"])
        except _Unusable as error:
            yield Misfit(policy, None, f"failed to configure policy: {error}")
            continue
        for binding in found:
            match = binding["spec"].get("matchResources")
            if match is not None and not matches(match, request, shown, namespace):
                continue
            try:
                parameters = _parameters(write, kind, policy["spec"], binding["spec"].get("paramRef"), request)
            except _Unusable as error:
                yield Misfit(policy, binding, f"failed to configure binding: {error}")
                continue
            for parameter in parameters:
                yield Invocation(policy, binding, parameter, form[1])


def _param_kind(write: Write, spec: Object) -> Kind | None:
    """The kind of the policy's parameters. Raises _Unusable for one that is not served."""
    wanted = spec.get("paramKind")
    if wanted is None:
        return None
    group, _, version = wanted.get("apiVersion", "").rpartition("/")
    found = write.context.server.kinds.by_kind(group, version, wanted.get("kind", ""))
    if found is None:
        name = f"{group}/{version}, Kind={wanted.get('kind', '')}"
        raise _Unusable(f"failed to find resource referenced by paramKind: '{name}'")
    return found


def _parameters(
    write: Write, kind: Kind | None, spec: Object, reference: Object | None, request: Request
) -> list[Object | None]:
    """The parameters that a binding names, in the version that the policy asks for. Raises _Unusable."""
    if kind is None or reference is None:
        return [None]
    if reference.get("namespace") and not kind.namespaced:
        raise _Unusable("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    namespace = (reference.get("namespace") or request.namespace) if kind.namespaced else ""
    if kind.namespaced and not namespace:
        raise _Unusable("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    found = list(_named(write, kind, reference, namespace))
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise _Unusable("no params found for policy binding with `Deny` parameterNotFoundAction")
    version = spec["paramKind"]["apiVersion"]
    if kind.webhook is not None and found and version != kind.storage_api_version:
        raise _Unusable(
            f"{kind.plural}.{kind.group} are stored as {kind.storage_api_version} and converted by a webhook"
        )
    return [{**kind.convert(one, kind.storage_api_version, version), "kind": kind.kind} for one in found]


def _named(write: Write, kind: Kind, reference: Object, namespace: str) -> Iterator[Object]:
    from heeler.kinds.meta.selector_rules import matches

    server = write.context.server
    if reference.get("name"):
        found = server.lookup(kind.group, kind.plural, namespace, reference["name"])
        if found is not None:
            yield found
        return
    for one in server.objects(kind.group, kind.plural, namespace):
        if matches(reference.get("selector") or {}, one["metadata"].get("labels")):
            yield one


async def values(write: Write, invocation: Invocation) -> dict[str, Any]:
    """What the policy's expressions may look at, as the write is now. Raises 500 where a conversion webhook fails."""
    request = requests.request(write)
    api_version = write.kind.api_version(invocation.version)
    new = await requests.converted(write, write.new, api_version)
    shown = new, await requests.converted(write, write.old, api_version)
    found = requests.values(write, request, shown, requests.namespace(write, request), invocation.version)
    return {**found, "params": invocation.parameter}


async def answered(write: Write, work: Callable[[], T]) -> T:
    """What `work` gives once all questions about rights that its expressions ask are answered; it may run several times."""
    from heeler.kinds.cel.rights import RIGHTS, Rights

    rights = Rights()
    for _ in range(_ROUNDS):
        token = RIGHTS.set(rights)
        try:
            found, failure = await write.context.server.aside.run_counted(0, work), None
        except ValueError as error:
            failure = error
        finally:
            RIGHTS.reset(token)
        if not rights.open:
            break
        for question in rights.open:
            rights.answers[question] = await _answer(write, question)
        rights.open.clear()
    if failure is not None:
        raise failure
    return found


async def _answer(write: Write, question: Question) -> tuple[bool, str]:
    """RBAC and the Node authorizer do not look at selectors: a question with one is answered as without."""
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
