"""The rights of Heeler's own parts that have no role among upstream's defaults.

They don't carry the label of upstream's defaults: who lists those gets what a kube-apiserver shows.
"""

from __future__ import annotations

from heeler.apiserver.bootstrap.roles import AUTOUPDATE, EVENTS, READ, WATCH, rule
from heeler.objects.value import Object

_GROUP = "rbac.authorization.k8s.io"


def objects() -> list[Object]:
    return [
        # Upstream's runs with the rights of the whole controller manager; ours has what it needs.
        *role(
            "heeler:service-account-token-controller",
            "service-account-token-controller",
            ("delete get update | core | secrets", "get update | core | serviceaccounts"),
        ),
        *role(
            "system:controller:cluster-dns-controller",
            "cluster-dns-controller",
            (
                f"{WATCH} | core | nodes",
                "create get list watch | core | services",
                "create delete get list update watch | discovery.k8s.io | endpointslices",
            ),
        ),
        # A node's network part (services, policies, DNS, published ports): it reads the whole cluster's objects of its
        # kinds, and writes where LoadBalancers are to be found.
        *_bound(
            "system:heeler-network",
            {"kind": "User", "apiGroup": _GROUP, "name": "system:heeler-network"},
            (
                f"{WATCH} | core | namespaces nodes services",
                f"{READ} | core | pods",
                "patch | core | services/status",
                f"{WATCH} | discovery.k8s.io | endpointslices",
                f"{WATCH} | networking.k8s.io | networkpolicies",
                EVENTS,
            ),
        ),
        # The Ingress gateway: secrets one by one, those that Ingresses name.
        *_bound(
            "system:heeler-ingress",
            {"kind": "User", "apiGroup": _GROUP, "name": "system:heeler-ingress"},
            (
                f"{WATCH} | networking.k8s.io | ingresses",
                "create list watch | networking.k8s.io | ingressclasses",
                "patch | networking.k8s.io | ingresses/status",
                "get | core | secrets",
            ),
        ),
    ]


def role(name: str, account: str, rules: tuple[str, ...]) -> list[Object]:
    """A cluster role, bound to a service account of kube-system, which may also write events."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}
    return _bound(name, subject, (*rules, EVENTS))


def _bound(name: str, subject: Object, rules: tuple[str, ...]) -> list[Object]:
    return [
        {
            "kind": "ClusterRole",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": name, "annotations": dict(AUTOUPDATE)},
            "rules": [rule(line) for line in rules],
        },
        {
            "kind": "ClusterRoleBinding",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": name, "annotations": dict(AUTOUPDATE)},
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]
