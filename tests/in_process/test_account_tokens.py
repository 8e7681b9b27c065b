"""A token in a Secret is that of its account as long as both are there: it is made, accepted, and falls with them."""

from __future__ import annotations

import asyncio
import base64

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.workloads.account_tokens import NAME_ANNOTATION, SECRET_TYPE

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
        await client.delete(SECRETS, "first", "default")
        assert await who(client, first) == ""
        await client.delete(ACCOUNTS, "robot", "default")
        assert await who(client, second) == ""
        await gone(client, "second")
        await client.create(SECRETS, secret("orphan", "nobody"), "default")
        await gone(client, "orphan")


def test_tokens_in_secrets() -> None:
    asyncio.run(story())
