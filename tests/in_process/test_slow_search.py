"""A search for devices that takes long keeps nobody waiting but the pods behind it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

import heeler
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.devices.allocator import Allocator, Chosen, OutOfTimeError
from heeler.scheduler.devices.pools import Pool
from heeler.scheduler.plugins import dynamic_resources
from tests.in_process.service_accounts import make_pod

PODS = GroupVersionResource("", "v1", "pods")
CLAIMS, SLICES, CLASSES = (
    GroupVersionResource("resource.k8s.io", "v1", name)
    for name in ("resourceclaims", "resourceslices", "deviceclasses")
)


async def with_claims(client: Client) -> None:
    """One claim for a device that there is, and one for more than there are."""
    await client.create(CLASSES, {"metadata": {"name": "gpu"}, "spec": {}})
    pool = {"name": "pool", "generation": 1, "resourceSliceCount": 1}
    spec: Object = {"driver": "gpu.example.com", "allNodes": True, "pool": pool, "devices": [{"name": "d0"}]}
    await client.create(SLICES, {"metadata": {"name": "s"}, "spec": spec})
    for name, count in (("some", 1), ("many", 2)):
        wish = {"name": "r", "exactly": {"deviceClassName": "gpu", "count": count}}
        await client.create(CLAIMS, {"metadata": {"name": name}, "spec": {"devices": {"requests": [wish]}}}, "default")
        claims = [{"name": "x", "resourceClaimName": name}]
        pod: Object = {
            "metadata": {"name": name},
            "spec": {"resourceClaims": claims, "containers": [{"name": "a", "image": "i"}]},
        }
        await make_pod(client, pod)


async def outcome(client: Client, name: str) -> str:
    """The pod's node, or why it has none."""
    while True:
        pod = await client.get(PODS, name, "default")
        told = [
            one.get("message", "")
            for one in (pod.get("status") or {}).get("conditions") or ()
            if one["type"] == "PodScheduled"
        ]
        if pod["spec"].get("nodeName") or any(told):
            return str(pod["spec"].get("nodeName") or told[0])
        await asyncio.sleep(0.05)


def test_slow_searches_run_in_a_thread_and_come_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []
    allocate = Allocator.allocate

    def watched(self: Allocator, pools: Sequence[Pool]) -> list[Chosen] | None:
        where.append(threading.current_thread().name)
        return allocate(self, pools)

    monkeypatch.setattr(dynamic_resources, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(Allocator, "allocate", watched)

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=2) as cluster, asyncio.timeout(30):
            await with_claims(cluster.client)
            assert (await outcome(cluster.client, "some")).startswith("simulated-")
            assert "2 cannot allocate all claims" in await outcome(cluster.client, "many")

    asyncio.run(main())
    assert {name.rpartition("_")[0] for name in where} >= {"heeler-aside"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heeler-aside")]


def test_a_search_ends_with_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the scheduler doesn't wait for it, and neither does the end of the program."""
    searches, done = threading.Event(), threading.Event()

    def endless(self: Allocator, pools: Sequence[Pool]) -> list[Chosen] | None:
        if threading.current_thread() is threading.main_thread():
            assert self.is_late()
            raise OutOfTimeError
        searches.set()
        while not self.is_late():
            time.sleep(0.01)
        done.set()
        raise OutOfTimeError

    monkeypatch.setattr(dynamic_resources, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(dynamic_resources, "FILTER_SECONDS", 60.0)
    monkeypatch.setattr(Allocator, "allocate", endless)

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=1) as cluster, asyncio.timeout(30):
            await with_claims(cluster.client)
            while not searches.is_set():
                await asyncio.sleep(0.02)

    asyncio.run(main())
    assert done.wait(5)
