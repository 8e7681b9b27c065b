"""LimitRange. https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/limit-range-v1/"""

from __future__ import annotations

from heeler.kinds.core import quota_rules
from heeler.kinds.kind import Own
from heeler.objects.value import Object


def _default(limits: Object, version: str) -> None:
    """Limits of containers follow from each other: the default from the maximum, the request from the default."""
    for item in limits["spec"].get("limits") or ():
        if item.get("type") != "Container":
            continue
        for target, source in (("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")):
            for key, value in (item.get(source) or {}).items():
                item.setdefault(target, {}).setdefault(key, value)


OWN = Own("", "LimitRange", default=_default, rules=quota_rules.limit_range)
