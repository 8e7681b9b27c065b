"""What stands in the way of a cluster on this machine, and what to do about it.

Each check is a function in `MACHINE` or `CLUSTER` that looks at one thing and says what it found; a new one is a line there.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.base.files import read_text
from heeler.client.client import Client
from heeler.local import processes
from heeler.local.layout import Layout, LocalError, Spec, real_names
from heeler.local.prerequisites import missing
from heeler.local.up import CONTROL_PLANE, NODES, PODS, SUPERVISOR, is_ready, node_component
from heeler.objects.status import StatusError
from heeler.objects.value import Object

Status = Literal["ok", "warn", "fail"]

#: Bytes: less free is a warning, and a failure.
FEW_BYTES, NO_BYTES = 5 << 30, 1 << 30
MIN_INOTIFY, MIN_FILES = 128, 4096
#: Days before a certificate's end when somebody should look (it is renewed 30 days before).
SOON_DAYS = 14
#: Starts again after which a container is worth a line.
MANY_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` says what to do ("" if nothing is to be done)."""

    check: str
    status: Status
    message: str
    fix: str = ""


def plain(findings: list[Finding]) -> list[Object]:
    return [asdict(one) for one in findings]


# The machine


def system() -> Iterator[Finding]:
    name, machine = platform.system(), platform.machine()
    if name != "Linux" or machine not in ("x86_64", "aarch64"):
        fix = "clusters of simulated nodes work here: heeler up --simulated-nodes 3"
        yield Finding("system", "warn", f"{name} on {machine}: real nodes need Linux on amd64 or arm64", fix)
    else:
        yield Finding("system", "ok", f"Linux {platform.release()} on {machine}, Python {sys.version.split()[0]}")


def programs() -> Iterator[Finding]:
    found = missing()
    if found.programs:
        fix = f"sudo apt-get install --no-remove {' '.join(found.packages)}"
        yield Finding("programs", "fail", f"real nodes lack {', '.join(found.programs)}", fix)
    else:
        yield Finding("programs", "ok", "containerd, runc, CNI plugins, nftables and the rest are here")


def rights() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding("rights", "ok", "root: real nodes can be started")
    elif (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        yield Finding("rights", "ok", "sudo works without a password: real nodes can be started")
    else:
        yield Finding("rights", "warn", "not root: real nodes' agents need it", "call heeler up with sudo")


def control_groups() -> Iterator[Finding]:
    if not Path("/sys/fs/cgroup").exists():
        yield Finding("control groups", "fail", "no /sys/fs/cgroup", "mount the cgroup2 file system there")
    elif Path("/sys/fs/cgroup/cgroup.controllers").exists():
        wanted = {"cpu", "memory", "pids"}
        lacking = wanted - set(read_text(Path("/sys/fs/cgroup/cgroup.controllers")).split())
        if lacking:
            yield Finding(
                "control groups", "fail", f"version 2 without {', '.join(sorted(lacking))}", "enable them at boot"
            )
        else:
            yield Finding("control groups", "ok", "version 2")
    else:
        yield Finding("control groups", "ok", "version 1")


def kernel() -> Iterator[Finding]:
    known = read_text(Path("/proc/filesystems"))
    if known and "overlay" not in known:
        yield Finding("kernel", "fail", "no overlay file system", "modprobe overlay")
    elif os.geteuid() == 0 and shutil.which("nft"):
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
        if done.returncode:
            yield Finding("kernel", "fail", f"nftables doesn't work: {done.stderr.strip()}", "modprobe nf_tables")
        else:
            yield Finding("kernel", "ok", "overlay and nftables work")
    else:
        yield Finding("kernel", "ok", "overlay is there (nftables is looked at as root)")


def limits() -> Iterator[Finding]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MIN_FILES:
        yield Finding(
            "limits", "warn", f"a process may open {hard} files only", f"ulimit -n {MIN_FILES}, or limits.conf"
        )
    instances = read_text(Path("/proc/sys/fs/inotify/max_user_instances"))
    if instances.isdigit() and int(instances) < MIN_INOTIFY:
        fix = "sudo sysctl fs.inotify.max_user_instances=512"
        yield Finding(
            "limits", "warn", f"{instances} inotify instances only: programs in pods may fail to watch files", fix
        )
    elif hard >= MIN_FILES:
        yield Finding("limits", "ok", f"{soft} open files, {instances or 'unknown'} inotify instances")


def resolvers() -> Iterator[Finding]:
    lines = read_text(Path("/etc/resolv.conf")).splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    if servers:
        yield Finding("resolvers", "ok", f"names outside of the cluster are asked of {', '.join(servers)}")
    else:
        fix = "add a nameserver to /etc/resolv.conf"
        yield Finding(
            "resolvers", "warn", "no nameserver in /etc/resolv.conf: pods resolve the cluster's own names only", fix
        )


def proxies() -> Iterator[Finding]:
    found = [name for name in ("HTTPS_PROXY", "https_proxy") if os.environ.get(name)]
    passed = os.environ.get("NO_PROXY", os.environ.get("no_proxy", ""))
    if found and "127.0.0.1" not in passed and "localhost" not in passed:
        fix = "export NO_PROXY=127.0.0.1,localhost,$NO_PROXY"
        yield Finding("proxy", "fail", f"{found[0]} is set, and kubectl would ask it for 127.0.0.1", fix)


def _space(check: str, path: Path) -> Finding:
    while not path.exists() and path != path.parent:
        path = path.parent
    free = shutil.disk_usage(path).free
    said = f"{free / 2**30:.1f} GiB free in {path}"
    if free < NO_BYTES:
        return Finding(check, "fail", said, "make room: pods are evicted and writes fail")
    return Finding(check, "warn" if free < FEW_BYTES else "ok", said, "make room" if free < FEW_BYTES else "")


MACHINE: tuple[Callable[[], Iterator[Finding]], ...] = (
    system,
    programs,
    rights,
    control_groups,
    kernel,
    limits,
    resolvers,
    proxies,
)

# A cluster


def files(layout: Layout, spec: Spec) -> Iterator[Finding]:
    """Space, and who may read the keys."""
    yield _space("disk", layout.root)
    loose = [p for p in layout.pki.glob("*.key") if p.stat().st_mode & 0o077]
    if loose:
        names = ", ".join(p.name for p in loose)
        yield Finding("keys", "fail", f"others may read {names}", f"chmod 600 {' '.join(map(str, loose))}")


def running(layout: Layout, spec: Spec) -> Iterator[Finding]:
    again = f"heeler up --name {spec.name}"
    pid = processes.running_pid(layout, CONTROL_PLANE)
    if pid is None:
        if not _port_is_ours(spec):
            yield Finding("port", "fail", f"port {spec.port} is another program's", f"ss -ltnp; {again} --port PORT")
        yield Finding("control plane", "fail", "it doesn't run", f"{again}; its log: heeler logs control-plane")
    else:
        yield Finding("control plane", "ok", f"runs (pid {pid})")
        if processes.running_pid(layout, SUPERVISOR) is None:
            yield Finding("supervisor", "warn", "nothing that ends is started again", again)
    for node in real_names(spec):
        if processes.running_pid(layout, node_component(node)) is None:
            fix = f"{again}; its log: heeler logs {node_component(node)}"
            yield Finding(f"node {node}", "fail", "its agent doesn't run", fix)


def _port_is_ours(spec: Spec) -> bool:
    """With no control plane running, nobody may listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return not spec.port or probe.connect_ex(("127.0.0.1", spec.port)) != 0


def certificates(layout: Layout, spec: Spec) -> Iterator[Finding]:
    now, first = SystemClock().time(), ("", 1e12)
    for path in sorted(layout.pki.glob("*.crt")):
        try:
            days = (pki.expires_at(path.read_bytes()) - now) / 86400
        except ValueError:
            yield Finding("certificates", "fail", f"{path.name} is broken", f"remove {path}, then heeler down and up")
            continue
        if days < first[1]:
            first = (path.name, days)
    if first[1] < 0:
        fix = f"heeler down --name {spec.name}; heeler up --name {spec.name}"
        yield Finding("certificates", "fail", f"{first[0]} has expired", fix)
    elif first[1] < SOON_DAYS:
        yield Finding(
            "certificates", "warn", f"{first[0]} ends in {first[1]:.0f} days", "it is renewed at the next start"
        )
    elif first[0]:
        yield Finding("certificates", "ok", f"the first to end is {first[0]}, in {first[1]:.0f} days")


CLUSTER: tuple[Callable[[Layout, Spec], Iterator[Finding]], ...] = (files, running, certificates)


async def nodes(client: Client) -> list[Finding]:
    out = []
    for node in (await client.list(NODES)).items:
        name = node["metadata"]["name"]
        conditions = (node.get("status") or {}).get("conditions") or ()
        if not is_ready(node):
            said = next((c.get("message", "") for c in conditions if c["type"] == "Ready"), "")
            out.append(Finding(f"node {name}", "fail", f"not Ready: {said}", f"heeler logs node-{name}"))
        for one in conditions:
            if one["type"].endswith("Pressure") and one["status"] == "True":
                fix = f"kubectl describe node {name}"
                out.append(Finding(f"node {name}", "warn", f"{one['type']}: {one.get('message', '')}", fix))
    return out or [Finding("nodes", "ok", "all are Ready")]


async def pods(client: Client) -> list[Finding]:
    """Pods that don't come up, each with the reason that its containers give."""
    out = []
    for pod in (await client.list(PODS)).items:
        metadata, status = pod["metadata"], pod.get("status") or {}
        name = f"{metadata['namespace']}/{metadata['name']}"
        look = f"kubectl -n {metadata['namespace']} describe pod {metadata['name']}"
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                said = f"{container['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
                out.append(Finding(f"pod {name}", "warn", said, look))
            elif container.get("restartCount", 0) >= MANY_RESTARTS:
                said = f"{container['name']} was started {container['restartCount']} times again"
                out.append(Finding(f"pod {name}", "warn", said, f"{look.replace('describe pod', 'logs --previous')}"))
        for one in status.get("conditions") or ():
            if one["type"] == "PodScheduled" and one["status"] == "False":
                out.append(Finding(f"pod {name}", "warn", f"no node: {one.get('message', '')}", look))
    return out or [Finding("pods", "ok", "none is stuck")]


ASKED: tuple[Callable[[Client], Awaitable[list[Finding]]], ...] = (nodes, pods)


async def examine(layout: Layout | None, client: Client | None) -> list[Finding]:
    """Everything that can be looked at. Nothing is changed."""
    found = [one for check in MACHINE for one in check()]
    if layout is None:
        return found
    try:
        spec = layout.load()
    except LocalError as error:
        return [*found, Finding("cluster", "fail", str(error), "")]
    if spec is None:
        return [*found, _space("disk", layout.root)]
    for check in CLUSTER:
        found += check(layout, spec)
    if client is not None and processes.running_pid(layout, CONTROL_PLANE) is not None:
        for ask in ASKED:
            try:
                async with asyncio.timeout(10):
                    found += await ask(client)
            except (StatusError, OSError, TimeoutError) as error:
                fix = "heeler logs control-plane"
                found.append(Finding("API server", "fail", f"it doesn't answer: {error or 'time-out'}", fix))
                break
    return found
