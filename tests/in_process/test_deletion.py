"""Deletions that meet: whoever asks gets what was asked for."""

from __future__ import annotations

import asyncio

import pytest

from heeler.client.https import HttpsClient
from heeler.client.kubeconfig import Access
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from tests.conftest import ApiServerProcess

NAMESPACES, PODS = GroupVersionResource("", "v1", "namespaces"), GroupVersionResource("", "v1", "pods")
ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")


async def finished(client: HttpsClient, name: str, namespace: str) -> None:
    """A pod on a node that has ended: deleted without grace, and still seen as deleted before it goes."""
    spec = {"nodeName": "n", "restartPolicy": "Never", "containers": [{"name": "a", "image": "i"}]}
    await client.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace)
    await client.patch(PODS, name, {"status": {"phase": "Succeeded"}}, namespace, subresource="status")


@pytest.mark.parametrize("deleters", [2, 8])
def test_of_those_who_delete_at_once_none_is_in_the_others_way(api_server: ApiServerProcess, deleters: int) -> None:
    """The store commits in batches: each sees the others' marks between its own two writes."""

    namespace = f"of-{deleters}"

    async def story() -> list[str]:
        client = HttpsClient(Access(api_server.url, token="admin-token", insecure=True))

        async def delete(name: str) -> str:
            try:
                await client.delete(PODS, name, namespace)
            except StatusError as error:
                return error.reason
            return "deleted"

        try:
            await client.create(NAMESPACES, {"metadata": {"name": namespace}})
            await client.create(ACCOUNTS, {"metadata": {"name": "default"}}, namespace)
            said = []
            for number in range(10):
                name = f"p{number}"
                await finished(client, name, namespace)
                said += await asyncio.gather(*(delete(name) for _ in range(deleters)))
            return said
        finally:
            await client.close()

    said = asyncio.run(story())
    assert said.count("deleted") >= 10 and set(said) <= {"deleted", "NotFound"}


def test_an_eviction_names_its_pod_or_nothing_is_looked_up(api_server: ApiServerProcess) -> None:
    async def story() -> list[tuple[int, str]]:
        client = HttpsClient(Access(api_server.url, token="admin-token", insecure=True))
        said = []
        try:
            for body in ({}, {"metadata": {"name": "other"}}, {"metadata": {"name": "none"}}):
                try:
                    await client.create(PODS, body, "default", name="none", subresource="eviction")
                except StatusError as error:
                    said.append((error.code, error.message))
            return said
        finally:
            await client.close()

    mismatch = "name in URL does not match name in Eviction object"
    assert asyncio.run(story()) == [(400, mismatch), (400, mismatch), (404, 'pods "none" not found')]
