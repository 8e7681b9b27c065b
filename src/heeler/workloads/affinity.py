"""Which nodes a pod's selector and node affinity allow and prefer.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heeler.objects.selectors import OBJECT_OPERATORS, Requirement
from heeler.objects.value import Object, labels_of, name_of


def requirements(items: Sequence[Object]) -> list[Requirement] | None:
    """Requirements of a term; None if one is malformed (such a term matches nothing)."""
    out = []
    for item in items:
        operator = OBJECT_OPERATORS.get(item.get("operator", ""))
        values = tuple(item.get("values") or ())
        if operator is None or (operator in ("gt", "lt") and (len(values) != 1 or not _is_number(values[0]))):
            return None
        out.append(Requirement(item.get("key", ""), operator, values))
    return out


def _is_number(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def term_matches(term: Object, labels: Mapping[str, str], name: str) -> bool:
    """A node selector term; one that asks for nothing matches nothing."""
    by_label, by_field = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not by_label and not by_field:
        return False
    on_labels, on_fields = requirements(by_label), requirements(by_field)
    if on_labels is None or on_fields is None:
        return False
    return all(r.matches(labels) for r in on_labels) and all(r.matches({"metadata.name": name}) for r in on_fields)


def required_terms(pod: Object) -> list[Object] | None:
    """The terms of the required node affinity; None if there is none."""
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or []


def preferred_terms(pod: Object) -> list[Object]:
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []


def node_allowed(pod: Object, node: Object) -> bool:
    """Whether a node has the labels that the pod asks for."""
    labels = labels_of(node)
    wanted = (pod.get("spec") or {}).get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    terms = required_terms(pod)
    return terms is None or any(term_matches(term, labels, name_of(node)) for term in terms)


def preference(pod: Object, node: Object) -> int:
    """The sum of the weights of the preferred terms that match."""
    labels, name = labels_of(node), name_of(node)
    return sum(
        int(term.get("weight") or 0)
        for term in preferred_terms(pod)
        if term_matches(term.get("preference") or {}, labels, name)
    )
