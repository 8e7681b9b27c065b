"""The client over HTTPS against a real server."""

import asyncio

from heeler.client.discovery import Discovery, discover
from heeler.client.https import HttpsClient
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
