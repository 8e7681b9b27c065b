"""Definitions in Kubernetes' own groups say who approved them.

Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#api-approved-kubernetes-io
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from heeler.objects.faults import Fault, invalid, required
from heeler.objects.value import Object

ANNOTATION = "api-approved.kubernetes.io"
#: The condition that tells of the approval.
CONDITION = "KubernetesAPIApprovalPolicyConformant"
_PATH = f"metadata.annotations[{ANNOTATION}]"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_PROTECTED = ("k8s.io", "kubernetes.io")


def is_protected(group: str) -> bool:
    return any(group == domain or group.endswith(f".{domain}") for domain in _PROTECTED)


def _given(definition: Object) -> str:
    return str((definition["metadata"].get("annotations") or {}).get(ANNOTATION, ""))


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def faults(definition: Object) -> Iterator[Fault]:
    """What is wrong with the annotation of a definition in a protected group."""
    given = _given(definition)
    words = f'protected groups must have approval annotation "{ANNOTATION}"'
    if not given:
        yield required(_PATH, f"{words}, {_SEE}")
    elif not given.startswith("unapproved") and not _is_url(given):
        yield invalid(_PATH, given, f'{words} with either a URL or a reason starting with "unapproved", {_SEE}')


def verdict(definition: Object) -> tuple[str, str, str] | None:
    """Status, reason and message of the condition; None for groups that need no approval."""
    if not is_protected(definition["spec"].get("group", "")):
        return None
    given = _given(definition)
    if given.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{given}"'
    found = next(faults(definition), None)
    if found is None:
        return "True", "ApprovedAnnotation", f"approved in {given}"
    return ("False", "InvalidAnnotation", found.message) if given else ("False", "MissingAnnotation", found.message)
