"""The Service kube-dns stands for the nodes that answer DNS questions."""

from __future__ import annotations

import asyncio

import heeler
from heeler.controllers.cluster_dns import address, answering
from heeler.controllers.resources import ENDPOINT_SLICES, NODES, SERVICES
from heeler.objects.value import Object


def node(name: str, ip: str, ready: str = "True", note: str = "true") -> Object:
    status = {
        "addresses": [{"type": "InternalIP", "address": ip}],
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return {"metadata": {"name": name, "annotations": {"heeler.dev/cluster-dns": note}}, "status": status}


def test_nodes_with_a_resolver_are_endpoints_and_ready_when_they_are() -> None:
    found = answering([node("b", "10.0.0.2", "False"), node("a", "10.0.0.1"), node("c", "10.0.0.3", note="")])
    assert [(e["addresses"], e["conditions"]["ready"], e["nodeName"]) for e in found] == [
        (["10.0.0.1"], True, "a"),
        (["10.0.0.2"], False, "b"),
    ]


def test_the_address_is_the_tenth_of_the_services_range() -> None:
    assert address({"spec": {"clusterIP": "10.43.0.1"}}) == "10.43.0.10"


def test_kube_dns_is_there_with_such_a_node_and_left_to_whoever_gives_it_a_selector() -> None:
    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster:
            client = cluster.client
            made = node("a", "10.0.0.1")
            await client.create(NODES, {"metadata": made["metadata"]})
            await client.update(NODES, {**await client.get(NODES, "a"), "status": made["status"]}, subresource="status")

            async def slices() -> list[list[str]]:
                items = (await client.list(ENDPOINT_SLICES, "kube-system")).items
                return [e["addresses"] for item in items for e in item.get("endpoints") or []]

            async def until(wanted: list[list[str]]) -> None:
                for _ in range(500):
                    if await slices() == wanted:
                        return
                    await asyncio.sleep(0.01)
                assert await slices() == wanted

            await until([["10.0.0.1"]])
            found = await client.get(SERVICES, "kube-dns", "kube-system")
            assert found["spec"]["clusterIP"] == "10.96.0.10"
            own = {**found, "spec": {**found["spec"], "selector": {"k8s-app": "coredns"}}}
            await client.update(SERVICES, own)
            await until([])

    asyncio.run(main())
