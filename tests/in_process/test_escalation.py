"""Nobody gives by RBAC what they don't have: neither by a role to come, nor by a label, nor by aggregation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import heeler
from heeler.apiserver.user import authenticated
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

GROUP = "rbac.authorization.k8s.io"
ROLES = GroupVersionResource(GROUP, "v1", "roles")
CLUSTER_ROLES = GroupVersionResource(GROUP, "v1", "clusterroles")
BINDINGS = GroupVersionResource(GROUP, "v1", "rolebindings")
CLUSTER_BINDINGS = GroupVersionResource(GROUP, "v1", "clusterrolebindings")
MANAGER = authenticated("manager")
RIGHTS = {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["create", "get", "update", "patch"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


async def refused(call: Awaitable[Any]) -> str:
    """The words of the refusal; "" if it is let through."""
    try:
        await call
    except StatusError as error:
        assert error.code in (403, 404), error.message
        return error.message
    return ""


def role(name: str, *rules: Object, **more: Any) -> Object:
    return {"metadata": {"name": name}, "rules": list(rules), **more}


def binding(name: str, kind: str, to: str, user: str = "manager") -> Object:
    subject = {"apiGroup": GROUP, "kind": "User", "name": user}
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": to},
        "subjects": [subject],
    }


async def prepared(cluster: heeler.Cluster) -> Client:
    await cluster.client.create(CLUSTER_ROLES, role("manage-roles", RIGHTS))
    await cluster.client.create(CLUSTER_BINDINGS, binding("manage-roles", "ClusterRole", "manage-roles"))
    return cluster.client_as(MANAGER)


async def bindings_to_nothing() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        client = await prepared(cluster)
        assert await refused(client.create(BINDINGS, binding("b", "Role", "later"), "default")) == (
            'roles.rbac.authorization.k8s.io "later" not found'
        )
        for resource, where in ((BINDINGS, "default"), (CLUSTER_BINDINGS, None)):
            assert await refused(client.create(resource, binding("b", "ClusterRole", "later"), where)) == (
                'clusterroles.rbac.authorization.k8s.io "later" not found'
            )
        assert await refused(cluster.client.create(BINDINGS, binding("master", "Role", "later"), "default")) == ""
        may = {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["bind"], "resourceNames": ["later"]}
        await cluster.client.create(ROLES, role("binder", may), "default")
        await cluster.client.create(BINDINGS, binding("binder", "Role", "binder"), "default")
        assert await refused(client.create(BINDINGS, binding("b", "Role", "later"), "default")) == ""
        assert "not found" in await refused(client.create(BINDINGS, binding("c", "Role", "later2"), "default"))


def test_a_binding_to_a_role_that_isnt_there_needs_the_right_to_bind() -> None:
    asyncio.run(bindings_to_nothing())


async def roles_and_labels() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        client = await prepared(cluster)
        held = "is attempting to grant RBAC permissions not currently held"
        assert held in await refused(client.create(ROLES, role("r", PODS), "default"))
        await cluster.client.create(CLUSTER_ROLES, role("strong", PODS))
        label: Object = {"metadata": {"labels": {f"{GROUP}/aggregate-to-view": "true"}}}
        assert held in await refused(client.patch(CLUSTER_ROLES, "strong", label))
        owners = [{"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "u"}]
        change: Object = {"metadata": {"ownerReferences": owners, "finalizers": ["example.com/f"]}}
        assert await refused(client.patch(CLUSTER_ROLES, "strong", change)) == ""
        selector = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
        assert await refused(client.create(CLUSTER_ROLES, role("all", aggregationRule=selector))) == (
            'clusterroles.rbac.authorization.k8s.io "all" is forbidden: '
            "must have cluster-admin privileges to use the aggregationRule"
        )
        assert await refused(cluster.client.create(CLUSTER_ROLES, role("all", aggregationRule=selector))) == ""
        assert "cluster-admin privileges" in await refused(
            client.patch(CLUSTER_ROLES, "all", {"aggregationRule": None})
        )
        await cluster.client.create(CLUSTER_BINDINGS, binding("admin", "ClusterRole", "cluster-admin"))
        assert await refused(client.patch(CLUSTER_ROLES, "all", {"metadata": {"labels": {"x": "y"}}})) == ""


def test_every_change_of_a_role_needs_its_rules() -> None:
    asyncio.run(roles_and_labels())
