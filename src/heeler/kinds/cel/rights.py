"""`authorizer`: expressions ask whether somebody may do something.

A question is put together step by step, then asked by `check`. Evaluations don't wait: a question without a known answer
ends the evaluation, is noted, and the expression is evaluated again once the API server has answered it.
Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from heeler.kinds.cel.values import EvaluationError


@dataclass(frozen=True, slots=True)
class Question:
    """A question about rights. `user`: a service account's name, or "" for whoever made the request.

    `fields` and `labels` are selectors that the question is limited to, as they were written.
    """

    verb: str
    user: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: str = ""
    labels: str = ""


@dataclass(slots=True)
class Rights:
    """Answers that are known (allowed, why), and questions that had none: the evaluation fails then."""

    answers: dict[Question, tuple[bool, str]] = field(default_factory=dict)
    open: list[Question] = field(default_factory=list)


#: Whom expressions ask for rights, while one is evaluated.
RIGHTS: ContextVar[Rights | None] = ContextVar("rights", default=None)


@dataclass(frozen=True, slots=True)
class Authorizer:
    type_name = "kubernetes.authorization.Authorizer"
    user: str = ""


@dataclass(frozen=True, slots=True)
class PathCheck:
    type_name = "kubernetes.authorization.PathCheck"
    question: Question


@dataclass(frozen=True, slots=True)
class GroupCheck:
    type_name = "kubernetes.authorization.GroupCheck"
    question: Question


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    type_name = "kubernetes.authorization.ResourceCheck"
    question: Question


@dataclass(frozen=True, slots=True)
class Decision:
    type_name = "kubernetes.authorization.Decision"
    allowed: bool
    reason: str
    error: str = ""


_CLASSES: tuple[Any, ...] = (Authorizer, PathCheck, GroupCheck, ResourceCheck, Decision)
TYPES: dict[str, type] = {one.type_name: one for one in _CLASSES}
SHORT = {
    "authorizer": Authorizer.type_name,
    "path check": PathCheck.type_name,
    "group check": GroupCheck.type_name,
    "resource check": ResourceCheck.type_name,
    "decision": Decision.type_name,
}


def request_resource(group: str, resource: str, subresource: str, namespace: str, name: str) -> ResourceCheck:
    """The value of the variable `authorizer.requestResource`."""
    return ResourceCheck(
        Question("", group=group, resource=resource, subresource=subresource, namespace=namespace, name=name)
    )


def _path(given: Authorizer, path: str) -> PathCheck:
    if not path:
        raise EvaluationError("path must not be empty")
    return PathCheck(Question("", given.user, path))


def _group(given: Authorizer, group: str) -> GroupCheck:
    return GroupCheck(Question("", given.user, group=group))


def _service_account(given: Authorizer, namespace: str, name: str) -> Authorizer:
    from heeler.objects import names

    for text, check in ((name, names.subdomain), (namespace, names.label)):
        if list(check(text)):
            raise EvaluationError(
                "Invalid service account name" if text is name else "Invalid service account namespace"
            )
    return Authorizer(f"system:serviceaccount:{namespace}:{name}")


def _step(key: str) -> Callable[[Any, str], ResourceCheck]:
    return lambda given, value: ResourceCheck(replace(given.question, **{key: value}))


def _check(given: Any, verb: str) -> Decision:
    """Raises EvaluationError if nobody knows the answer."""
    rights, question = RIGHTS.get(), replace(given.question, verb=verb)
    if rights is None:
        raise EvaluationError("there is nobody to ask for rights")
    if question not in rights.answers:
        rights.open.append(question)
        raise EvaluationError("the authorizer was not asked yet")
    return Decision(*rights.answers[question])


#: As in `library.py`: name, is it a member, type of the result, types of the arguments, what it does.
DECLARED: tuple[tuple[str, bool, str, tuple[str, ...], Callable[..., Any]], ...] = (
    ("path", True, "path check", ("authorizer", "string"), _path),
    ("group", True, "group check", ("authorizer", "string"), _group),
    ("serviceAccount", True, "authorizer", ("authorizer", "string", "string"), _service_account),
    ("resource", True, "resource check", ("group check", "string"), _step("resource")),
    ("subresource", True, "resource check", ("resource check", "string"), _step("subresource")),
    ("namespace", True, "resource check", ("resource check", "string"), _step("namespace")),
    ("name", True, "resource check", ("resource check", "string"), _step("name")),
    ("fieldSelector", True, "resource check", ("resource check", "string"), _step("fields")),
    ("labelSelector", True, "resource check", ("resource check", "string"), _step("labels")),
    ("check", True, "decision", ("path check", "string"), _check),
    ("check", True, "decision", ("resource check", "string"), _check),
    ("allowed", True, "bool", ("decision",), lambda a: a.allowed),
    ("reason", True, "string", ("decision",), lambda a: a.reason),
    ("errored", True, "bool", ("decision",), lambda a: bool(a.error)),
    ("error", True, "string", ("decision",), lambda a: a.error),
)
