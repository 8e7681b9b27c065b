"""ServiceAccount. https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/service-account-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.kind import Own
from heeler.kinds.printing import AGE, NAME
from heeler.objects.value import Object

MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    before = {} if old is None else old["metadata"].get("annotations") or {}
    if MOUNTABLE in (new["metadata"].get("annotations") or {}) and MOUNTABLE not in before:
        yield (
            f"metadata.annotations[{MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to "
            "mounted secrets"
        )


def _names_only(account: Object, old: Object | None = None) -> None:
    """Of the secrets that an account lists only the names count."""
    if account.get("secrets"):
        account["secrets"] = [{"name": row["name"]} if row.get("name") else {} for row in account["secrets"]]


OWN = Own(
    "",
    "ServiceAccount",
    prepare_create=_names_only,
    prepare_update=_names_only,
    warnings=_warnings,
    columns=(NAME, AGE),
)
