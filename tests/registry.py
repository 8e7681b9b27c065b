"""Debian's docker-registry, for tests that need a registry."""

from __future__ import annotations

import base64
import contextlib
import json
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
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
                return str(answer.headers.get("Location", ""))
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Registry]:
    """A registry with its files in `folder`; the test is skipped where there is no docker-registry."""
    if find_program("docker-registry") is None:
        pytest.skip("needs docker-registry")
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
