"""ResourceQuota. https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/resource-quota-v1/"""

from __future__ import annotations

from heeler.kinds.core import quota_rules
from heeler.kinds.kind import Cell, Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, cell
from heeler.objects.value import Object


def _prepare_create(quota: Object) -> None:
    quota["status"] = {}


def _rows(limits: bool) -> Cell:
    def show(quota: Object) -> str:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = sorted(name for name in hard if name.startswith("limits") is limits)
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return cell(show)


OWN = Own(
    "",
    "ResourceQuota",
    rules=quota_rules.quota,
    update_rules=quota_rules.quota_update,
    status=True,
    prepare_create=_prepare_create,
    columns=(
        NAME,
        Column(
            "Request",
            _rows(False),
            about="=Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
        Column(
            "Limit",
            _rows(True),
            about="=Limits control the maximum amount of cpu/memory that a container may use independent of contention "
            "on the node.",
        ),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only, quota_rules.quota_status)},
)
