"""What stories wait for before they can make pods."""

from __future__ import annotations

import asyncio

from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

PODS = GroupVersionResource("", "v1", "pods")


async def make_pod(client: Client, pod: Object) -> None:
    """In the namespace `default`, as soon as its service account is there."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.create(PODS, pod, "default")
                return
            except StatusError:
                await asyncio.sleep(0.05)
