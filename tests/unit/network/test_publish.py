"""Relays: bytes both ways, half-closed connections, refused ones."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from heeler.network import podnet, publish, relay, routes


async def connected(port: int) -> socket.socket:
    made = relay.outside("127.0.0.1")
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


async def relayed(serve: Any) -> tuple[relay.Relay, asyncio.Server]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return relay.Relay(relay.listen("127.0.0.1", 0), lambda: connected(port)), server


def test_a_client_may_end_its_side_and_still_get_an_answer() -> None:
    async def main() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.read()
            writer.write(b"%d bytes" % len(data))
            writer.close()

        way, server = await relayed(serve)
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await way.close()
        server.close()
        return answer

    assert asyncio.run(main()) == b"1000000 bytes"


def test_what_connects_as_a_relay_ends_is_let_go() -> None:
    async def main() -> bytes:
        way = relay.Relay(relay.listen("127.0.0.1", 0), lambda: connected(9))
        client = socket.create_connection(("127.0.0.1", way.port))
        client.setblocking(False)
        while not way._connections:  # taken, and its task has not begun
            await asyncio.sleep(0)
        await way.close()
        with client:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5)

    assert asyncio.run(main()) == b""


def test_a_target_that_refuses_resets_the_connection() -> None:
    async def main() -> None:
        async def connect() -> socket.socket:
            raise ConnectionRefusedError

        way = relay.Relay(relay.listen("127.0.0.1", 0), connect)
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        try:
            assert await reader.read() == b""
        finally:
            writer.close()
            await way.close()

    with pytest.raises(ConnectionResetError):
        asyncio.run(main())


def test_a_port_that_is_taken_gives_way_to_a_free_one() -> None:
    first = relay.listen("127.0.0.1", 0)
    second = relay.listen("127.0.0.1", first.getsockname()[1])
    assert second.getsockname()[1] != first.getsockname()[1]
    first.close()
    second.close()


def test_what_is_published_is_written_down_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    record = tmp_path / "published.json"
    with relay.listen("127.0.0.1", 0) as taken:
        wanted = [publish.Target("default", "web", "http", taken.getsockname()[1], "192.0.2.1", 80)]

        async def once() -> str:
            publisher = publish.Publisher(None, record)  # type: ignore[arg-type]
            await publisher.update(wanted)
            [entry] = publish.published(record)
            await publisher.close()
            return str(entry["address"])

        first = asyncio.run(once())
        assert first != f"127.0.0.1:{taken.getsockname()[1]}"
        assert asyncio.run(once()) == first


def test_the_pod_network_is_a_cni_configuration() -> None:
    text = podnet.configuration("10.244.3.0/24", Path("/x"), 1450, True)
    assert '"subnet": "10.244.3.0/24"' in text and '"type": "ptp"' in text


def test_routes_lead_to_the_other_nodes() -> None:
    def node(name: str, ip: str, cidr: str) -> dict[str, Any]:
        addresses = [{"type": "InternalIP", "address": ip}]
        return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}

    nodes = [node("a", "100.64.0.10", "10.244.0.0/24"), node("b", "100.64.0.11", "10.244.1.0/24")]
    assert routes.wanted(nodes, "a") == {"10.244.1.0/24": "100.64.0.11"}
