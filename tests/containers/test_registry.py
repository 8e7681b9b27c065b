"""Images out of a private registry: its own authority, credentials of the pod's secret, found at the host's loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.images.archive import Archive
from tests.containers.node import WAIT, pod, started
from tests.registry import Registry, served


def push(registry: Registry, archive: Path, name: str) -> None:
    with Archive(archive) as opened:
        [image] = opened.images()
        for digest, blob in image.blobs.items():
            data = opened.open(blob).read()
            if digest == image.descriptor["digest"]:
                manifest = data
                continue
            place = registry.ask("POST", f"/v2/{name}/blobs/uploads/")
            registry.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data)
        registry.ask("PUT", f"/v2/{name}/manifests/1", manifest, image.descriptor["mediaType"])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with served(tmp_path / "registry") as found:
        yield found


def test_a_private_registry_is_trusted_and_asked_with_the_pod_s_secret(
    cluster: str, tmp_path: Path, archive: Path, registry: Registry
) -> None:
    push(registry, archive, "team/app")
    settings = tmp_path / "registries.json"
    host = f"localhost:{registry.port}"
    settings.write_text(json.dumps({host: {"ca": str(registry.ca)}}))

    async def main() -> None:
        async with started(cluster, tmp_path, archive, registries=settings) as node:
            image = {"image": f"{host}/team/app:1"}
            node.api.put("pods", pod("stranger", WAIT, container=image))
            await node.until(
                lambda: "401" in str(node.events("stranger")) or "credentials" in str(node.events("stranger"))
            )
            await node.until(lambda: "ImagePull" in str(node.container("stranger").get("state")))
            login = base64.b64encode(b"me:secret").decode()
            data = base64.b64encode(json.dumps({"auths": {f"{host}/team": {"auth": login}}}).encode()).decode()
            meta = {"name": "login", "namespace": "default"}
            node.api.put("secrets", {"metadata": meta, "data": {".dockerconfigjson": data}})
            node.api.put("pods", pod("friend", WAIT, container=image, imagePullSecrets=[{"name": "login"}]))
            await node.phase("friend", "Running")
            assert "Pulled" in dict(node.events("friend"))
            settings.write_text("{}")
            os.utime(settings, (1, 1))
            folder = node.node.paths.root / "registries"
            await node.until(lambda: not list(folder.iterdir()))

    asyncio.run(main())
