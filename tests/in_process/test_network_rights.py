"""The nodes' network part and the Ingress gateway have the rights of their work and no others; classes by default."""

from __future__ import annotations

from heeler.apiserver.user import authenticated
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource
from tests.in_process.test_second_rights import NODES, PODS, SECRETS, refusal, story

NETWORKING = "networking.k8s.io"
POLICIES = GroupVersionResource(NETWORKING, "v1", "networkpolicies")
INGRESSES = GroupVersionResource(NETWORKING, "v1", "ingresses")
CLASSES = GroupVersionResource(NETWORKING, "v1", "ingressclasses")
SERVICES = GroupVersionResource("", "v1", "services")


async def lists(client: Client, *resources: GroupVersionResource) -> list[bool]:
    return [not await refusal(client.list(resource)) for resource in resources]


def test_the_network_part_reads_its_kinds_and_writes_only_where_load_balancers_are() -> None:
    async def told(cluster) -> None:  # type: ignore[no-untyped-def]
        client = cluster.client_as(authenticated("system:heeler-network"))
        assert await lists(client, PODS, NODES, SERVICES, POLICIES) == [True] * 4
        assert await lists(client, SECRETS, INGRESSES) == [False] * 2
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}
        await client.patch(SERVICES, "kubernetes", status, "default", subresource="status")
        assert "cannot patch" in await refusal(client.patch(SERVICES, "kubernetes", {"spec": {}}, "default"))
        assert "cannot delete" in await refusal(client.delete(PODS, "p", "default"))

    story(told)


def test_the_gateway_reads_secrets_one_by_one_only() -> None:
    async def told(cluster) -> None:  # type: ignore[no-untyped-def]
        client = cluster.client_as(authenticated("system:heeler-ingress"))
        assert await lists(client, INGRESSES, CLASSES) == [True] * 2
        assert await lists(client, SECRETS, PODS, SERVICES) == [False] * 3
        assert "not found" in await refusal(client.get(SECRETS, "s", "default"))

    story(told)


def test_an_ingress_without_a_class_gets_the_newest_default() -> None:
    async def told(cluster) -> None:  # type: ignore[no-untyped-def]
        client = cluster.client
        backend = {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}

        async def made(name: str, **annotations: str) -> object:
            metadata = {"name": name, "annotations": annotations}
            found = await client.create(INGRESSES, {"metadata": metadata, "spec": dict(backend)}, "default")
            return found["spec"].get("ingressClassName")

        assert await made("before") is None
        notes = {"ingressclass.kubernetes.io/is-default-class": "true"}
        spec = {"controller": "heeler.dev/ingress"}
        await client.create(CLASSES, {"metadata": {"name": "heeler", "annotations": notes}, "spec": spec})
        assert await made("after") == "heeler"
        assert await made("legacy", **{"kubernetes.io/ingress.class": "other"}) is None

    story(told)
