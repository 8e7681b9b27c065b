"""Who approves or signs a certificate, or vouches for a bundle, needs the right to its signer."""

from __future__ import annotations

import asyncio
from typing import Any

import heeler
from heeler.apiserver.user import authenticated
from heeler.base import pki
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource, Object
from tests.in_process.test_node_rights import REQUESTS, refused, request

RBAC, GROUP, SIGNER = "rbac.authorization.k8s.io", "certificates.k8s.io", "example.com/mine"
ROLES = GroupVersionResource(RBAC, "v1", "clusterroles")
BINDINGS = GroupVersionResource(RBAC, "v1", "clusterrolebindings")
BUNDLES = GroupVersionResource(GROUP, "v1", "clustertrustbundles")
CLERK = authenticated("clerk")


async def grant(client: Client, name: str, resources: list[str], verbs: list[str], **more: Any) -> None:
    rule = {"apiGroups": [GROUP], "resources": resources, "verbs": verbs, **more}
    await client.create(ROLES, {"metadata": {"name": name}, "rules": [rule]})
    subject = {"apiGroup": RBAC, "kind": "User", "name": CLERK.name}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    await client.create(BINDINGS, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})


def certificate() -> str:
    return pki.new_authority("test", 1.8e9).certificate.decode()


def condition(kind: str) -> Object:
    return {"type": kind, "status": "True", "reason": "R", "message": "m"}


async def story() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        await grant(cluster.client, "writer", ["*"], ["get", "patch", "update", "create"])
        await cluster.client.create(REQUESTS, request(SIGNER, "me"))
        clerk = cluster.client_as(CLERK)
        start = 'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to '

        async def change(subresource: str, kind: str) -> str:
            live = await cluster.client.get(REQUESTS, "r")
            conditions = [*((live.get("status") or {}).get("conditions") or ()), condition(kind)]
            change = {"status": {"conditions": conditions}}
            return await refused(clerk.patch(REQUESTS, "r", change, subresource=subresource))

        assert await change("approval", "Approved") == f'{start}approve requests with signerName "{SIGNER}"'
        # that it failed is the signer's word as much as the certificate
        assert await change("status", "Failed") == f'{start}sign requests with signerName "{SIGNER}"'
        await grant(cluster.client, "approver", ["signers"], ["approve"], resourceNames=[SIGNER])
        assert await change("approval", "Approved") == ""
        assert "not permitted to sign" in await change("status", "Failed")
        await grant(cluster.client, "signer", ["signers"], ["sign"], resourceNames=["example.com/*"])
        assert await change("status", "Failed") == ""

        bundle: Object = {
            "metadata": {"name": "example.org:theirs:b"},
            "spec": {"signerName": "example.org/theirs", "trustBundle": certificate()},
        }
        assert await refused(clerk.create(BUNDLES, bundle)) == (
            'clustertrustbundles.certificates.k8s.io "example.org:theirs:b" is forbidden: '
            'user not permitted to attest for signerName "example.org/theirs"'
        )
        await grant(cluster.client, "witness", ["signers"], ["attest"], resourceNames=["example.org/theirs"])
        assert await refused(clerk.create(BUNDLES, bundle)) == ""


def test_the_right_to_a_signer_is_asked_for() -> None:
    asyncio.run(story())
