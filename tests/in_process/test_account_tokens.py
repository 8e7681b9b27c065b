"""A token in a Secret is that of its account as long as both are there: it is made, accepted, and falls with them."""

from __future__ import annotations

import asyncio
import base64

import heeler
from heeler.base.clock import SystemClock, rfc3339
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of
from heeler.workloads.account_tokens import (
    INVALID_SINCE,
    LAST_USED,
    NAME_ANNOTATION,
    SECRET_TYPE,
    TRACKED_SINCE,
    TRACKING,
)

CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
SECRETS = GroupVersionResource("", "v1", "secrets")
ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
REVIEWS = GroupVersionResource("authentication.k8s.io", "v1", "tokenreviews")


def secret(name: str, account: str) -> Object:
    return {"metadata": {"name": name, "annotations": {NAME_ANNOTATION: account}}, "type": SECRET_TYPE}


async def token_of(client: Client, name: str) -> str:
    async with asyncio.timeout(10):
        while True:
            data = (await client.get(SECRETS, name, "default")).get("data") or {}
            if "token" in data:
                return base64.b64decode(data["token"]).decode()
            await asyncio.sleep(0.02)


async def who(client: Client, token: str) -> str:
    review = await client.create(REVIEWS, {"spec": {"token": token}})
    return str((review["status"].get("user") or {}).get("username", ""))


async def used(client: Client, name: str) -> str:
    """The day that the server has noted."""
    async with asyncio.timeout(10):
        while LAST_USED not in (found := labels_of(await client.get(SECRETS, name, "default"))):
            await asyncio.sleep(0.02)
    return str(found[LAST_USED])


async def gone(client: Client, name: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await client.get(SECRETS, name, "default")
            except StatusError as error:
                assert error.code == 404
                return
            await asyncio.sleep(0.02)


async def story() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        client = cluster.client
        await client.create(ACCOUNTS, {"metadata": {"name": "robot"}}, "default")
        await client.create(SECRETS, secret("first", "robot"), "default")
        await client.create(SECRETS, secret("second", "robot"), "default")
        first, second = await token_of(client, "first"), await token_of(client, "second")
        assert await who(client, first) == "system:serviceaccount:default:robot"
        assert await who(client, first[:-8] + "AAAAAAAA") == ""
        # what readers of base64 forgive is no token
        for other in (first + "==", first + "!", first.replace(".", "=.", 1)):
            assert await who(client, other) == ""
        day = await used(client, "first")
        assert day == rfc3339(SystemClock().time())[:10]
        tracking = await client.get(CONFIG_MAPS, TRACKING, "kube-system")
        assert tracking["data"] == {TRACKED_SINCE: day}
        # one that the cleaner has marked is good for nothing, until somebody takes the mark off
        for mark, name in (("2026-01-01", ""), (None, "system:serviceaccount:default:robot")):
            await client.patch(SECRETS, "first", {"metadata": {"labels": {INVALID_SINCE: mark}}}, "default")
            assert await who(client, first) == name
        await client.delete(SECRETS, "first", "default")
        assert await who(client, first) == ""
        await client.delete(ACCOUNTS, "robot", "default")
        assert await who(client, second) == ""
        await gone(client, "second")
        await client.create(SECRETS, secret("orphan", "nobody"), "default")
        await gone(client, "orphan")


def test_tokens_in_secrets() -> None:
    asyncio.run(story())
