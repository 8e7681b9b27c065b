"""What is checked of label selectors, node selectors and requirements. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.meta.objectmeta import each, label_rules
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, required
from heeler.objects.value import Object

NEEDS_VALUES = "must be specified when `operator` is 'In' or 'NotIn'"
HAS_VALUES = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
BAD_OPERATOR = "not a valid selector operator"


def label_selector(selector: Object | None, path: str) -> Iterator[Fault]:
    """A LabelSelector, if there is one."""
    if selector is None:
        return
    yield from label_rules(selector.get("matchLabels"), f"{path}.matchLabels")
    for at, row in enumerate(selector.get("matchExpressions") or ()):
        yield from requirement(row, f"{path}.matchExpressions[{at}]")


def requirement(row: Object, path: str) -> Iterator[Fault]:
    operator, values = row.get("operator", ""), row.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", NEEDS_VALUES)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", HAS_VALUES)
    else:
        yield invalid(f"{path}.operator", operator, BAD_OPERATOR)
    yield from each(f"{path}.key", row.get("key", ""), names.qualified(row.get("key", "")))
    for at, value in enumerate(values):
        yield from each(f"{path}.values[{at}]", value, names.label_value(value))


def is_empty(selector: Object | None) -> bool:
    """No selector, or one without requirements."""
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def valid(selector: Object) -> bool:
    """The selector can be used (its operators and values make sense)."""
    return not list(label_selector(selector, ""))


def matches(selector: Object, labels: dict[str, str] | None) -> bool:
    """The labels fit all requirements of the selector."""
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for row in selector.get("matchExpressions") or ():
        key, operator, values = row.get("key", ""), row.get("operator"), row.get("values") or ()
        if operator == "In" and labels.get(key) not in values:
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
    return True


def node_selector(selector: Object, path: str) -> Iterator[Fault]:
    """A NodeSelector: at least one term."""
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for at, term in enumerate(terms or ()):
        yield from node_term(term, f"{path}.nodeSelectorTerms[{at}]", needed=True)


def node_term(term: Object, path: str, *, needed: bool = False) -> Iterator[Fault]:
    """A term; only one that nodes must meet (`needed`) may not ask for values that no label can have."""
    for at, row in enumerate(term.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{at}]"
        yield from _node_requirement(row, here)
        for index, value in enumerate(row.get("values") or () if needed else ()):
            yield from each(f"{here}.values[{index}]", value, names.label_value(value))
    for at, row in enumerate(term.get("matchFields") or ()):
        yield from _field_requirement(row, f"{path}.matchFields[{at}]")


def _node_requirement(row: Object, path: str) -> Iterator[Fault]:
    operator, values = row.get("operator", ""), row.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", NEEDS_VALUES)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", HAS_VALUES)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, BAD_OPERATOR)
    yield from each(f"{path}.key", row.get("key", ""), names.qualified(row.get("key", "")))


def _field_requirement(row: Object, path: str) -> Iterator[Fault]:
    operator, values = row.get("operator", ""), row.get("values") or ()
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            yield required(
                f"{path}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
    else:
        yield invalid(f"{path}.operator", operator, BAD_OPERATOR)
    if row.get("key") != "metadata.name":
        yield invalid(f"{path}.key", row.get("key", ""), "not a valid field selector key")
    for at, value in enumerate(values):
        yield from each(f"{path}.values[{at}]", value, names.subdomain(value))
