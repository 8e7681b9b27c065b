"""What a node says of the machine that it runs on."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from heeler.base.files import read_text
from heeler.kubelet.pods.config import Dns


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts of the machine; sizes in bytes."""

    cpus: int
    memory: int
    disk: int
    machine_id: str
    system_uuid: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    swap: int


def look(data_dir: Path) -> Machine:
    """The facts of this machine; the disk is that of `data_dir`."""
    found = memory()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    release = _os_release()
    return Machine(
        cpus=os.cpu_count() or 1,
        memory=found.get("MemTotal", 0),
        disk=shutil.disk_usage(data_dir).total,
        machine_id=read_text(Path("/etc/machine-id")),
        system_uuid=read_text(Path("/sys/class/dmi/id/product_uuid")) or read_text(Path("/etc/machine-id")),
        boot_id=read_text(Path("/proc/sys/kernel/random/boot_id")),
        kernel=os.uname().release,
        os_image=release.get("PRETTY_NAME", "Linux"),
        architecture=names.get(os.uname().machine, os.uname().machine),
        swap=found.get("SwapTotal", 0),
    )


def memory() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    out = {}
    for line in read_text(Path("/proc/meminfo")).splitlines():
        name, _, rest = line.partition(":")
        if rest.split()[:1]:
            out[name] = int(rest.split()[0]) * 1024
    return out


def _os_release() -> dict[str, str]:
    out = {}
    for line in read_text(Path("/etc/os-release")).splitlines():
        name, equals, value = line.partition("=")
        if equals:
            out[name] = value.strip().strip('"')
    return out


def resolver(cluster: tuple[str, ...], domain: str, path: Path = Path("/etc/resolv.conf")) -> Dns:
    """The node's own resolver. Where the host asks a resolver on its loopback, that one's upstream list is taken."""
    text = read_text(path)
    if "127.0.0.53" in text:
        text = read_text(Path("/run/systemd/resolve/resolv.conf")) or text
    servers, searches, options = [], [], []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and not words[1].startswith("127."):
            servers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            searches = [w for w in words[1:] if w != "."]
        elif words[:1] == ["options"]:
            options += words[1:]
    return Dns(cluster, domain, tuple(servers[:3]), tuple(searches), tuple(options))
