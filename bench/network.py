"""Figures of the network: until an app and DNS answer, names a second, rolling updates under load, what an idle node takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dnslib

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

APP = "mkdir /www; echo hello > /www/index.html; httpd -f -p 8080 -h /www & trap 'exit 0' TERM; wait"
NAME = "netbench"
Run = Callable[[list[str], dict[str, str]], str]


def _app(round: int = 0) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "busybox:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", APP],
        "env": [{"name": "ROUND", "value": str(round)}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]}}
    port = {"name": "http", "port": 18080, "targetPort": 8080}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web"},
                "spec": {"type": "LoadBalancer", "selector": labels, "ports": [port]},
            },
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "web"},
                "spec": {"rules": [{"http": {"paths": [path]}}]},
            },
        ],
    }


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as made:
            made.sendall(b"GET / HTTP/1.0\r\nHost: bench\r\n\r\n")
            return b" 200 " in made.recv(100)
    except OSError:
        return False


def _apply(kubectl: str, environment: dict[str, str], found: dict[str, Any]) -> None:
    words = [kubectl, "apply", "-f", "-"]
    subprocess.run(words, input=json.dumps(found), text=True, env=environment, capture_output=True, check=True)


@contextmanager
def _inside(path: Path) -> Iterator[socket.socket]:
    """A UDP socket of the node's network."""
    from tests.containers.inside import udp_socket

    with udp_socket(path) as made:
        made.settimeout(0.2)
        made.connect(("10.96.0.10", 53))
        yield made


def _named(made: socket.socket) -> bool:
    question = bytes(dnslib.DNSRecord.question("web.default.svc.cluster.local").pack())
    try:
        made.send(question)
        return bool(dnslib.DNSRecord.parse(made.recv(2000)).rr)
    except OSError:
        return False


def _until(check: Callable[[], bool]) -> None:
    end = time.perf_counter() + 60
    while not check():
        if time.perf_counter() > end:
            raise RuntimeError("it did not come true within a minute")
        time.sleep(0.01)


def _archive(folder: str) -> Path:
    import asyncio

    from tests.containers.conftest import RECIPE

    from heeler.images import build

    return asyncio.run(build.build(RECIPE, Path(folder))).archive


def _memory() -> tuple[float, float]:
    """(MiB of all of the cluster's own processes, shared pages counted in parts; their processor seconds)."""
    marks = (f"/{NAME}".encode(), f"/run/heeler/{NAME}/".encode())
    memory = ticks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            if not any(mark in words for mark in marks) or b"bench/run.py" in words:
                continue
            rollup = (entry / "smaps_rollup").read_text()
            memory += int(rollup.split("Pss:")[1].split()[0])
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except (OSError, IndexError):
            continue
    return memory / 1024, ticks / os.sysconf("SC_CLK_TCK")


def network(figures: Any, heeler: list[str], kubectl: str, run: Run, home: Any) -> None:
    """A real node: needs root."""
    from tests.load import load

    if os.geteuid() != 0:
        print("  (network: needs root)")
        return
    with home() as environment:
        archive = _archive(f"{environment['HOME']}/images")
        began = time.perf_counter()
        try:
            run([*heeler, "up", "--name", NAME, "--no-uplink"], environment)
            run([*heeler, "image", "load", str(archive), "--name", NAME], environment)
            _apply(kubectl, environment, _app())
            _until(lambda: _answers(18080))
            with _inside(Path(f"/run/netns/heeler.{NAME}.{NAME}-node-0")) as made:
                _until(lambda: _named(made))
                figures.add(
                    "up, an image, to app and DNS answering", time.perf_counter() - began, "s", "<= 4", "kind 33 s"
                )
                count, began = 0, time.perf_counter()
                while time.perf_counter() - began < 2:
                    count += _named(made)
                figures.add("DNS answers, one asker that waits for each", count / 2, "/s")
            status = json.loads(run([kubectl, "get", "ingress", "web", "-o", "json"], environment))["status"]
            ports = {"Service": 18080, "Ingress": status["loadBalancer"]["ingress"][0]["ports"][0]["port"]}
            for name, port in ports.items():
                _until(lambda port=port: _answers(port))  # type: ignore[misc]
                with load(port, rate=200) as found:
                    for number in (1, 2):
                        _apply(kubectl, environment, _app(number + 10 * port))
                        run([kubectl, "rollout", "status", "deployment/web", "--timeout=60s"], environment)
                figures.add(
                    f"{name}: failed of {found.sent} requests in two rolling updates", len(found.failed), "", "0"
                )
                figures.add(f"{name}: the slowest of them", 1000 * found.slowest, "ms")
        finally:
            subprocess.run([*heeler, "delete", "--name", NAME], env=environment, check=False, capture_output=True)
    with home() as environment:
        try:
            run([*heeler, "up", "--name", NAME, "--no-uplink"], environment)
            time.sleep(10)
            memory, before = _memory()
            time.sleep(20)
            share = (_memory()[1] - before) / 20
            figures.add("idle with one real node, memory of all processes", memory, "MiB", "<= 150")
            figures.add("idle with one real node, share of a core", 100 * share, "%", "<= 2")
        finally:
            subprocess.run([*heeler, "delete", "--name", NAME], env=environment, check=False, capture_output=True)
