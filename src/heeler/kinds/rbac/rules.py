"""What is checked of roles and bindings. https://kubernetes.io/docs/reference/access-authn-authz/rbac/"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.meta.checks import numbered
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, not_supported, required
from heeler.objects.value import Object

GROUP = "rbac.authorization.k8s.io"


def role(obj: Object) -> Iterator[Fault]:
    for at, rule in numbered(obj.get("rules")):
        yield from _rule(rule, True, f"rules[{at}]")
    yield from _needed_of_each(obj.get("rules"), "rules", "verbs")


def _needed_of_each(rows: list[Object] | None, path: str, key: str) -> Iterator[Fault]:
    """Upstream checks by declaration that some fields are there: these faults come after all others."""
    for at, row in numbered(rows):
        if not row.get(key):
            yield required(f"{path}[{at}].{key}")


def cluster_role(obj: Object) -> Iterator[Fault]:
    for at, rule in numbered(obj.get("rules")):
        yield from _rule(rule, False, f"rules[{at}]")
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        here = "aggregationRule.clusterRoleSelectors"
        if not aggregation.get("clusterRoleSelectors"):
            yield required(here, "at least one clusterRoleSelector required if aggregationRule is non-nil")
        for at, selector in numbered(aggregation.get("clusterRoleSelectors")):
            wrong = list(label_selector(selector, f"{here}[{at}]"))
            yield from wrong
            if wrong:
                yield invalid(f"{here}[{at}]", None, "invalid label selector.")
    yield from _needed_of_each(obj.get("rules"), "rules", "verbs")


def _rule(rule: Object, namespaced: bool, path: str) -> Iterator[Fault]:
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            yield invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            yield invalid(
                f"{path}.nonResourceURLs",
                urls,
                "rules cannot apply to both regular resources and non-resource URLs",
            )
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(obj: Object) -> Iterator[Fault]:
    yield from _binding(obj, ("Role", "ClusterRole"), True)


def cluster_role_binding(obj: Object) -> Iterator[Fault]:
    yield from _binding(obj, ("ClusterRole",), False)


def _binding(obj: Object, kinds: tuple[str, ...], namespaced: bool) -> Iterator[Fault]:
    role_ref = obj.get("roleRef") or {}
    if role_ref.get("apiGroup", "") != GROUP:
        yield not_supported("roleRef.apiGroup", role_ref.get("apiGroup", ""), (GROUP,))
    if role_ref.get("kind", "") not in kinds:
        yield not_supported("roleRef.kind", role_ref.get("kind", ""), kinds)
    name = role_ref.get("name", "")
    if not name:
        yield required("roleRef.name")
    else:
        yield from each("roleRef.name", name, names.path_segment(name))
    for at, subject in numbered(obj.get("subjects")):
        yield from _subject(subject, namespaced, f"subjects[{at}]")
    yield from _needed_of_each(obj.get("subjects"), "subjects", "name")


def _subject(subject: Object, namespaced: bool, path: str) -> Iterator[Fault]:
    name, kind, group = subject.get("name", ""), subject.get("kind", ""), subject.get("apiGroup", "")
    if kind == "ServiceAccount":
        if name:
            yield from each(f"{path}.name", name, names.subdomain(name))
        if group:
            yield not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != GROUP:
            yield not_supported(f"{path}.apiGroup", group, (GROUP,))
    else:
        yield not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def binding_update(rules: Any) -> Any:
    """The rules of a new binding, and that its role stays."""

    def update(new: Object, old: Object) -> Iterator[Fault]:
        yield from rules(new)
        role_ref = new.get("roleRef") or {}
        if role_ref != old.get("roleRef"):
            shown = {
                "APIGroup": role_ref.get("apiGroup", ""),
                "Kind": role_ref.get("kind", ""),
                "Name": role_ref.get("name", ""),
            }
            yield invalid("roleRef", shown, "field is immutable")

    return update
