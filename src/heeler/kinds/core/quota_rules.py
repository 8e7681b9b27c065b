"""What is checked of ResourceQuota and LimitRange. https://kubernetes.io/docs/concepts/policy/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.meta.checks import numbered
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.resource_rules import (
    container_resource_name,
    is_extended,
    overcommit_allowed,
    quantity,
    resource_name,
)
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

STANDARD = frozenset(
    {
        *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage"),
        *("requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "services"),
        *("replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps", "resourcequotas"),
        *("services.nodeports", "services.loadbalancers"),
    }
)
#: One, in the billionths in which quantities are counted.
WHOLE = 10**9
SCOPES = (
    *("BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"),
    "VolumeAttributesClass",
)
_CONFLICTS = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})


def quota(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    for name, text in sorted((spec.get("hard") or {}).items()):
        here = f"spec.hard[{name}]"
        yield from quota_name(name, here)
        yield from quantity(name, text, here)
    yield from _scopes(spec, "spec")
    yield from _selector(spec, "spec")


def quota_name(name: str, path: str) -> Iterator[Fault]:
    if name not in STANDARD:
        yield from resource_name(name, path)
    if "/" not in name and name not in STANDARD and not name.startswith(("hugepages-", "requests.hugepages-")):
        yield invalid(path, name, "must be a standard resource for quota")


def _scopes(spec: Object, path: str) -> Iterator[Fault]:
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in SCOPES:
            yield invalid(f"{path}.scopes", scopes, "unsupported scope")
    for pair in _CONFLICTS:
        if pair <= set(scopes):
            yield invalid(f"{path}.scopes", scopes, "conflicting scopes")


def _selector(spec: Object, path: str) -> Iterator[Fault]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return
    here = f"{path}.scopeSelector.matchExpressions"
    scopes: set[str] = set()
    for _, row in numbered(selector.get("matchExpressions")):
        scope, operator, values = row.get("scopeName", ""), row.get("operator", ""), row.get("values") or []
        if scope not in SCOPES:
            yield invalid(f"{here}.scopeName", scope, "unsupported scope")
        fixed = scope in ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")
        if fixed and operator != "Exists":
            yield invalid(
                f"{here}.operator",
                operator,
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                "ResourceQuotaScopeCrossNamespacePodAffinity",
            )
        if operator in ("In", "NotIn"):
            if not values:
                yield required(
                    f"{here}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                )
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                yield invalid(
                    f"{here}.values",
                    values,
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                )
        else:
            yield invalid(f"{here}.operator", operator, "not a valid selector operator")
        scopes.add(scope)
    if any(pair <= scopes for pair in _CONFLICTS):
        yield invalid(f"{path}.scopeSelector.matchExpressions", selector, "conflicting scopes")


def quota_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from quota(new)
    scopes, before = (new["spec"].get("scopes") or []), (old["spec"].get("scopes") or [])
    if set(scopes) != set(before):
        yield invalid("spec.scopes", new["spec"].get("scopes"), "field is immutable")


def quota_status(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    for part in ("hard", "used"):
        for name, text in sorted((status.get(part) or {}).items()):
            here = f"status.{part}[{name}]"
            yield from quota_name(name, here)
            yield from quantity(name, text, here)


# LimitRange.

_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def limit_range(obj: Object) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, item in numbered((obj.get("spec") or {}).get("limits")):
        here, kind = f"spec.limits[{at}]", item.get("type", "")
        wrong = names.qualified(kind)
        yield from each(f"{here}.type", kind, wrong)
        if not wrong and "/" not in kind and kind not in _LIMIT_TYPES:
            yield invalid(f"{here}.type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            yield duplicate(f"{here}.type", kind)
        seen.add(kind)
        yield from _item(item, kind, here)


def _resource(name: str, kind: str, path: str) -> Iterator[Fault]:
    """Pods and containers are limited in what containers use, other things in any resource."""
    return container_resource_name(name, path) if kind in ("Pod", "Container") else resource_name(name, path)


def _item(item: Object, kind: str, path: str) -> Iterator[Fault]:
    parts = {part: item.get(part) or {} for part in _PARTS}
    for part in ("max", "min"):
        for name in sorted(parts[part]):
            yield from _resource(name, kind, f"{path}.{part}[{name}]")
    if kind == "Pod":
        for part in ("default", "defaultRequest"):
            if parts[part]:
                yield forbidden(f"{path}.{part}", "may not be specified when `type` is 'Pod'")
    else:
        for part in ("default", "defaultRequest"):
            for name in sorted(parts[part]):
                yield from _resource(name, kind, f"{path}.{part}[{name}]")
    if kind == "PersistentVolumeClaim" and "storage" not in parts["min"] and "storage" not in parts["max"]:
        yield required(
            f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    for name in sorted(parts["maxLimitRequestRatio"]):
        yield from _resource(name, kind, f"{path}.maxLimitRequestRatio[{name}]")
    for name in sorted({name for part in parts.values() for name in part}):
        yield from _amounts(name, parts, kind, path)


def _amounts(name: str, parts: dict[str, Object], kind: str, path: str) -> Iterator[Fault]:
    """The amounts of one resource: minimum ≤ default request ≤ default ≤ maximum, and the ratio."""
    texts = {part: values.get(name) for part, values in parts.items()}
    amounts = {part: parse(text).nano for part, text in texts.items() if text is not None}
    names_of = {"min": "min", "max": "max", "default": "default", "defaultRequest": "default request"}
    for low, high, where, which in (
        ("min", "max", "min", "min"),
        ("min", "defaultRequest", "defaultRequest", "defaultRequest"),
        ("defaultRequest", "max", "defaultRequest", "defaultRequest"),
        ("defaultRequest", "default", "defaultRequest", "defaultRequest"),
        # of these two upstream shows the bound
        ("min", "default", "default", "min"),
        ("default", "max", "default", "max"),
    ):
        if low not in amounts or high not in amounts or amounts[low] <= amounts[high]:
            continue
        of_high = "default limit" if (low, high) == ("defaultRequest", "default") else names_of[high]
        words = f"{names_of[low]} value {texts[low]} is greater than {of_high} value {texts[high]}"
        yield invalid(f"{path}.{where}[{name}]", texts[which], words)
    ratio = amounts.get("maxLimitRequestRatio")
    if ratio is not None and ratio < WHOLE:
        text = texts["maxLimitRequestRatio"]
        yield invalid(f"{path}.maxLimitRequestRatio[{name}]", text, f"ratio {text} is less than 1")
    if ratio is not None and "min" in amounts and "max" in amounts and amounts["min"]:
        limit = amounts["max"] / amounts["min"]
        if ratio > limit * WHOLE:
            yield invalid(
                f"{path}.maxLimitRequestRatio[{name}]",
                texts["maxLimitRequestRatio"],
                f"ratio {texts['maxLimitRequestRatio']} is greater than max/min = {float(limit):f}",
            )
    if kind == "Container" and not overcommit_allowed(name) and is_extended(name):
        if texts["default"] is not None and texts["defaultRequest"] != texts["default"]:
            yield invalid(
                f"{path}.defaultRequest[{name}]",
                texts["defaultRequest"],
                f"default value {texts['default']} must equal to defaultRequest value {texts['defaultRequest']} in "
                f"{name}",
            )
