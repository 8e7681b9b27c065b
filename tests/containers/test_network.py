"""Services on a real node: cluster addresses, node ports, published ports, the API server from inside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from heeler.network import publish
from heeler.objects.value import Object
from tests.containers.node import TestNode, pod, started

SERVE = "trap 'exit 0' TERM; mkdir /www; echo $HOSTNAME > /www/index.html; httpd -f -p 8080 -h /www & wait"


def service(name: str, ip: str, *ports: Object, **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": ip, "ports": list(ports), **spec}}


def endpoints(node: TestNode, name: str, *pods: str) -> Object:
    return {
        "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [node.status(p)["podIP"]], "conditions": {"ready": True}} for p in pods],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


async def fetch(node: TestNode, host: str, port: int, inside: bool = True) -> str:
    """The body of a page, asked for from the node's namespace or from the host."""
    if inside:
        made = await node.node.netns.connect(host, port)
        reader, writer = await asyncio.open_connection(sock=made)
    else:
        reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.rpartition(b"\r\n\r\n")[2].decode().strip()


def test_services_lead_to_pods_from_everywhere(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"the API server")
            await writer.drain()
            writer.close()

        host = await asyncio.start_server(hello, "127.0.0.1", 0)
        address = host.sockets[0].getsockname()
        async with started(cluster, tmp_path, archive, publish=True, api_server=address) as node:
            http = {"name": "http", "port": 80}
            node.api.put("services", service("kubernetes", "10.96.0.1", {"name": "https", "port": 443}))
            node.api.put("services", service("web", "10.96.0.20", {**http, "nodePort": 30917}, type="NodePort"))
            node.api.put("services", service("none", "10.96.0.22", http))
            for name in ("w0", "w1", "w2"):
                node.api.put("pods", pod(name, SERVE, container={"readinessProbe": {"tcpSocket": {"port": 8080}}}))
            for name in ("w0", "w1", "w2"):
                await node.ready(name)
            node.api.put("endpointslices", endpoints(node, "web", "w0", "w1", "w2"))

            async def all_three(ask: Any) -> None:
                seen: dict[str, None] = {}
                for _ in range(200):
                    try:
                        seen[await ask()] = None
                    except ConnectionError:
                        await asyncio.sleep(0.05)
                    if sorted(seen) == ["w0", "w1", "w2"]:
                        return
                raise AssertionError(seen)

            await all_three(lambda: fetch(node, "10.96.0.20", 80))
            await all_three(lambda: fetch(node, node.options.node_ip, 30917))
            await node.until(lambda: bool(publish.published(node.options.state / "published.json")))
            [entry] = publish.published(node.options.state / "published.json")
            port = int(entry["address"].rpartition(":")[2])
            await all_three(lambda: fetch(node, "127.0.0.1", port, inside=False))

            async def from_pod() -> str:
                return (await node.run_in("w0", "wget -q -O - http://10.96.0.20/")).strip()

            await all_three(from_pod)
            refused = await node.run_in("w0", "wget -q -O - http://10.96.0.22/ ; wget -q -O - http://10.96.0.99/")
            assert refused.count("Connection refused") == 2
            assert await node.run_in("w0", "nc 10.96.0.1 443 < /dev/null") == "the API server"
            port = {"containerPort": 8080, "hostPort": 18080}
            node.api.put(
                "pods", pod("h", SERVE, container={"ports": [port], "readinessProbe": {"tcpSocket": {"port": 8080}}})
            )
            await node.ready("h")
            await node.until(lambda: bool(node.node.agent._host_ports()))
            await asyncio.sleep(0.5)
            assert await fetch(node, node.options.node_ip, 18080) == "h"
            node.api.put("endpointslices", endpoints(node, "web", "w1"))

            async def settled() -> bool:
                return {await fetch(node, "10.96.0.20", 80) for _ in range(8)} == {"w1"}

            for _ in range(100):
                if await settled():
                    break
                await asyncio.sleep(0.05)
            assert await settled()
            node.api.put("services", node.api.find("services", "web", "default"), "DELETED")
            await asyncio.sleep(0.3)
            with pytest.raises(ConnectionRefusedError):
                await fetch(node, "10.96.0.20", 80)
        host.close()

    asyncio.run(main())
