"""Logs, exec and attach over the kubelet's API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

from heeler.base.clock import SystemClock
from heeler.kubelet.rotation import Rotation, rotated
from heeler.wire.streams import channels, spdy, websocket
from tests.containers.node import WAIT, TestNode, pod, started


async def forwarded(node: TestNode, path: str, port: int, data: bytes) -> tuple[bytes, bytes]:
    """One connection through a port-forward, as kubectl's tunnel does it: (what came back, the error)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.node.port, ssl=node.tls())
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"]
    head = "".join(f"{line}\r\n" for line in [*lines, "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io"])
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    codec, decoder = spdy.Codec(), websocket.Decoder(masked=False, limit=4 << 20)

    def send(frame: bytes) -> None:
        writer.write(websocket.encode(websocket.BINARY, frame, b"\1\2\3\4"))

    common = {"port": str(port), "requestid": "0"}
    send(codec.open(1, {"streamtype": "error", **common}, end=True))
    send(codec.open(3, {"streamtype": "data", **common}))
    send(codec.ping(1))
    for start in range(0, len(data), 30_000):
        send(codec.data(3, data[start : start + 30_000]))
    send(codec.data(3, b"", end=True))
    got = {1: b"", 3: b""}
    ended: dict[int, None] = {}
    pinged = False
    while len(ended) < 2 or not pinged:
        for message in decoder.feed(await asyncio.wait_for(reader.read(65536), 10)):
            for event in codec.feed(message.data):
                pinged = pinged or event == spdy.Pinged(1)
                if isinstance(event, spdy.Data):
                    got[event.stream] += event.data
                    if event.ended:
                        ended[event.stream] = None
    writer.close()
    return got[3], got[1]


def test_ports_are_forwarded_through_a_tunnel(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            # Only on the pod's own loopback, which nobody else reaches.
            serve = "mkdir /www; head -c 500000 /dev/zero > /www/big; httpd -p 127.0.0.1:8000 -h /www; touch /tmp/up; "
            ready = {"exec": {"command": ["cat", "/tmp/up"]}}
            node.api.put("pods", pod("a", serve + WAIT, container={"readinessProbe": ready}))
            await node.ready("a")
            request = b"GET /big HTTP/1.0\r\n\r\n"
            answer, text = await forwarded(node, "/portForward/default/a", 8000, request)
            assert answer.endswith(bytes(500_000)) and text == b""
            _, text = await forwarded(node, "/portForward/default/a", 9, b"")
            refused = "dial {} {}:9: connect: connection refused"
            four, six = refused.format("tcp4", "127.0.0.1"), refused.format("tcp6", "[::1]")
            assert text.startswith(b"error forwarding port 9 to pod ")
            assert f", IPv4: {four} IPv6 {six} " in text.decode(), text

    asyncio.run(main())


def test_long_logs_are_rotated_and_read_as_one(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("a", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"))
            await node.phase("a", "Running")
            assert node.node.runtime is not None
            rotation = Rotation(node.node.runtime, SystemClock(), node.node.agent.logs, max_size=100, max_files=3)
            for _ in range(4):
                await asyncio.sleep(1.1)
                await rotation.look()
            [(_, log)] = node.node.agent.logs()
            names = [p.name.partition(".log")[2] for p in rotated(log)]
            assert len(names) == 2 and names[0].endswith(".gz") and not names[1].endswith(".gz")
            await asyncio.sleep(0.3)
            _, text = await node.get("/containerLogs/default/a/c")
            numbers = [int(line) for line in text.split()]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) > 100

    asyncio.run(main())


def exec_path(script: str, **flags: int) -> str:
    options = "".join(f"&{k}={v}" for k, v in flags.items())
    return f"/exec/default/a/c?command=sh&command=-c&command={quote(script)}{options}"


def test_commands_have_input_output_sizes_and_exit_codes(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            echo = "trap 'exit 0' TERM; while read x; do echo got $x; done; " + WAIT
            node.api.put("pods", pod("a", f"echo one; echo two >&2; {echo}", container={"stdin": True}))
            await node.phase("a", "Running")
            out, status = await node.remote(exec_path("echo out; echo err >&2; exit 3", output=1, error=1))
            assert (out[1], out[2]) == (b"out\n", b"err\n")
            assert status["reason"] == "NonZeroExitCode"
            assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
            big = b"x" * 2_000_000
            out, status = await node.remote(exec_path("wc -c", input=1, output=1, error=1), stdin=big)
            assert out[1] == b"2000000\n" and status["status"] == "Success"
            out, status = await node.remote(exec_path("cat", input=1, output=1, error=1), stdin=big)
            assert out[1] == big
            out, _ = await node.remote(exec_path("sleep 0.2; stty size", output=1, tty=1), size=(120, 40))
            assert out[1] == b"40 120\r\n"
            out, _ = await node.remote(exec_path("echo hi", output=1), protocol=channels.V4)
            assert out[1] == b"hi\n"
            _, status = await node.remote("/exec/default/a/c?command=nonsense&output=1")
            assert status["code"] == 500 and "executable file not found" in status["message"]
            code, text = await node.get("/containerLogs/default/a/c?tailLines=1")
            assert (code, text) in ((200, "one\n"), (200, "two\n"))
            assert (await node.get("/containerLogs/default/a/c?previous=true"))[0] == 400
            assert (await node.get("/containerLogs/default/none/c"))[0] == 404
            assert (await node.get("/healthz", who="stranger"))[0] == 403
            assert (await node.get("/stats/summary"))[0] == 200

    asyncio.run(main())


def test_a_terminal_without_input_ends_with_its_command(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("a", WAIT))
            await node.phase("a", "Running")
            # A child that keeps the output open must not hold the answer for ever.
            out, status = await node.remote(exec_path("sleep 30 & echo done", output=1, error=1))
            assert out[1] == b"done\n" and status["status"] == "Success"

    asyncio.run(main())


def test_the_end_of_an_attached_input_is_the_containers_where_it_is_read_once(
    cluster: str, tmp_path: Path, archive: Path
) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            attach = "/attach/default/{}/c?input=1&output=1&error=1"
            once = {"command": ["cat"], "stdin": True, "stdinOnce": True}
            node.api.put("pods", pod("once", "", container=once, restartPolicy="Never"))
            node.api.put("pods", pod("kept", "", container={**once, "stdinOnce": False}))
            for name in ("once", "kept"):
                await node.phase(name, "Running")
            data = b"data\n" * 1_000
            out, status = await node.remote(attach.format("once"), stdin=data)
            assert (len(out[1]), out[1] == data[: len(out[1])], status["status"]) == (len(data), True, "Success")
            await node.phase("once", "Succeeded")
            # Without it only the attachment ends; the next one finds the container reading on.
            for _ in range(2):
                _, status = await node.remote(attach.format("kept"), stdin=b"more\n")
                assert status["status"] == "Success"
            await asyncio.sleep(0.5)
            assert (await node.get("/containerLogs/default/kept/c"))[1] == "more\nmore\n"
            assert node.container("kept")["state"].get("running") and not node.container("kept")["restartCount"]

    asyncio.run(main())
