"""Sockets of this process inside pods' network namespaces: a test probes from many pods without a program in each."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from heeler.base.netns import enter

T = TypeVar("T")


def namespaces(state: Path) -> dict[str, Path]:
    """Address -> the namespace of the pod that has it; `state` is e.g. /run/heeler/CLUSTER."""
    out = {}
    for path in state.glob("**/netns/cni-*"):
        words = ["nsenter", f"--net={path}", "ip", "-j", "-4", "addr"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        for link in json.loads(done.stdout or "[]"):
            out |= {a["local"]: path for a in link.get("addr_info", []) if link["ifname"] != "lo"}
    return out


def call(path: Path, function: Callable[[], T]) -> T:
    """What a function gives inside a namespace: it runs in a thread that ends afterwards."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(enter, path).result()
        return thread.submit(function).result()


def tcp_listener(path: Path, port: int) -> socket.socket:
    """A listening socket: connections are accepted by the kernel, nobody has to take them."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("0.0.0.0", port))
        made.listen(512)
        return made

    return call(path, make)


def udp_socket(path: Path, port: int = 0) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", port))
        return made

    return call(path, make)
