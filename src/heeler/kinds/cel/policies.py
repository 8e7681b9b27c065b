"""What an admission policy says of a request, given everything that its expressions may look at. No I/O here.

Who finds policies, bindings and parameters, and what a finding does to the request, is the API server's part
(`apiserver/admission/policies.py` and after it). The whole of one policy's expressions may cost no more than its budget.
Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from heeler.kinds.cel import costs
from heeler.kinds.cel.evaluation import Budget
from heeler.kinds.cel.expressions import CompileError, Expression, any_values
from heeler.kinds.cel.rights import RIGHTS, Authorizer, Rights
from heeler.kinds.cel.values import BudgetError, EvaluationError, type_name
from heeler.kinds.meta.selector_rules import matches as selects
from heeler.objects.value import Object

_MAX_MESSAGE = 5120
#: Bytes of an audit annotation's value; what is longer is cut.
_MAX_ANNOTATION = 10 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What rules are matched against. `versions`: (group, version) of all forms in which the resource is served."""

    operation: str
    group: str
    version: str
    resource: str
    subresource: str
    name: str
    namespace: str
    namespaced: bool
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A validation that did not hold (or, with `error`, could not be evaluated). `at`: its place among the validations."""

    message: str
    reason: str = "Invalid"
    error: bool = False
    at: int = 0


@dataclass(slots=True)
class Verdict:
    """What a policy finds of one request, and what it has to say to the audit log."""

    findings: list[Finding] = field(default_factory=list)
    annotations: list[tuple[str, str]] = field(default_factory=list)


class ConditionError(EvaluationError):
    """A match condition could not be evaluated, and no other one is false."""


def matches(match: Object, request: Request, objects: Sequence[Object | None], namespace: Object | None) -> bool:
    """Do these match resources (of a policy or a binding) take the request? `objects`: the new and the old one."""
    for rule in match.get("excludeResourceRules") or ():
        if _rule_matches(rule, request, match.get("matchPolicy", "Equivalent")):
            return False
    if not _selected(match, request, objects, namespace):
        return False
    rules = match.get("resourceRules")
    return not rules or any(_rule_matches(rule, request, match.get("matchPolicy", "Equivalent")) for rule in rules)


def matched_form(match: Object, request: Request) -> tuple[str, str] | None:
    """The (group, version) in which a policy wants to see the request: its own, else another that a rule names."""
    rules = match.get("resourceRules") or ()
    if not rules or any(_rule_matches(rule, request, "Exact") for rule in rules):
        return request.group, request.version
    for form in request.versions if match.get("matchPolicy", "Equivalent") == "Equivalent" else ():
        if any(_rule_names(rule, request, [form]) for rule in rules):
            return form
    return None


def _selected(match: Object, request: Request, objects: Sequence[Object | None], namespace: Object | None) -> bool:
    selector = match.get("namespaceSelector") or {}
    of_namespace = (request.group, request.resource) == ("", "namespaces")
    if of_namespace:
        namespace = next((obj for obj in objects if obj is not None), None)
    if selector and (request.namespaced or of_namespace) and not selects(selector, _labels(namespace)):
        return False
    selector = match.get("objectSelector") or {}
    return not selector or any(obj is not None and selects(selector, _labels(obj)) for obj in objects)


def _labels(obj: Object | None) -> dict[str, str]:
    return dict(((obj or {}).get("metadata") or {}).get("labels") or {})


def _rule_matches(rule: Object, request: Request, policy: str) -> bool:
    forms = [(request.group, request.version), *(request.versions if policy == "Equivalent" else ())]
    return _rule_names(rule, request, forms)


def _rule_names(rule: Object, request: Request, forms: Sequence[tuple[str, str]]) -> bool:
    operations = rule.get("operations") or ()
    if "*" not in operations and request.operation not in operations:
        return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != request.namespaced:
        return False
    named = rule.get("resourceNames") or ()
    if named and request.name not in named:
        return False
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    if not any(("*" in groups or g in groups) and ("*" in versions or v in versions) for g, v in forms):
        return False
    return any(_resource_matches(row, request) for row in rule.get("resources") or ())


def _resource_matches(row: str, request: Request) -> bool:
    resource, _, subresource = row.partition("/")
    return resource in ("*", request.resource) and (subresource == request.subresource or subresource == "*")


_NAMES = ("object", "oldObject", "request", "namespaceObject", "params", "variables")
_RIGHTS = ("authorizer", "authorizer.requestResource")


@lru_cache(maxsize=4096)
def _program(text: str) -> Expression:
    environment = any_values(*_NAMES, *_RIGHTS)
    try:
        return environment.compile(text)
    except CompileError:
        return environment.compile(text, check=False)


@lru_cache(maxsize=1024)
def mutation_program(text: str) -> Expression:
    """A mutation's expression, types of variables left to the evaluation. Raises CompileError."""
    from heeler.kinds.cel.library import new_pool
    from heeler.kinds.cel.mutations import compile_mutation

    return compile_mutation(text, dict.fromkeys((*_NAMES, *_RIGHTS)), new_pool(), any_values(*_NAMES, *_RIGHTS))


class Variables:
    """`variables`: each is evaluated when an expression first asks for it, and only then."""

    def __init__(self, rows: Sequence[Object], given: Mapping[str, Any], budget: Budget) -> None:
        self._texts = {row["name"]: row["expression"] for row in rows}
        self._given, self._budget = given, budget
        self._found: dict[str, Any] = {}
        self._broken: dict[str, EvaluationError] = {}

    def has(self, name: str) -> bool:
        return name in self._texts

    def select(self, name: str) -> Any:
        """Raises EvaluationError."""
        if name in self._broken:
            raise self._broken[name]
        if name not in self._found:
            if name not in self._texts:
                raise EvaluationError(f"no such key: {name}")
            # one that asks for itself fails so, instead of going round for ever
            words = f'composited variable "{name}" fails to evaluate: '
            self._broken[name] = EvaluationError(f"{words}it depends on itself")
            try:
                self._found[name] = _program(self._texts[name]).evaluate(self._given, self._budget)
            except BudgetError:
                raise
            except (EvaluationError, CompileError) as error:
                self._broken[name] = EvaluationError(f"{words}{error}")
                raise self._broken[name] from None
            del self._broken[name]
        return self._found[name]


def scope(spec: Object, values: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    """What a policy's expressions may look at. `values`: object, oldObject, request, namespaceObject and params."""
    given: dict[str, Any] = {"authorizer": Authorizer(), **values}
    given["variables"] = Variables(spec.get("variables") or (), given, budget)
    return given


def conditions_hold(conditions: Sequence[Object] | None, values: Mapping[str, Any]) -> bool:
    """Are all match conditions true? Raises ConditionError if one has no value and no other is false."""
    if not conditions:
        return True
    given, budget = {"authorizer": Authorizer(), **values}, Budget(costs.MATCH_CONDITIONS_BUDGET)
    failed: list[str] = []
    for condition in conditions:
        try:
            if _program(condition["expression"]).evaluate(given, budget) is not True:
                return False
        except BudgetError as error:
            raise ConditionError(str(error)) from None
        except (EvaluationError, CompileError) as error:
            failed.append(f"expression '{condition['expression']}' resulted in error: {error}")
    if failed:
        raise ConditionError(failed[0] if len(failed) == 1 else f"[{', '.join(failed)}]")
    return True


def judge(spec: Object, values: Mapping[str, Any], rights: Rights | None = None) -> Verdict:
    """What the ValidatingAdmissionPolicy with this spec finds. `values`: object, oldObject, request, namespaceObject, params.

    An expression without a value is a finding (`error`) if the policy fails closed, else it is passed over. `rights`
    are what is known of the rights that expressions ask for: answer what is `open` afterwards, then judge again.
    """
    token = RIGHTS.set(rights or RIGHTS.get())
    try:
        verdict = _judge(spec, values)
    finally:
        RIGHTS.reset(token)
    if spec.get("failurePolicy", "Fail") != "Fail":
        verdict.findings = [finding for finding in verdict.findings if not finding.error]
    return verdict


def _judge(spec: Object, values: Mapping[str, Any]) -> Verdict:
    verdict = Verdict()
    try:
        if not conditions_hold(spec.get("matchConditions"), values):
            return verdict
        budget = Budget()
        given = scope(spec, values, budget)
        for at, validation in enumerate(spec.get("validations") or ()):
            verdict.findings += _validation(validation, at, given, budget)
        budget = Budget()
        given = scope(spec, values, budget)
        for annotation in spec.get("auditAnnotations") or ():
            _annotate(verdict, annotation, given, budget)
    except (ConditionError, BudgetError) as error:
        return Verdict([Finding(str(error), error=True)])
    return verdict


def _validation(row: Object, at: int, given: dict[str, Any], budget: Budget) -> Iterator[Finding]:
    text = row["expression"].strip()
    try:
        if _program(text).evaluate(given, budget) is True:
            return
    except BudgetError:
        raise
    except (EvaluationError, CompileError) as error:
        yield Finding(f"expression '{text}' resulted in error: {error}", error=True, at=at)
        return
    try:
        words = _message(row, given, budget) or row.get("message", "").strip() or f"failed expression: {text}"
    except BudgetError as error:
        yield Finding(f"failed messageExpression: {error}", error=True, at=at)
        return
    yield Finding(words, row.get("reason") or "Invalid", at=at)


def _message(row: Object, given: dict[str, Any], budget: Budget) -> str:
    """What the message's expression gives; "" if it gives no single line. It may not ask for rights."""
    text = row.get("messageExpression", "").strip()
    if not text:
        return ""
    try:
        found = _program(text).evaluate(given, budget)
    except BudgetError:
        raise
    except (EvaluationError, CompileError):
        return ""
    if not isinstance(found, str):
        return ""
    found = found.strip()
    return found if "\n" not in found and len(found.encode()) <= _MAX_MESSAGE else ""


def _annotate(verdict: Verdict, row: Object, given: dict[str, Any], budget: Budget) -> None:
    text = row["valueExpression"].strip()
    try:
        found = _program(text).evaluate(given, budget)
    except BudgetError:
        raise
    except (EvaluationError, CompileError) as error:
        verdict.findings.append(Finding(f"expression '{text}' resulted in error: {error}", error=True))
        return
    if isinstance(found, str):
        if value := found.strip():
            verdict.annotations.append((row["key"], value[:_MAX_ANNOTATION]))
    elif found is not None:
        words = f"valueExpression '{row['valueExpression']}' resulted in unsupported return type: {type_name(found)}. "
        verdict.findings.append(Finding(f"{words}Return type must be either string or null.", error=True))
