"""A node under test: the real one, against an API in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.images import load
from heeler.kubelet import teardown
from heeler.kubelet.agent import Node
from heeler.kubelet.options import NodeOptions
from heeler.kubelet.pods.config import POD_NAME
from heeler.kubelet.pods.worker import PODS
from heeler.objects.value import Object
from heeler.wire.streams import channels, websocket
from tests.containers.fake_api import FakeApi

#: Seconds that anything may take on a busy machine.
PATIENCE = 30.0


def certificates(folder: Path) -> dict[str, Path]:
    """A node's serving certificate, and the API server's client certificate as client.crt and client.key."""
    authority = pki.new_authority("test", time.time())
    authority.save(folder / "ca.crt", folder / "ca.key")
    served = pki.issue(authority, "n0", time.time(), server_names=["127.0.0.1"])
    served.save(folder / "serving.crt", folder / "serving.key")
    for name, common in (("client", "kube-apiserver-kubelet-client"), ("stranger", "somebody")):
        pair = pki.issue(authority, common, time.time(), client=True)
        pair.save(folder / f"{name}.crt", folder / f"{name}.key")
    names = {"serving_cert": "serving.crt", "serving_key": "serving.key", "client_ca": "ca.crt"}
    return {key: folder / file for key, file in names.items()}


class TestNode:
    """A running node with its API; `crash` ends the agent without any clean-up."""

    __test__ = False

    def __init__(self, options: NodeOptions, api: FakeApi, archive: Path, certs: Path) -> None:
        self.options, self.api, self._archive, self._certs = options, api, archive, certs
        self.node = Node(options, api, SystemClock(), SystemRandom())
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.ensure_future(self.node.run())
        await self.until(lambda: bool(self.node.port and self.api.all("nodes")))
        await load.load(self.options.containerd_socket, self._archive)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def until(self, check: Callable[[], bool], what: str = "") -> None:
        deadline = time.monotonic() + PATIENCE
        while not check():
            if self._task is not None and self._task.done():
                self._task.result()
            shown = [(p["metadata"]["name"], p.get("status")) for p in self.api.all("pods")]
            assert time.monotonic() < deadline, f"{what}: {json.dumps(shown)[:4000]}"
            await asyncio.sleep(0.01)

    def status(self, name: str) -> Object:
        found: Object = self.api.find("pods", name, "default").get("status") or {}
        return found

    def container(self, name: str) -> Object:
        """The first container's status."""
        found: Object = (self.status(name).get("containerStatuses") or [{}])[0]
        return found

    async def phase(self, name: str, wanted: str) -> Object:
        await self.until(lambda: self.status(name).get("phase") == wanted, f"{name} {wanted}")
        return self.status(name)

    async def ready(self, name: str) -> None:
        await self.until(lambda: bool(self.container(name).get("ready")), f"{name} ready")

    async def delete(self, name: str, grace: int | None = None) -> None:
        await self.api.delete(PODS, name, "default", grace_seconds=grace)
        await self.until(lambda: ("pods", "default", name) not in self.api.objects, f"{name} deleted")

    async def run_in(self, name: str, script: str) -> str:
        """The output of a shell script in a pod's running container."""
        assert self.node.runtime is not None
        for container in await self.node.runtime.containers({POD_NAME: name}):
            if container.state == 1:
                _, out, err = await self.node.runtime.exec_sync(container.id, ["sh", "-c", script], 10)
                return (out + err).decode()
        raise AssertionError(f"no container of {name} runs")

    def events(self, name: str) -> list[tuple[str, str]]:
        found = [e for e in self.api.all("events") if e["involvedObject"]["name"] == name]
        return [(e["reason"], e["message"]) for e in found]

    def tls(self, who: str = "client") -> ssl.SSLContext:
        folder = self._certs
        return pki.client_context(folder / "ca.crt", folder / f"{who}.crt", folder / f"{who}.key")

    async def get(self, path: str, who: str = "client") -> tuple[int, str]:
        """A GET of the kubelet's API."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.node.port, ssl=self.tls(who))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            rest, body = body, b""
            while rest and not rest.startswith(b"0\r\n"):
                size, _, rest = rest.partition(b"\r\n")
                body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return int(head.split()[1]), body.decode()

    async def remote(
        self, path: str, *, stdin: bytes | None = None, size: tuple[int, int] | None = None, protocol: str = channels.V5
    ) -> tuple[dict[int, bytes], Object]:
        """exec as kubectl does it: (what came by channel, the final status)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.node.port, ssl=self.tls())
        lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"]
        head = "".join(f"{line}\r\n" for line in [*lines, f"Sec-WebSocket-Protocol: {protocol}"])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        mask = b"\1\2\3\4"

        def send(data: bytes) -> None:
            writer.write(websocket.encode(websocket.BINARY, data, mask))

        if size is not None:
            send(channels.encode(channels.RESIZE, json.dumps({"Width": size[0], "Height": size[1]}).encode()))

        async def feed(data: bytes) -> None:
            for start in range(0, len(data), 30_000):
                send(channels.encode(channels.STDIN, data[start : start + 30_000]))
                await writer.drain()
            send(channels.encode_close(channels.STDIN))

        feeding = asyncio.ensure_future(feed(stdin)) if stdin is not None else None
        out: dict[int, bytes] = {}
        decoder = websocket.Decoder(masked=False)
        while data := await asyncio.wait_for(reader.read(65536), PATIENCE):
            for message in decoder.feed(data):
                if message.opcode == websocket.BINARY:
                    channel = message.data[0]
                    out[channel] = out.get(channel, b"") + message.data[1:]
        if feeding is not None:
            await feeding
        writer.close()
        told: Any = json.loads(out.pop(channels.ERROR, b"{}"))
        return out, told


def pod(name: str, script: str, *, container: Object | None = None, **spec: Any) -> Object:
    """A pod of one container c that runs a shell script."""
    made = {"name": "c", "image": "busybox:1", "command": ["sh", "-c", script], **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "generation": 1, "labels": {"app": name}},
        "spec": {"nodeName": "n0", "terminationGracePeriodSeconds": 3, "containers": [made], **spec},
    }


#: A script that does nothing until it is asked to end.
WAIT = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@contextlib.asynccontextmanager
async def started(cluster: str, folder: Path, archive: Path, **more: Any) -> AsyncIterator[TestNode]:
    """A node that is up; afterwards nothing of it is left (asserted)."""
    certs = certificates(folder)
    values = {"publish": False, "uplink": False, "containerd": os.environ.get("TEST_CONTAINERD", ""), **more}
    options = NodeOptions(cluster, "n0", folder / "data", folder / "state", **certs, **values)
    node = TestNode(options, FakeApi(), archive, folder)
    try:
        await node.start()
        yield node
    finally:
        await node.stop()
        await teardown.remove_cluster(options, SystemClock(), [options])
        assert leftovers(options) == []


def leftovers(options: NodeOptions) -> list[str]:
    """What is still there of a cluster."""
    found = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(options.data_dir.parent) in line
    ]
    found += [str(p) for p in Path("/run/netns").glob(f"{options.fabric_netns}*")]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/{options.fabric_netns}")]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"{options.fabric_netns}")]
    found += [str(p) for p in (options.state, options.data_dir) if p.exists()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(options.state).encode() in process.read_bytes():
                found.append(str(process))
    return found
