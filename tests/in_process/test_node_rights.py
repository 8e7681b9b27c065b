"""A node's agent reaches its own node and what its pods name, and nothing else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

import heeler
from heeler.apiserver.user import User, authenticated
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
SECRETS = GroupVersionResource("", "v1", "secrets")
ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
LEASES = GroupVersionResource("coordination.k8s.io", "v1", "leases")
CSI_NODES = GroupVersionResource("storage.k8s.io", "v1", "csinodes")
ATTACHMENTS = GroupVersionResource("storage.k8s.io", "v1", "volumeattachments")
REQUESTS = GroupVersionResource("certificates.k8s.io", "v1", "certificatesigningrequests")
DENIED = "cannot {} resource"


def agent(node: str) -> User:
    return authenticated(f"system:node:{node}", "", ("system:nodes",))


def story(told: Callable[[heeler.Cluster, Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster:
            async with asyncio.timeout(10):
                while not await exists(cluster.client, ACCOUNTS, "default", "default"):
                    await asyncio.sleep(0.02)
            for name in ("n1", "n2"):
                await cluster.client.create(NODES, {"metadata": {"name": name}})
            await told(cluster, cluster.client_as(agent("n1")))

    asyncio.run(run())


async def exists(client: Client, resource: GroupVersionResource, name: str, namespace: str) -> bool:
    try:
        await client.get(resource, name, namespace)
    except StatusError:
        return False
    return True


async def refused(call: Awaitable[Any]) -> str:
    """The words of the 403 (or 404) that `call` ends with; "" if it is let through."""
    try:
        await call
    except StatusError as error:
        assert error.code in (403, 404), error.message
        return error.message
    return ""


async def told_of(client: Client, path: str) -> str:
    """The words with which a GET of a path is refused; "" if it is let through."""
    code, body = await client.request("GET", path)
    return str(orjson.loads(body)["message"]) if code >= 400 else ""


def pod(name: str, node: str = "n1", **spec: Any) -> Object:
    containers = [{"name": "c", "image": "i"}]
    return {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers, **spec}}


def mirror(owner: Object | None, **spec: Any) -> Object:
    found = pod("m", **spec)
    found["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    if owner is not None:
        found["metadata"]["ownerReferences"] = [owner]
    return found


def test_a_mirror_pod_is_its_nodes_own_and_references_nothing() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        uid = (await client.get(NODES, "n1"))["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}

        async def why(found: Object) -> str:
            text = await refused(client.create(PODS, found, "default"))
            return text.removeprefix('pods "m" is forbidden: ')

        only = 'node "n1" can only create pods with '
        assert await why(pod("m")) == (
            'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods'
        )
        assert await why(mirror(owner, node="n2")) == only + "spec.nodeName set to itself"
        assert await why(mirror(None)) == only + "an owner reference set to itself"
        assert await why(mirror({**owner, "name": "n2"})) == only + "an owner reference set to itself"
        assert await why(mirror({**owner, "controller": False})) == only + "a controller owner reference set to itself"
        assert await why(mirror({**owner, "blockOwnerDeletion": True})) == (
            'node "n1" must not set blockOwnerDeletion on an owner reference'
        )
        assert await why(mirror({**owner, "uid": "other"})) == f"node n1 UID mismatch: expected other got {uid}"
        projected = {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
        # the plugin of accounts is asked before the one of nodes
        for spec, words in (
            ({"serviceAccountName": "default"}, "reference service accounts"),
            ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "reference secrets"),
            ({"imagePullSecrets": [{"name": "s"}]}, "reference secrets"),
            ({"volumes": [{"name": "v", **projected}]}, "use ServiceAccountToken volume projections"),
        ):
            assert await why(mirror(owner, **spec)) == f"a mirror pod may not {words}"
        for spec, what in (
            ({"volumes": [{"name": "v", "configMap": {"name": "s"}}]}, "configmaps"),
            ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "s"}}]}, "persistentvolumeclaims"),
            ({"resourceClaims": [{"name": "r", "resourceClaimName": "s"}]}, "resourceclaims"),
        ):
            assert await why(mirror(owner, **spec)) == f'node "n1" can not create pods that reference {what}'
        assert await why(mirror(owner)) == ""
        for found in (mirror(None, volumes=[{"name": "v", "secret": {"secretName": "s"}}]),):
            text = await refused(cluster.client.create(PODS, found, "default"))
            assert text == 'pods "m" is forbidden: a mirror pod may not reference secrets'

    story(told)


def test_a_secret_is_read_by_the_node_whose_pod_names_it() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        await cluster.client.create(SECRETS, {"metadata": {"name": "s"}}, "default")
        volumes = [{"name": "v", "secret": {"secretName": "s"}}]
        unrelated = "no relationship found between node 'n1' and this object"
        assert (await refused(client.get(SECRETS, "s", "default"))).endswith(
            f'in the namespace "default": node: {unrelated}'
        )
        await cluster.client.create(PODS, pod("far", "n2", volumes=volumes), "default")
        assert (await refused(client.get(SECRETS, "s", "default"))).endswith(unrelated)
        await cluster.client.create(PODS, pod("near", "n1", volumes=volumes), "default")
        assert await refused(client.get(SECRETS, "s", "default")) == ""
        assert (await refused(client.list(SECRETS, "default"))).endswith("No Object name found")
        assert await refused(client.list(SECRETS, "default", field_selector="metadata.name=s")) == ""
        # a name in an escaped comma is no demand for that name
        sly = "metadata.namespace!=a\\,metadata.name=s"
        assert (await refused(client.list(SECRETS, "default", field_selector=sly))).endswith("No Object name found")
        assert DENIED.format("update") in await refused(
            client.update(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
        )

    story(told)


def test_of_pods_an_agent_reads_its_own_and_writes_their_status() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        await cluster.client.create(PODS, pod("near", "n1"), "default")
        await cluster.client.create(PODS, pod("far", "n2"), "default")
        assert await refused(client.get(PODS, "near", "default")) == ""
        assert "no relationship found" in await refused(client.get(PODS, "far", "default"))
        selector = "can only list/watch pods with spec.nodeName field selector"
        assert (await refused(client.list(PODS))).endswith(selector)
        assert (await refused(client.list(PODS, field_selector="spec.nodeName=n2"))).endswith(selector)
        assert len((await client.list(PODS, field_selector="spec.nodeName=n1")).items) == 1
        for part in ("exec", "attach", "portforward", "ephemeralcontainers", "binding", "resize", "proxy"):
            call = client.create(PODS, {"metadata": {}}, "default", name="near", subresource=part)
            assert f'cannot create resource "pods/{part}"' in await refused(call)
        assert 'resource "pods/log"' in await told_of(client, PODS.path("default", "near", "log"))
        status: Object = {"status": {"message": "here"}}
        assert await refused(client.patch(PODS, "near", status, "default", subresource="status")) == ""
        assert await refused(client.patch(PODS, "far", status, "default", subresource="status")) == (
            'pods "far" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself'
        )
        labels = {"metadata": {"labels": {"a": "b"}}}
        assert await refused(client.patch(PODS, "near", labels, "default", subresource="status")) == (
            'pods "near" is forbidden: node "n1" cannot update labels through pod status'
        )
        assert DENIED.format("patch") in await refused(client.patch(PODS, "near", labels, "default"))
        assert await refused(client.delete(PODS, "far", "default")) == (
            'pods "far" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself'
        )
        eviction = {"metadata": {"name": "far", "namespace": "default"}}
        assert await refused(client.create(PODS, eviction, "default", name="far", subresource="eviction")) == (
            'pods "far" is forbidden: node n1 can only evict pods with spec.nodeName set to itself'
        )
        assert "conditions" not in (await cluster.client.get(PODS, "far", "default"))["status"]
        assert await refused(client.delete(PODS, "near", "default")) == ""

    story(told)


def test_a_token_is_for_a_pod_of_the_node() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        near = await cluster.client.create(PODS, pod("near", "n1"), "default")
        far = await cluster.client.create(PODS, pod("far", "n2"), "default")

        async def why(audiences: list[str], **reference: Any) -> str:
            spec: Object = {"audiences": audiences}
            if reference:
                spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", **reference}
            call = client.create(ACCOUNTS, {"spec": spec}, "default", name="default", subresource="token")
            return (await refused(call)).removeprefix('serviceaccounts "default" is forbidden: ')

        uid = near["metadata"]["uid"]
        assert await why([]) == "node requested token not bound to a pod"
        assert await why([], kind="Secret", name="s", uid="u") == "node requested token not bound to a pod"
        assert await why([], name="near") == "node requested token with a pod binding without a uid"
        assert await why([], name="none", uid="u") == 'pods "none" not found'
        assert "(u) does not match the UID in record" in await why([], name="near", uid="u")
        assert await why([], name="far", uid=far["metadata"]["uid"]) == (
            "node requested token bound to a pod scheduled on a different node"
        )
        assert await why(["a", "b"], name="near", uid=uid) == "node may only request 0 or 1 audiences"
        assert await why(["vault"], name="near", uid=uid) == 'audience "vault" not found in pod spec volume'
        assert await why([], name="near", uid=uid) == ""

    story(told)


def test_a_node_changes_itself_but_not_what_draws_pods_to_it() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        async def why(change: Object, name: str = "n1") -> str:
            return (await refused(client.patch(NODES, name, change))).removeprefix(f'nodes "{name}" is forbidden: ')

        def labels(*keys: str) -> Object:
            return {"metadata": {"labels": dict.fromkeys(keys, "x")}}

        assert (
            await why(labels("own.example.com/a", "plain", "topology.kubernetes.io/zone", "node.kubernetes.io/x")) == ""
        )
        for key in (
            "node-restriction.kubernetes.io/a",
            "sub.node-restriction.kubernetes.io/a",
            "node-role.kubernetes.io/control-plane",
            "kubernetes.io/else",
            "x.k8s.io/a",
        ):
            assert await why(labels(key)) == f"is not allowed to modify labels: {key}"
        assert await why({"spec": {"taints": []}}) == 'node "n1" is not allowed to modify taints'
        owners = [{"apiVersion": "v1", "kind": "Node", "name": "n2", "uid": "u"}]
        assert await why({"metadata": {"ownerReferences": owners}}) == (
            'node "n1" is not allowed to modify ownerReferences'
        )
        assert await why(labels("plain"), "n2") == 'node "n1" is not allowed to modify node "n2"'
        assert DENIED.format("delete") in await refused(client.delete(NODES, "n1"))
        fresh = cluster.client_as(agent("n3"))
        made = {"metadata": {"name": "n3", "labels": {"node-role.kubernetes.io/master": "", "k8s.io/a": ""}}}
        assert await refused(fresh.create(NODES, made)) == (
            'nodes "n3" is forbidden: is not allowed to set the following labels: '
            "k8s.io/a, node-role.kubernetes.io/master"
        )
        taints = [{"key": "a", "effect": "NoSchedule"}]
        assert await refused(fresh.create(NODES, {"metadata": {"name": "n3"}, "spec": {"taints": taints}})) == ""
        assert await refused(client.create(NODES, {"metadata": {"name": "n4"}})) == (
            'nodes "n4" is forbidden: node "n1" is not allowed to modify node "n4"'
        )

    story(told)


def test_leases_and_csi_nodes_are_the_nodes_own() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        space = "kube-node-lease"
        assert await refused(client.create(LEASES, {"metadata": {"name": "n1"}, "spec": {}}, space)) == ""
        assert await refused(client.create(LEASES, {"metadata": {"name": "n2"}, "spec": {}}, space)) == (
            'leases.coordination.k8s.io "n2" is forbidden: '
            "can only access node lease with the same name as the requesting node"
        )
        assert "can only access leases in the" in await refused(
            client.create(LEASES, {"metadata": {"name": "n1"}}, "default")
        )
        assert "can only get, create, update, patch, or delete a node lease" in await refused(
            client.list(LEASES, space)
        )
        other = {"metadata": {"name": "n2"}, "spec": {"drivers": []}}
        assert await refused(client.create(CSI_NODES, other)) == (
            'csinodes.storage.k8s.io "n2" is forbidden: '
            "can only access CSINode with the same name as the requesting node"
        )
        assert "delete a CSINode" in await refused(client.list(CSI_NODES))
        assert "individual resources of this type" in await refused(client.list(ATTACHMENTS))
        # what a role adds, admission still holds back
        await cluster.client.create(
            GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
            {
                "metadata": {"name": "too-much"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}],
            },
        )
        await cluster.client.create(LEASES, {"metadata": {"name": "n2"}, "spec": {}}, space)
        assert "can only access node lease with" in await refused(client.delete(LEASES, "n2", space))
        await cluster.client.create(PODS, pod("near", "n1"), "default")
        call = client.patch(PODS, "near", {"metadata": {}}, "default", subresource="ephemeralcontainers")
        assert await refused(call) == (
            'pods "near" is forbidden: unexpected pod subresource "ephemeralcontainers", '
            "only 'status' and 'eviction' are allowed"
        )
        assert await refused(client.patch(PODS, "near", {"metadata": {"labels": {"a": "b"}}}, "default")) == (
            'pods "near" is forbidden: unexpected operation "UPDATE", node "n1" can only create and delete mirror pods'
        )

    story(told)


def request(signer: str, name: str, *organizations: str) -> Object:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    pem = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    usages = ["client auth", "digital signature"]
    spec = {"signerName": signer, "request": base64.b64encode(pem).decode(), "usages": usages}
    return {"metadata": {"name": "r"}, "spec": spec}


def test_nobody_asks_for_a_certificate_of_the_masters() -> None:
    async def told(cluster: heeler.Cluster, client: Client) -> None:
        signer = "kubernetes.io/kube-apiserver-client"
        assert await refused(cluster.client.create(REQUESTS, request(signer, "me", "dev", "system:masters"))) == (
            'certificatesigningrequests.certificates.k8s.io "r" is forbidden: '
            f"use of {signer} signer with system:masters group is not allowed"
        )
        kubelet = f"{signer}-kubelet"
        wrong = request(kubelet, "system:node:n2", "system:nodes")
        assert (await refused(client.create(REQUESTS, wrong))).endswith(
            "can only create a node CSR with CN=system:node:n1"
        )
        assert await refused(client.create(REQUESTS, request(kubelet, "system:node:n1", "system:nodes"))) == ""
        assert (
            await refused(cluster.client.create(REQUESTS, request(signer, "me", "dev") | {"metadata": {"name": "q"}}))
            == ""
        )

    story(told)
