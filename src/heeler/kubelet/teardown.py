"""Leave nothing behind: every process, mount, namespace, rule, link, cgroup and file of a node or a whole cluster.

Works from names and paths alone, whatever was killed before, and may be repeated. The agent itself must have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import re
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from heeler.base.clock import Clock
from heeler.base.files import remove_tree
from heeler.base.netns import NETNS_FOLDER
from heeler.base.processes import ProgramError, alive, all_processes, check, send_signal
from heeler.kubelet import cgroups
from heeler.kubelet.options import NodeOptions
from heeler.kubelet.pods.volumes import mounts_below
from heeler.network import links

#: Rounds of killing and waiting (a tenth of a second each) before something is reported as not removable.
ROUNDS = 100
#: Where shims of every containerd of the machine listen (a constant of containerd's).
SHIM_SOCKETS = Path("/run/containerd/s")


async def remove_node(options: NodeOptions, clock: Clock, *, data: bool = True) -> None:
    """Remove one node; with `data` its images, volumes and logs as well. Raises ProgramError, OSError."""
    await kill(options, clock)
    sockets = await asyncio.to_thread(_shim_sockets, options)
    for folder in (options.state, options.data_dir):
        for point in mounts_below(folder):
            await check(["umount", "--lazy", point])
    for path in [*sockets, *await _dead_sockets(clock)]:
        path.unlink(missing_ok=True)
    await _remove_cgroups(options.cgroup, clock)
    await links.down_node(options.node_netns)
    await asyncio.to_thread(remove_tree, options.state)
    if data:
        await asyncio.to_thread(remove_tree, options.data_dir)


def _shim_sockets(options: NodeOptions) -> list[Path]:
    """The sockets of the node's shims, in a folder that all containerds share; their names are digests of pods' ids.

    A pod whose start was broken off may have no bundle any more, yet its socket: the log names it."""
    bundles = (options.state / "run").glob("io.containerd.runtime.v2.task/k8s.io/*")
    ids = dict.fromkeys(sorted(bundle.name for bundle in bundles))
    for name in ("containerd.log", "containerd.log.1"):
        with (
            contextlib.suppress(FileNotFoundError),
            (options.data_dir / "containerd" / name).open(errors="replace") as log,
        ):
            for line in log:
                ids |= dict.fromkeys(re.findall(r"\b[0-9a-f]{64}\b", line))
    identities = [f"{options.containerd_socket}/k8s.io/{number}" for number in ids]
    names = [hashlib.sha256(identity.encode()).hexdigest() for identity in identities]
    return [SHIM_SOCKETS / name for name in names]


def shims(options: NodeOptions) -> list[tuple[int, str]]:
    """The shims of the node's pods: process and sandbox. Not those of what somebody runs beside them with `ctr`."""
    socket_path = str(options.containerd_socket)
    found = []
    for pid, arguments in all_processes():
        told = dict(itertools.pairwise(arguments))
        if told.get("-address") == socket_path and told.get("-namespace") == "k8s.io" and "-id" in told:
            found.append((pid, told["-id"]))
    return found


async def remove_dead_sockets(clock: Clock) -> None:
    """Take away shims' sockets that nobody listens on any more."""
    for path in await _dead_sockets(clock):
        path.unlink(missing_ok=True)


async def _dead_sockets(clock: Clock) -> list[Path]:
    """Shims' sockets where nobody listens. A shim that was killed while it started may leave neither bundle nor line in the
    log; whosever these are, they are of no use to anybody. Looked at twice: a socket is there before it is listened on.
    """
    silent = await asyncio.to_thread(lambda: [path for path in sorted(SHIM_SOCKETS.glob("*")) if _refuses(path)])
    if silent:
        await clock.sleep(0.1)
    return [path for path in silent if _refuses(path)]


def _refuses(path: Path) -> bool:
    """A socket that exists and has no listener."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _ours(options: NodeOptions) -> list[int]:
    """The node's containerd, shims and what runs for them, by their arguments.

    A runc that outlives its shim would make its container's cgroup after all cgroups are gone."""
    marks = {
        "-address": str(options.containerd_socket),
        "--config": str(options.state / "config.toml"),
        "-c": str(options.state / "ingress" / "bootstrap.json"),
    }
    runc = str(options.state / "runc")
    found = []
    for pid, arguments in all_processes():
        told = dict(itertools.pairwise(arguments))
        known = any(told.get(flag) == value for flag, value in marks.items())
        # The root has a folder for each containerd namespace.
        if pid != os.getpid() and (known or told.get("--root", "").startswith(f"{runc}/")):
            found.append(pid)
    return found


async def kill(options: NodeOptions, clock: Clock) -> None:
    """End the node's containerd, its shims, and all that runs in its cgroup. Raises ProgramError."""
    for _ in range(ROUNDS):
        ours = _ours(options)
        for pid in ours:
            send_signal(pid, signal.SIGKILL)
        inside = cgroups.kill_all(options.cgroup)
        if not ours and not inside:
            return
        await clock.sleep(0.02 if not any(alive(pid) for pid in ours) else 0.1)
    raise ProgramError(f"processes of node {options.node} can't be killed: {_ours(options)}")


async def _remove_cgroups(base: str, clock: Clock) -> None:
    for _ in range(ROUNDS):
        if cgroups.remove_all(base):
            return
        cgroups.kill_all(base)
        await clock.sleep(0.1)
    raise ProgramError(f"the cgroup {base} can't be removed")


def nodes_of(options: NodeOptions) -> list[str]:
    """The nodes of the options' cluster that left something on this machine, by namespaces, cgroups and folders."""
    names: dict[str, None] = {}
    prefix = f"{options.fabric_netns}."
    for entry in sorted(NETNS_FOLDER.iterdir()) if NETNS_FOLDER.is_dir() else []:
        if entry.name.startswith(prefix):
            names[entry.name.removeprefix(prefix)] = None
    for top in sorted(cgroups.ROOT.glob(f"*/{options.fabric_netns}/*/")) + sorted(
        cgroups.ROOT.glob(f"{options.fabric_netns}/*/")
    ):
        names[top.name] = None
    for folder in sorted((Path("/run/heeler") / options.cluster).glob("*/")):
        names[folder.name] = None
    return list(names)


async def remove_cluster(
    options: NodeOptions, clock: Clock, nodes: Sequence[NodeOptions] = (), *, data: bool = True
) -> None:
    """Remove all of a cluster's nodes (those given and those found by name), the fabric and the uplink."""
    known = {node.node: node for node in nodes}
    for name in nodes_of(options):
        # A node nobody told us of: its data folder is not known, the rest is found by its name.
        known.setdefault(name, replace(options, node=name, data_dir=options.state / "nowhere", state_dir=None))
    for node in known.values():
        await remove_node(node, clock, data=data)
    await links.down_fabric(options.fabric_netns, options.uplink_host, options.host_table)
    await _remove_cgroups(f"/{options.fabric_netns}", clock)
    await asyncio.to_thread(remove_tree, Path("/run/heeler") / options.cluster)
    lock = Path("/run/heeler") / f"{options.fabric_netns}.lock"
    lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        lock.parent.rmdir()
