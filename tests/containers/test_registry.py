"""Images out of a private registry: its own authority, credentials of the pod's secret, found at the host's loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.base import pki
from heeler.base.processes import find_program
from heeler.images.archive import Archive
from tests.containers.node import WAIT, pod, started

#: "secret" by bcrypt.
HTPASSWD = "me:$2y$05$8gaytZ.4jEdfm07PeU4kEOTGfHd0jp/gA/pWrF5YRgu5Gm0EpmmlG\n"


class Registry:
    """Debian's docker-registry on the loopback, with TLS and a password."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.ca = folder / "ca.crt"
        authority = pki.new_authority("registry", time.time())
        authority.save(self.ca, folder / "ca.key")
        pki.issue(authority, "r", time.time(), server_names=["localhost"]).save(folder / "r.crt", folder / "r.key")
        (folder / "htpasswd").write_text(HTPASSWD)
        tls = {"certificate": str(folder / "r.crt"), "key": str(folder / "r.key")}
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {
                "addr": f"127.0.0.1:{self.port}",
                "tls": tls,
            },
            "auth": {"htpasswd": {"realm": "r", "path": str(folder / "htpasswd")}},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        self._tls = ssl.create_default_context(cafile=str(self.ca))
        program = find_program("docker-registry")
        assert program is not None
        log = (folder / "log").open("wb")
        self.process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        log.close()

    def ask(self, method: str, path: str, data: bytes = b"", kind: str = "application/octet-stream") -> str:
        url = path if path.startswith("http") else f"https://localhost:{self.port}{path}"
        request = urllib.request.Request(url, data or None, method=method, headers={"Content-Type": kind})
        request.add_header("Authorization", "Basic " + base64.b64encode(b"me:secret").decode())
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            return str(answer.headers.get("Location", ""))

    def push(self, archive: Path, name: str) -> None:
        with Archive(archive) as opened:
            [image] = opened.images()
            for digest, blob in image.blobs.items():
                data = opened.open(blob).read()
                if digest == image.descriptor["digest"]:
                    manifest = data
                    continue
                place = self.ask("POST", f"/v2/{name}/blobs/uploads/")
                self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data)
            self.ask("PUT", f"/v2/{name}/manifests/1", manifest, image.descriptor["mediaType"])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    if find_program("docker-registry") is None:
        pytest.skip("needs docker-registry")
    folder = tmp_path / "registry"
    folder.mkdir()
    made = Registry(folder)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                made.ask("GET", "/v2/")
                break
            except OSError:
                assert time.monotonic() < deadline and made.process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_a_private_registry_is_trusted_and_asked_with_the_pod_s_secret(
    cluster: str, tmp_path: Path, archive: Path, registry: Registry
) -> None:
    registry.push(archive, "team/app")
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
