"""Probes carried out, in upstream's words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heeler.kubelet import checks
from heeler.kubelet.checks import Outcome
from heeler.network.relay import outside
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container


class Here:
    """Stands for a network namespace: this one."""

    async def connect(self, host: str, port: int) -> socket.socket:
        made = outside(host)
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def probe(action: Object, timeout: float = 1.0) -> Outcome:
    found = container("app", ports=[{"name": "http", "containerPort": 1}])
    return await checks.check(action, found, "id", "127.0.0.1", timeout, Here(), None)  # type: ignore[arg-type]


def against(answer: bytes, action: Callable[[int], Object], timeout: float = 1.0) -> tuple[Outcome, bytes, int]:
    """The outcome against a server that gives this answer (none at all for b""), what it was sent, its port."""

    async def main() -> tuple[Outcome, bytes, int]:
        asked: list[bytes] = []
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if answer == b"silence":
                await reader.read()
            else:
                writer.write(answer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        got = await probe(action(port), timeout)
        await served.wait()
        server.close()
        return got, (asked or [b""])[0], port

    return asyncio.run(main())


def get(port: int) -> Object:
    return {"httpGet": {"port": port, "path": "/ok?x=1", "httpHeaders": [{"name": "X-A", "value": "b"}]}}


@pytest.mark.parametrize(("status", "ok"), [(200, True), (302, True), (399, True), (400, False), (503, False)])
def test_http_is_judged_by_its_status(status: int, ok: bool) -> None:
    outcome, asked, port = against(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nhi" % status, get)
    assert outcome.ok is ok
    assert outcome.text == ("hi" if ok else f"HTTP probe failed with statuscode: {status}")
    assert asked.startswith(b"GET /ok?x=1 HTTP/1.1\r\n")
    assert b"\r\nX-A: b\r\n" in asked and b"\r\nUser-Agent: kube-probe/1.37\r\n" in asked
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in asked


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert against(b"HTTP/1.0 200 OK\r\n\r\nbody", get)[0] == Outcome(True, "body")


def test_no_answer_and_nonsense_are_told() -> None:
    outcome, _, port = against(b"silence", get, 0.2)
    url = f'Get "http://127.0.0.1:{port}/ok?x=1"'
    assert outcome.text == f"{url}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    outcome, _, port = against(b"", get)
    assert outcome.text == f'Get "http://127.0.0.1:{port}/ok?x=1": EOF'
    assert "malformed HTTP response" in against(b"nonsense\r\n\r\n", get)[0].text


def test_a_closed_port_is_refused() -> None:
    port = free_port()
    dial = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert asyncio.run(probe({"tcpSocket": {"port": port}})) == Outcome(False, dial)
    got = asyncio.run(probe({"httpGet": {"port": port}}))
    assert got.text == f'Get "http://127.0.0.1:{port}/": {dial}'


def test_a_port_can_be_named() -> None:
    assert checks.port_number(container("a", ports=[{"name": "http", "containerPort": 80}]), "http") == 80
    assert "couldn't find port" in asyncio.run(probe({"tcpSocket": {"port": "nope"}})).text


def health(answer: Callable[[bytes], Awaitable[bytes]], service: str = "") -> tuple[Outcome, int]:
    async def main() -> tuple[Outcome, int]:
        import grpc
        import grpc.aio

        async def handle(request: bytes, context: Any) -> bytes:
            return await answer(request)

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(handle)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await probe({"grpc": {"port": port, "service": service}}, 2.0), port
        finally:
            await server.stop(None)

    return asyncio.run(main())


def test_grpc_services_tell_their_health() -> None:
    async def serving(request: bytes) -> bytes:
        assert request == b"\x0a\x03web"
        return b"\x08\x01"

    async def ill(request: bytes) -> bytes:
        return b"\x08\x02"

    assert health(serving, "web")[0] == Outcome(True, "service healthy")
    assert health(ill)[0] == Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')


def test_grpc_without_a_server_fails() -> None:
    port = free_port()
    got = asyncio.run(probe({"grpc": {"port": port}}))
    assert not got.ok and f'failed to connect service "127.0.0.1:{port}" within 1s' in got.text
