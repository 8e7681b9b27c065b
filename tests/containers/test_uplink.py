"""A node's way out, tried without one: namespaces play the host and the world. Nothing leaves the machine."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.base import netns
from heeler.base.processes import find_program

WORLD, HOST, PORT = "203.0.113.9", "203.0.113.1", 8099


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=True, capture_output=True, text=True)


@pytest.fixture
def spaces() -> Iterator[tuple[str, str]]:
    """Names of the namespaces that play the host and the world, joined by a link."""
    host, world = f"heelertest-host-{os.getpid()}", f"heelertest-world-{os.getpid()}"
    try:
        for name in (host, world):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", world)
        for name, address in ((host, HOST), (world, WORLD)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", host, "route", "add", "default", "via", WORLD)
        if find_program("iptables"):
            # As Docker or ufw leave it.
            run("nsenter", f"--net={netns.NETNS_FOLDER / host}", "iptables", "-P", "FORWARD", "DROP")
        # The world knows the way to the pods, and must still not get in.
        run("ip", "-n", world, "route", "add", "100.64.0.0/10", "via", HOST)
        run("ip", "-n", world, "route", "add", "10.244.0.0/16", "via", HOST)
        yield host, world
    finally:
        for name in (host, world):
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the address that it sees."""

    def do_GET(self) -> None:
        body = str(self.client_address[0]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


def test_pods_reach_the_world_masqueraded_and_the_world_does_not_reach_them(
    spaces: tuple[str, str], tmp_path: Path, archive: Path
) -> None:
    host, world = spaces
    ready = threading.Event()
    servers: list[http.server.HTTPServer] = []

    def serve() -> None:
        netns.enter(netns.NETNS_FOLDER / world)
        server = http.server.HTTPServer((WORLD, PORT), Echo)
        servers.append(server)
        ready.set()
        server.serve_forever(0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(5)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "src")))}
    words = [
        sys.executable,
        str(Path(__file__).with_name("uplink_node.py")),
        str(tmp_path),
        str(archive),
        WORLD,
        str(PORT),
    ]
    space = f"--net={netns.NETNS_FOLDER / host}"
    pipe = subprocess.PIPE
    with subprocess.Popen(["nsenter", space, *words], stdin=pipe, stdout=pipe, env=environment, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        assert line, "the node did not come up"
        told = json.loads(line)
        assert told["fetched"] == HOST
        inside = f"--net={netns.NETNS_FOLDER / world}"
        for address in (told["pod"], told["node"]):
            tried = subprocess.run(
                ["nsenter", inside, "timeout", "1", "bash", "-c", f"echo > /dev/tcp/{address}/22"],
                check=False,
                capture_output=True,
            )
            assert tried.returncode == 124, (address, tried)  # neither answered nor refused: dropped
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(30) == 0
    servers[0].shutdown()
    servers[0].server_close()
    thread.join(5)
    left = run("ip", "-n", host, "-j", "link").stdout + run("nsenter", space, "nft", "list", "ruleset").stdout
    assert "hl" not in [link["ifname"][:2] for link in json.loads(run("ip", "-n", host, "-j", "link").stdout)]
    assert "heeler_" not in left and '"hl' not in left
