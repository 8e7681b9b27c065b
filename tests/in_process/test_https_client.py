"""The client over HTTPS against a real server."""

import asyncio
import json

import pytest

from heeler.client.discovery import Discovery, discover
from heeler.client.https import HttpsClient
from heeler.objects.value import GroupVersionResource
from heeler.testing.cluster import FreshCluster


def test_discovery_is_the_same_over_https_and_in_process() -> None:
    """A header that a caller gives stands in the place of the client's own, however it is spelled."""

    async def ask(cluster: FreshCluster) -> Discovery:
        assert cluster._access is not None
        client = HttpsClient(cluster._access)
        try:
            return await discover(client)
        finally:
            await client.close()

    with FreshCluster() as cluster:
        outside = asyncio.run(ask(cluster))
        inside = cluster._run(discover(cluster.client_in_thread()))
    assert outside.resources == inside.resources
    assert len(outside.resources) > 50


def test_a_list_in_lines_is_the_same_list() -> None:
    """What a person gets is what a program gets, with two spaces a level."""

    async def ask(cluster: FreshCluster) -> None:
        assert cluster._access is not None
        client = HttpsClient(cluster._access, user_agent="curl/8.5")
        paths = ("/api/v1/namespaces", "/api/v1/pods", "/apis/autoscaling/v1/horizontalpodautoscalers")
        try:
            for path in paths:
                plain = (await client.request("GET", path, query={"pretty": "false"}))[1]
                lines = (await client.request("GET", path))[1]
                assert b"\n" not in plain
                assert lines.decode() == json.dumps(json.loads(plain), indent=2), path
        finally:
            await client.close()

    with FreshCluster() as cluster:
        asyncio.run(ask(cluster))


def test_who_acts_as_an_account_that_is_made_anew_asks_for_a_new_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heeler.client.https.MIN_TOKEN_SECONDS", 0.0)
    accounts = GroupVersionResource("", "v1", "serviceaccounts")

    async def codes(cluster: FreshCluster) -> list[int]:
        assert cluster._access is not None
        client = HttpsClient(cluster._access)
        account = client.as_service_account("kube-system", "tester")
        found = []
        try:
            for attempt in range(3):
                if attempt == 1:
                    await client.delete(accounts, "tester", "kube-system")
                found.append((await account.request("GET", "/api/v1/nodes"))[0])
        finally:
            await account.close()
            await client.close()
        return found

    with FreshCluster() as cluster:
        assert asyncio.run(codes(cluster)) == [403, 401, 403], "known without rights, unknown, known again"
