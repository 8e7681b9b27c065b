"""What a request needs besides the right that its method and path say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

import heeler
from heeler.apiserver.user import authenticated
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

RBAC = "rbac.authorization.k8s.io"
ROLES = GroupVersionResource(RBAC, "v1", "roles")
BINDINGS = GroupVersionResource(RBAC, "v1", "rolebindings")
CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
SECRETS = GroupVersionResource("", "v1", "secrets")
PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
REVIEWS = GroupVersionResource("authentication.k8s.io", "v1", "tokenreviews")
ACCESS = GroupVersionResource("authorization.k8s.io", "v1", "subjectaccessreviews")


def story(told: Callable[[heeler.Cluster], Awaitable[None]]) -> None:
    async def run() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster:
            async with asyncio.timeout(10):
                while await refusal(cluster.client.get(ACCOUNTS, "default", "default")):
                    await asyncio.sleep(0.02)
            await told(cluster)

    asyncio.run(run())


async def refusal(call: Awaitable[Any]) -> str:
    """The words of the refusal; "" if it is let through."""
    try:
        await call
    except StatusError as error:
        return error.message
    return ""


async def told_of(client: Client, path: str) -> str:
    """The words with which a GET of a path is refused; "" if it is let through."""
    code, body = await client.request("GET", path)
    return str(orjson.loads(body)["message"]) if code >= 400 else ""


async def user_with(cluster: heeler.Cluster, verbs: list[str], resources: list[str], **more: Any) -> Client:
    """Somebody who may do this in the namespace default, and nothing else."""
    rule = {"apiGroups": [""], "resources": resources, "verbs": verbs, **more}
    await cluster.client.create(ROLES, {"metadata": {"name": "r"}, "rules": [rule]}, "default")
    await cluster.client.create(
        BINDINGS,
        {
            "metadata": {"name": "r"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "r"},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "eve"}],
        },
        "default",
    )
    return cluster.client_as(authenticated("eve"))


def test_who_creates_by_apply_needs_the_right_to_create() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        client = await user_with(cluster, ["patch"], ["configmaps"])
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "old"}}, "default")

        def apply(name: str) -> Awaitable[Any]:
            obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}
            media: Any = "application/apply-patch+yaml"
            return client.patch(CONFIG_MAPS, name, obj, "default", type=media, field_manager="eve")

        assert await refusal(apply("old")) == ""
        assert await refusal(apply("new")) == (
            'configmaps "new" is forbidden: User "eve" cannot create resource "configmaps" in API group "" '
            'in the namespace "default"'
        )

    story(told)


def test_a_stream_that_begins_with_get_needs_the_right_to_create() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        client = await user_with(cluster, ["get"], ["*"])
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await cluster.client.create(PODS, pod, "default")
        for part in ("exec", "attach", "portforward"):
            path = PODS.path("default", "p", part)
            assert await told_of(client, path) == (
                f'pods "p" is forbidden: User "eve" cannot create resource "pods/{part}" in API group "" '
                'in the namespace "default"'
            )
            assert "does not have a host" in await told_of(cluster.client, path)

    story(told)


def test_the_right_to_one_name_lists_that_name_alone() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        client = await user_with(cluster, ["list"], ["secrets"], resourceNames=["mine"])
        for name in ("mine", "theirs"):
            await cluster.client.create(SECRETS, {"metadata": {"name": name}}, "default")
        found = await client.list(SECRETS, "default", field_selector="metadata.name=mine")
        assert [s["metadata"]["name"] for s in found.items] == ["mine"]
        for sly in ("metadata.namespace!=x\\,metadata.name=mine", "metadata.name!=mine", "metadata.name=theirs"):
            assert "cannot list resource" in await refusal(client.list(SECRETS, "default", field_selector=sly))

    story(told)


def test_a_token_is_reviewed_for_the_audience_that_asks() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        async def token(*audiences: str) -> str:
            wanted: Object = {"spec": {"audiences": list(audiences)}}
            found = await cluster.client.create(ACCOUNTS, wanted, "default", name="default", subresource="token")
            return str(found["status"]["token"])

        async def review(text: str, *audiences: str) -> Object:
            spec: Object = {"token": text, "audiences": list(audiences)}
            found: Object = (await cluster.client.create(REVIEWS, {"spec": spec}))["status"]
            return found

        vault, own = await token("vault", "other"), await token()
        assert (await review(vault, "vault", "third"))["audiences"] == ["vault"]
        assert await review(vault) == {"user": {}, "error": "invalid bearer token"}
        assert not (await review(own, "vault")).get("authenticated")
        assert (await review(own))["audiences"] == ["https://kubernetes.default.svc.cluster.local"]

    story(told)


def test_a_refusal_names_the_role_that_a_binding_lacks() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        client = await user_with(cluster, ["get"], ["pods"])
        await cluster.client.delete(ROLES, "r", "default")
        assert await refusal(client.list(PODS, "default")) == (
            'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default": '
            'rbac: RBAC: role.rbac.authorization.k8s.io "r" not found'
        )

    story(told)


def test_a_pod_mounts_the_secrets_that_its_account_lists() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        notes = {"kubernetes.io/enforce-mountable-secrets": "true"}
        account = {"metadata": {"name": "strict", "annotations": notes}, "secrets": [{"name": "mine"}]}
        await cluster.client.create(ACCOUNTS, account, "default")

        def pod(secret: str, **more: Any) -> Awaitable[Any]:
            volumes = [{"name": "v", "secret": {"secretName": secret}}]
            container: Object = {"name": "c", "image": "i", **more}
            spec = {"serviceAccountName": "strict", "volumes": volumes, "containers": [container]}
            return cluster.client.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")

        because = "is not allowed because service account strict does not reference that secret"
        assert await refusal(pod("theirs")) == (
            f'pods "p" is forbidden: volume with secret.secretName="theirs" {because}'
        )
        env = [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}]
        assert await refusal(pod("mine", env=env)) == (
            f'pods "p" is forbidden: container c with envVar E referencing secret.secretName="theirs" {because}'
        )
        assert await refusal(pod("mine")) == ""

    story(told)


def test_a_pod_becomes_no_mirror() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}
        await cluster.client.create(PODS, pod, "default")
        key = "kubernetes.io/config.mirror"
        change: Object = {"metadata": {"annotations": {key: "x"}}}
        assert (await refusal(cluster.client.patch(PODS, "p", change, "default"))) == (
            f'Pod "p" is invalid: metadata.annotations[{key}]: Forbidden: may not add mirror pod annotation'
        )

    story(told)


def test_a_review_of_a_nodes_access_sees_the_field_selector() -> None:
    async def told(cluster: heeler.Cluster) -> None:
        async def may(selector: Object) -> bool:
            asked = {"verb": "list", "resource": "pods", "fieldSelector": selector}
            groups = ["system:nodes"]
            spec = {"user": "system:node:n1", "groups": groups, "resourceAttributes": asked}
            found = await cluster.client.create(ACCESS, {"spec": spec})
            return bool(found["status"]["allowed"])

        for node, expected in (("n1", True), ("n2", False)):
            requirement = {"key": "spec.nodeName", "operator": "In", "values": [node]}
            assert await may({"requirements": [requirement]}) is expected
            assert await may({"rawSelector": f"spec.nodeName={node}"}) is expected

    story(told)
