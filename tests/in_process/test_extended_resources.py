"""Devices of a class for an extended resource: a claim of the pod's own as long as the pod is there, or while it is to come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import heeler
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.configuration.load import completed
from heeler.scheduler.configuration.profiles import Others
from heeler.scheduler.plugins.others import Plugin, adapted
from heeler.scheduler.scheduler import Scheduler
from tests.in_process.service_accounts import make_pod

PODS = GroupVersionResource("", "v1", "pods")
CLAIMS, SLICES, CLASSES = (
    GroupVersionResource("resource.k8s.io", "v1", name)
    for name in ("resourceclaims", "resourceslices", "deviceclasses")
)
GPU = "example.com/gpu"
ASKED = {"resources": {"requests": {GPU: "1"}, "limits": {GPU: "1"}}}
POD: Object = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i", **ASKED}]}}


async def until(what: Any) -> Any:
    async with asyncio.timeout(30):
        while not (found := await what()):
            await asyncio.sleep(0.05)
    return found


async def with_devices(client: Client) -> None:
    await client.create(CLASSES, {"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": GPU}})
    pool = {"name": "pool", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.example.com", "allNodes": True, "pool": pool, "devices": [{"name": "d0"}]}
    await client.create(SLICES, {"metadata": {"name": "s"}, "spec": spec})


async def made(client: Client, **spec: Any) -> None:
    await make_pod(client, {**POD, "spec": {**POD["spec"], **spec}})


async def told(client: Client) -> Object | None:
    pod = await client.get(PODS, "p", "default")
    found: Object | None = (pod.get("status") or {}).get("extendedResourceClaimStatus")
    return found if pod["spec"].get("nodeName") else None


async def claims(client: Client) -> list[Object]:
    return (await client.list(CLAIMS, "default")).items


async def none_left(client: Client) -> bool:
    return not await claims(client)


def with_scheduler(story: Callable[[Client], Awaitable[None]]) -> None:
    """A cluster whose node has a device."""

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=1) as cluster:
            await with_devices(cluster.client)
            await story(cluster.client)

    asyncio.run(main())


def test_a_pod_has_a_claim_of_its_own_as_long_as_it_is_there() -> None:
    async def story(client: Client) -> None:
        await made(client)
        status = await until(lambda: told(client))
        name = status["resourceClaimName"]
        assert name.startswith("p-extended-resources-")
        mapping = {"containerName": "a", "resourceName": GPU, "requestName": "container-0-request-0"}
        assert status["requestMappings"] == [mapping]
        claim = await client.get(CLAIMS, name, "default")
        assert claim["metadata"]["annotations"] == {"resource.kubernetes.io/extended-resource-claim": "true"}
        assert [ref["name"] for ref in claim["metadata"]["ownerReferences"] if ref["controller"]] == ["p"]
        assert [one["name"] for one in claim["status"]["reservedFor"]] == ["p"]
        wish = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
        assert claim["spec"]["devices"]["requests"] == [{"name": "container-0-request-0", "exactly": wish}]
        assert [one["device"] for one in claim["status"]["allocation"]["devices"]["results"]] == ["d0"]
        await client.delete(PODS, "p", "default", grace_seconds=0)
        await until(lambda: none_left(client))

    with_scheduler(story)


def test_a_pod_that_ends_gives_its_devices_back_at_once() -> None:
    async def story(client: Client) -> None:
        await made(client)
        await until(lambda: told(client))
        await client.patch(PODS, "p", {"status": {"phase": "Succeeded"}}, "default", subresource="status")
        await until(lambda: none_left(client))

    with_scheduler(story)


def test_a_claim_that_a_scheduler_left_behind_goes_before_the_pod_is_placed() -> None:
    async def story(client: Client) -> None:
        await made(client, schedulingGates=[{"name": "wait"}])
        pod = await client.get(PODS, "p", "default")
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"], "controller": True}
        metadata = {
            "name": "left",
            "annotations": {"resource.kubernetes.io/extended-resource-claim": "true"},
            "ownerReferences": [owner],
            "finalizers": ["resource.kubernetes.io/delete-protection"],
        }
        wish = {"name": "container-0-request-0", "exactly": {"deviceClassName": "gpu"}}
        left: Object = {"metadata": metadata, "spec": {"devices": {"requests": [wish]}}}
        await client.create(CLAIMS, left, "default")
        await client.patch(PODS, "p", {"spec": {"schedulingGates": None}}, "default")
        status = await until(lambda: told(client))
        assert [one["metadata"]["name"] for one in await claims(client)] == [status["resourceClaimName"]]
        assert status["resourceClaimName"] != "left"

    with_scheduler(story)


def test_a_claim_goes_when_its_pod_cannot_be_bound_and_is_made_anew_for_the_next_attempt() -> None:
    seen: list[str] = []

    class Fails(Plugin):
        async def bind(self, pod: Object, node: str) -> bool:
            seen.extend(claim["metadata"]["name"] for claim in await claims(self.client))
            if len(seen) == 1:
                raise OSError("not now")
            return False

        client: Client

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=1, without=("scheduler",)) as cluster, Tasks() as tasks:
            client = Fails.client = cluster.client
            await with_devices(client)
            profile = {
                "schedulerName": "default-scheduler",
                "plugins": {"multiPoint": {"enabled": [{"name": "Fails"}]}},
            }
            others = Others({"Fails": adapted("Fails", Fails)})
            given = completed({"profiles": [profile]})
            clock, random = SystemClock(), SystemRandom()
            program = Scheduler(client, clock=clock, random=random, configuration=given, others=others)
            tasks.spawn(program.run(), "scheduler")
            await made(client)
            status = await until(lambda: told(client))
            assert len(seen) == 2 and seen[1] == status["resourceClaimName"] != seen[0]
            assert [one["metadata"]["name"] for one in await claims(client)] == [seen[1]]
            await tasks.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"extendedResourceClaimStatus": {"requestMappings": []}},
            [
                "status.extendedResourceClaimStatus.requestMappings: Required value: "
                "at least one request mapping is required",
                "status.extendedResourceClaimStatus.resourceClaimName: Required value",
            ],
        ),
        (
            {
                "extendedResourceClaimStatus": {
                    "resourceClaimName": "c",
                    "requestMappings": [{"containerName": "b", "resourceName": GPU, "requestName": "r"}],
                }
            },
            [
                'status.extendedResourceClaimStatus.requestMappings[0].containerName: Invalid value: "b": '
                "must match the name of an entry in spec.initContainers.name or spec.containers.name"
            ],
        ),
        (
            {"resourceClaimStatuses": [{"name": "x", "resourceClaimName": "c"}]},
            [
                'status.resourceClaimStatuses[0].name: Invalid value: "x": '
                "must match the name of an entry in `spec.resourceClaims`"
            ],
        ),
    ],
)
def test_what_a_pods_status_says_of_claims_is_checked(status: Object, words: list[str]) -> None:
    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster:
            await made(cluster.client)
            with pytest.raises(StatusError) as error:
                await cluster.client.patch(PODS, "p", {"status": status}, "default", subresource="status")
            assert error.value.code == 422
            found = [f"{one['field']}: {one['message']}" for one in error.value.details["causes"]]
            assert found == words

    asyncio.run(main())
