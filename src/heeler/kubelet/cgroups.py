"""Pods' control groups, made and limited before the sandbox runs and removed after it: cgroup v1 and v2.

A node's pods stand below one absolute group; Guaranteed pods directly in it, the others below a group of their class:
NODE/pods/podUID, NODE/pods/burstable/podUID, NODE/pods/besteffort/podUID.
Source: https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from heeler.base.processes import send_signal
from heeler.kubelet.pods.amounts import PERIOD, pod_amount, qos_class, quota, shares, weight
from heeler.objects.value import Object, uid_of

ROOT = Path("/sys/fs/cgroup")
#: v1's hierarchies in which a pod's group is made (runc makes its own below them).
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "cpuset", "blkio", "devices", "freezer", "systemd")


class Cgroups:
    """The groups of one node. `base` is absolute, as in "/heeler.dev/node-1"; `root` is where cgroups are mounted."""

    def __init__(self, base: str, root: Path = ROOT, max_pids: int = 0) -> None:
        self.base, self.root, self.max_pids = base, root, max_pids
        self.unified = (root / "cgroup.controllers").exists()

    def pod(self, pod: Object) -> str:
        """A pod's group, as CRI's cgroup_parent."""
        quality = qos_class(pod)
        middle = "" if quality == "Guaranteed" else f"/{quality.lower()}"
        return f"{self.base}/pods{middle}/pod{uid_of(pod)}"

    def _hierarchies(self) -> list[tuple[str, Path]]:
        if self.unified:
            return [("", self.root)]
        return [(name, self.root / name) for name in CONTROLLERS if (self.root / name).is_dir()]

    def make(self, pod: Object) -> None:
        """Make a pod's group with its limits. Raises OSError."""
        path = self.pod(pod)
        done: list[Path] = []
        for name, top in self._hierarchies():
            folder = top / path.lstrip("/")
            if folder in done or folder.resolve() in done:
                continue
            self._make(top, folder, name)
            done.append(folder.resolve())
            for file, value in self._limits(pod, name):
                with contextlib.suppress(FileNotFoundError):
                    (folder / file).write_text(value)

    def _make(self, top: Path, folder: Path, name: str) -> None:
        parents = [p for p in reversed(folder.parents) if top in p.parents or p == top]
        for parent in parents:
            parent.mkdir(exist_ok=True)
            if self.unified:
                self._delegate(parent)
            if name == "cpuset" and parent != top:
                self._fill_cpuset(parent)
        folder.mkdir(exist_ok=True)
        if name == "cpuset":
            self._fill_cpuset(folder)

    @staticmethod
    def _delegate(folder: Path) -> None:
        """v2: let groups below use the controllers."""
        have = (folder / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{c}" for c in ("cpu", "memory", "pids", "cpuset", "io") if c in have)
        if wanted:
            (folder / "cgroup.subtree_control").write_text(wanted)

    @staticmethod
    def _fill_cpuset(folder: Path) -> None:
        """v1: a new cpuset is empty, and nothing can run in it until it gets its parent's CPUs and memory nodes."""
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not (folder / file).read_text().strip():
                (folder / file).write_text((folder.parent / file).read_text())

    def _limits(self, pod: Object, name: str) -> Iterator[tuple[str, str]]:
        cpu, memory = pod_amount(pod, "limits", "cpu"), pod_amount(pod, "limits", "memory")
        share = shares(pod_amount(pod, "requests", "cpu"))
        if self.unified:
            yield "cpu.weight", str(weight(share))
            yield "cpu.max", f"{quota(cpu) if cpu else 'max'} {PERIOD}"
            yield "memory.max", str(memory or "max")
            yield "pids.max", str(self.max_pids or "max")
        elif name == "cpu":
            yield "cpu.shares", str(share)
            yield "cpu.cfs_period_us", str(PERIOD)
            yield "cpu.cfs_quota_us", str(quota(cpu) if cpu else -1)
        elif name == "memory" and memory:
            yield "memory.limit_in_bytes", str(memory)
        elif name == "pids" and self.max_pids:
            yield "pids.max", str(self.max_pids)

    def remove(self, path: str) -> bool:
        """Remove a group and those below it; False while a process is still in one."""
        gone = True
        for _, top in self._hierarchies():
            gone = _remove(top / path.lstrip("/")) and gone
        return gone

    def left(self) -> list[str]:
        """The groups of pods that exist, as `pod` names them."""
        found: dict[str, None] = {}
        for _, top in self._hierarchies():
            pods = top / self.base.lstrip("/") / "pods"
            for pattern in ("pod*", "*/pod*"):
                for folder in sorted(pods.glob(pattern)):
                    found["/" + str(folder.relative_to(top))] = None
        return list(found)

    def kill_all(self) -> int:
        """Kill every process in the node's groups; how many there were."""
        return kill_all(self.base, self.root)


def _remove(folder: Path) -> bool:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _tops(root: Path) -> list[Path]:
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.is_symlink()) if root.is_dir() else []


def kill_all(base: str, root: Path = ROOT) -> int:
    """Kill every process in the group `base` and those below it."""
    pids: dict[int, None] = {}
    for top in _tops(root):
        for path, _, _ in os.walk(top / base.lstrip("/")):
            with contextlib.suppress(OSError):
                pids |= {int(p): None for p in (Path(path) / "cgroup.procs").read_text().split()}
    for pid in pids:
        send_signal(pid, signal.SIGKILL)
    return len(pids)


def remove_all(base: str, root: Path = ROOT) -> bool:
    """Remove the group `base` with all below it in every hierarchy; False where one is still in use."""
    gone = True
    for top in _tops(root):
        gone = _remove(top / base.lstrip("/")) and gone
    return gone
