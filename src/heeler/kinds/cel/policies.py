"""What a ValidatingAdmissionPolicy says of a request, given everything that its expressions may look at. No I/O here.

Who finds policies, bindings and parameters, and what a finding does to the request, is the API server's part.
Not done: audit annotations.
Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from heeler.kinds.cel.expressions import CompileError, EvaluationError, Expression, any_values
from heeler.kinds.cel.library import RIGHTS, Rights, authorizer
from heeler.kinds.meta.selector_rules import matches as selects
from heeler.objects.value import Object

_MAX_MESSAGE = 5120


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
    """A validation that did not hold (or, with `error`, could not be evaluated)."""

    message: str
    reason: str = "Invalid"
    error: bool = False


def matches(match: Object, request: Request, objects: Sequence[Object | None], namespace: Object | None) -> bool:
    """Do these match resources (of a policy or a binding) take the request? `objects`: the new and the old one."""
    for rule in match.get("excludeResourceRules") or ():
        if _rule_matches(rule, request, match.get("matchPolicy", "Equivalent")):
            return False
    if not _selected(match, request, objects, namespace):
        return False
    rules = match.get("resourceRules")
    return not rules or any(_rule_matches(rule, request, match.get("matchPolicy", "Equivalent")) for rule in rules)


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
    operations = rule.get("operations") or ()
    if "*" not in operations and request.operation not in operations:
        return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != request.namespaced:
        return False
    named = rule.get("resourceNames") or ()
    if named and request.name not in named:
        return False
    forms = [(request.group, request.version), *(request.versions if policy == "Equivalent" else ())]
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    if not any(("*" in groups or g in groups) and ("*" in versions or v in versions) for g, v in forms):
        return False
    return any(_resource_matches(row, request) for row in rule.get("resources") or ())


def _resource_matches(row: str, request: Request) -> bool:
    resource, _, subresource = row.partition("/")
    return resource in ("*", request.resource) and (subresource == request.subresource or subresource == "*")


@lru_cache(maxsize=4096)
def _program(text: str) -> Expression:
    names = ("object", "oldObject", "request", "namespaceObject", "params", "variables")
    environment = any_values(*names, "authorizer", "authorizer.requestResource")
    try:
        return environment.compile(text)
    except CompileError:
        return environment.compile(text, check=False)


def judge(spec: Object, values: Mapping[str, Any], rights: Rights | None = None) -> list[Finding]:
    """What the policy with this spec finds. `values`: object, oldObject, request, namespaceObject and params.

    An expression without a value is a finding (`error`) if the policy fails closed, else it is passed over. `rights`
    are what is known of the rights that expressions ask for: answer what is `open` afterwards, then judge again.
    """
    token = RIGHTS.set(rights)
    try:
        return list(_findings(spec, values))
    finally:
        RIGHTS.reset(token)


def _findings(spec: Object, values: Mapping[str, Any]) -> Iterator[Finding]:
    closed = spec.get("failurePolicy", "Fail") == "Fail"
    given = {"authorizer": authorizer(), **values}
    for condition in spec.get("matchConditions") or ():
        try:
            if _program(condition["expression"]).evaluate(given) is not True:
                return
        except EvaluationError as error:
            if closed:
                yield Finding(f"match condition '{condition.get('name', '')}' resulted in error: {error}", error=True)
            return
    given["variables"], broken = _variables(spec, given)
    for validation in spec.get("validations") or ():
        yield from _validation(validation, given, broken, closed)


def _variables(spec: Object, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The variables' values, and why those that have none have none."""
    values: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for row in spec.get("variables") or ():
        try:
            values[row["name"]] = _program(row["expression"]).evaluate({**given, "variables": values})
        except EvaluationError as error:
            broken[row["name"]] = _words(error, broken)
    return values, broken


def _words(error: EvaluationError, broken: Mapping[str, str]) -> str:
    text = str(error)
    name = text.removeprefix("no such key: ")
    if name != text and name in broken:
        return f'composited variable "{name}" fails to evaluate: {broken[name]}'
    return text


def _validation(row: Object, given: dict[str, Any], broken: Mapping[str, str], closed: bool) -> Iterator[Finding]:
    text = row["expression"].strip()
    try:
        if _program(text).evaluate(given) is True:
            return
    except EvaluationError as error:
        if closed:
            yield Finding(f"expression '{text}' resulted in error: {_words(error, broken)}", error=True)
        return
    words = _message(row, given) or row.get("message", "").strip() or f"failed expression: {text}"
    yield Finding(words, row.get("reason") or "Invalid")


def _message(row: Object, given: dict[str, Any]) -> str:
    """What the message's expression gives; "" if it gives no single line."""
    text = row.get("messageExpression", "").strip()
    if not text:
        return ""
    try:
        found = _program(text).evaluate(given)
    except EvaluationError:
        return ""
    return found.strip() if isinstance(found, str) and "\n" not in found and len(found) <= _MAX_MESSAGE else ""
