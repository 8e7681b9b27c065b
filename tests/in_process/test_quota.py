"""A ResourceQuota is never exceeded, however many write at the same time, and what goes is given back."""

from __future__ import annotations

import asyncio

import pytest

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

QUOTAS = GroupVersionResource("", "v1", "resourcequotas")
CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
HARD = 5


async def create(client: Client, name: str) -> str:
    try:
        await client.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "default"}}, "default")
    except StatusError as error:
        return error.message
    return ""


async def used(client: Client, wanted: str) -> None:
    async with asyncio.timeout(10):
        while True:
            found: Object = await client.get(QUOTAS, "q", "default")
            if ((found.get("status") or {}).get("used") or {}).get("count/configmaps") == wanted:
                return
            await asyncio.sleep(0.02)


async def story() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        client = cluster.client
        async with asyncio.timeout(10):
            while not (await client.list(CONFIG_MAPS, "default")).items:
                await asyncio.sleep(0.02)  # kube-root-ca.crt, which counts too
        metadata = {"name": "q", "namespace": "default"}
        await client.create(
            QUOTAS, {"metadata": metadata, "spec": {"hard": {"count/configmaps": str(HARD)}}}, "default"
        )
        await used(client, "1")
        answers = await asyncio.gather(*(create(client, f"c{n}") for n in range(12)))
        assert answers.count("") == HARD - 1
        refused = [answer for answer in answers if answer]
        assert all("is forbidden: exceeded quota: q, requested: count/configmaps=1, used:" in one for one in refused)
        made = f"c{answers.index('')}"
        await client.delete(CONFIG_MAPS, made, "default")
        await used(client, str(HARD - 1))
        assert await create(client, made) == ""
        assert "exceeded quota" in await create(client, "more")


def test_writers_at_the_same_time_never_exceed_a_quota() -> None:
    asyncio.run(story())


def test_devices_of_a_class_are_counted_by_the_claims_for_them() -> None:
    claims = GroupVersionResource("resource.k8s.io", "v1", "resourceclaims")
    name = "gpu.deviceclass.resource.k8s.io/devices"

    def asking(count: int) -> Object:
        wish = {"name": "r", "exactly": {"deviceClassName": "gpu", "count": count}}
        return {"metadata": {"name": f"c{count}"}, "spec": {"devices": {"requests": [wish]}}}

    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster, asyncio.timeout(30):
            client = cluster.client
            await client.create(QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {name: "2"}}}, "default")

            async def until(wanted: str) -> None:
                status: Object = {}
                while (status.get("used") or {}).get(name) != wanted:
                    await asyncio.sleep(0.05)
                    status = (await client.get(QUOTAS, "q", "default")).get("status") or {}

            await until("0")
            await client.create(claims, asking(1), "default")
            with pytest.raises(StatusError) as error:
                await client.create(claims, asking(2), "default")
            told = f"exceeded quota: q, requested: {name}=2, used: {name}=1, limited: {name}=2"
            assert error.value.message == f'resourceclaims.resource.k8s.io "c2" is forbidden: {told}'
            await client.delete(claims, "c1", "default")
            await until("0")

    asyncio.run(main())
