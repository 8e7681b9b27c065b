"""The rights of Heeler's controllers that have no role of their own among upstream's defaults."""

from __future__ import annotations

from heeler.apiserver.bootstrap.roles import EVENTS, rule
from heeler.objects.value import Object

_GROUP = "rbac.authorization.k8s.io"


def role(name: str, account: str, rules: tuple[str, ...]) -> list[Object]:
    """A cluster role, bound to a service account of kube-system."""
    return [
        {
            "kind": "ClusterRole",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": name},
            "rules": [rule(line) for line in (*rules, EVENTS)],
        },
        {
            "kind": "ClusterRoleBinding",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}],
        },
    ]


def token_controller() -> list[Object]:
    """Upstream's runs with the rights of the whole controller manager; ours has what it needs."""
    return role(
        "heeler:service-account-token-controller",
        "service-account-token-controller",
        ("delete get update | core | secrets", "get update | core | serviceaccounts"),
    )
