"""Releases' records in a cluster: as Secrets and as ConfigMaps, the way Helm keeps them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from heeler.objects.value import GroupVersionResource
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import ConfigMaps, InCluster, ReleaseNotFound, Secrets, Storage, StorageError
from heeler.testing.cluster import FreshCluster

SECRETS = GroupVersionResource("", "v1", "secrets")


@pytest.fixture(scope="module")
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


def release(name: str, version: int, status: str, **more: Any) -> Release:
    return Release(name, "default", version, status, {"metadata": {"name": "app"}}, **more)


@pytest.mark.parametrize(("driver", "resource"), [(Secrets, "secrets"), (ConfigMaps, "configmaps")])
def test_records_are_objects_with_helm_s_labels(cluster: FreshCluster, driver: type[InCluster], resource: str) -> None:
    storage = Storage(driver(cluster.client_in_thread(), "default", lambda: 1000.5))

    async def main() -> None:
        await storage.create(release("web", 1, "pending-install", labels={"team": "x"}, config={"a": 1}))
        await storage.update(release("web", 1, "deployed", labels={"team": "x"}))
        await storage.create(release("web", 2, "failed"))
        await storage.create(release("db", 1, "deployed"))
        assert [one.version for one in await storage.history("web")] == [2, 1]
        assert (await storage.get("web", 1)).labels == {"team": "x"}
        assert (await storage.deployed("web")).version == 1
        assert sorted(one.name for one in await storage.all()) == ["db", "web", "web"]
        with pytest.raises(StorageError, match="release: already exists"):
            await storage.create(release("web", 2, "failed"))
        await storage.delete(release("web", 2, "failed"))
        with pytest.raises(ReleaseNotFound):
            await storage.get("web", 2)

    cluster._run(main())
    kept = cluster.get(resource, "sh.helm.release.v1.web.v1")
    labels = {"name": "web", "owner": "helm", "status": "deployed", "version": "1", "modifiedAt": "1000", "team": "x"}
    assert kept["metadata"]["labels"] == labels
    text = kept["data"]["release"]
    if resource == "secrets":
        assert kept["type"] == "helm.sh/release.v1"
        text = base64.b64decode(text).decode()
    assert base64.b64decode(text).startswith(b"\x1f\x8b")


def test_a_broken_record_hides_no_other_one(cluster: FreshCluster) -> None:
    labels = {"name": "odd", "owner": "helm", "status": "deployed", "version": "1"}
    metadata = {"name": "sh.helm.release.v1.odd.v1", "labels": labels}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"release": "???"}})
    client = cluster.client_in_thread()
    storage = Storage(Secrets(client, "default", lambda: 0))

    async def main() -> None:
        await storage.create(release("odd", 2, "deployed"))
        assert [one.version for one in await storage.history("odd")] == [2]
        for version, text, why in (
            (1, "???", "illegal base64 data at input byte 0"),
            (3, "eHh4eHg", "illegal base64 data at input byte 4"),
            (4, "", "unexpected end of JSON input"),
            (5, "eHg=", "invalid character 'x' looking for beginning of value"),
        ):
            key = f"sh.helm.release.v1.odd.v{version}"
            if version > 1:
                secret = {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": key},
                    "stringData": {"release": text},
                }
                await client.create(SECRETS, secret, "default")
            with pytest.raises(StorageError) as error:
                await storage.get("odd", version)
            assert str(error.value) == f'get: failed to decode data "{key}": {why}'

    cluster._run(main())
