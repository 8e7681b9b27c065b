"""What a cluster has on this machine: its processes by what they are, and all that could be left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from heeler.base.processes import all_processes

#: What is killed, from the outside in.
SORTS = ("supervisor", "control-plane", "agent", "containerd", "envoy", "shim", "container")


def processes(name: str) -> dict[str, list[int]]:
    """The ids of a cluster's processes by sort. Containers' own, sandboxes included, are found by their cgroup."""
    found: dict[str, list[int]] = {sort: [] for sort in SORTS}
    folder = f"/run/heeler/{name}/"
    for pid, words in all_processes():
        line = " ".join(words)
        if "heeler.cli.main" in words:
            ours = f"/clusters/{name}" in line and ("revive" in words or words[-1] == "supervisor")
            if ours or ("--foreground" in words and name in words):
                found["supervisor"].append(pid)
            elif f"/clusters/{name}" in line and words[-1] == "control-plane":
                found["control-plane"].append(pid)
            elif f"/clusters/{name}" in line and words[-1].startswith("node-"):
                found["agent"].append(pid)
        elif folder in line and words:
            program = Path(words[0]).name
            for sort, start in (("shim", "containerd-shim"), ("containerd", "containerd"), ("envoy", "envoy")):
                if program.startswith(start):
                    found[sort].append(pid)
                    break
    for file in cgroups(name, "cgroup.procs"):
        with contextlib.suppress(OSError):
            found["container"] += [int(pid) for pid in file.read_text().split()]
    known = {pid for sort in SORTS[:-1] for pid in found[sort]}
    found["container"] = sorted(set(found["container"]) - known)
    return found


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_everything(name: str) -> dict[str, int]:
    """`kill -9` until nothing of the cluster runs: how many there were of each sort. The supervisor goes first."""
    killed: dict[str, set[int]] = {sort: set() for sort in SORTS}
    for _ in range(100):
        found = processes(name)
        if not any(found.values()):
            return {sort: len(pids) for sort, pids in killed.items()}
        for sort in SORTS:
            killed[sort] |= {*found[sort]}  # who is slow to end counts once
            kill(found[sort])
    raise AssertionError(f"{found} didn't end")


def cgroups(name: str, file: str) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    tops = [root / f"heeler.{name}", *(root / "pids").glob(f"heeler.{name}")]
    return [path for top in tops if top.is_dir() for path in top.rglob(file)]


def traces(name: str, data: Path) -> dict[str, int]:
    """How much of each sort of thing there is: to be compared with what was there before."""
    run = Path(f"/run/heeler/{name}")
    found = {sort: len(pids) for sort, pids in processes(name).items()}
    mounts = Path("/proc/mounts").read_text().splitlines()
    found["mounts"] = sum(str(run) in line or str(data) in line for line in mounts)
    ours = re.compile(rf"heeler\.{re.escape(name)}(\..*)?")
    spaces = [path.name for path in Path("/run/netns").glob("*")]
    found["node namespaces"] = sum(bool(ours.fullmatch(space)) for space in spaces)
    found["pod namespaces"] = sum(1 for _ in run.glob("*/run/io.containerd.grpc.v1.cri/netns/*"))
    found["cgroups"] = len(cgroups(name, "cgroup.procs"))
    found["addresses"] = sum(path.name[0].isdigit() for path in run.glob("*/addresses/*/*"))
    found["sandboxes"] = sum(1 for _ in run.glob("*/run/io.containerd.grpc.v1.cri/sandboxes/*"))
    found["containers' folders"] = sum(1 for _ in run.glob("*/run/io.containerd.grpc.v1.cri/containers/*"))
    found["tasks"] = sum(1 for _ in run.glob("*/run/io.containerd.runtime.v2.task/*/*"))
    found["execs"] = sum(1 for _ in run.glob("*/exec/*"))
    found["pods' folders"] = sum(1 for _ in data.glob("nodes/*/pods/*"))
    found["pods' secrets"] = sum(1 for _ in run.glob("*/volumes/*"))
    found["pods' logs"] = sum(1 for _ in data.glob("nodes/*/logs/pods/*"))
    found["volumes"] = sum(1 for _ in data.glob("nodes/*/volumes/*"))
    for space in sorted(space for space in spaces if ours.fullmatch(space)):
        found["rules"] = found.get("rules", 0) + len(_inside(space, "nft", "list", "ruleset"))
        found["links"] = found.get("links", 0) + len(_inside(space, "ip", "-o", "link"))
        found["routes"] = found.get("routes", 0) + len(_inside(space, "ip", "-4", "route"))
    return found


def _inside(space: str, *words: str) -> list[str]:
    done = subprocess.run(["nsenter", f"--net=/run/netns/{space}", *words], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def usage(pids: Iterable[int]) -> tuple[int, int]:
    """(open files, resident KiB) of processes together."""
    files = memory = 0
    for pid in pids:
        with contextlib.suppress(OSError, AttributeError):
            files += len(os.listdir(f"/proc/{pid}/fd"))
            status = Path(f"/proc/{pid}/status").read_text()
            memory += int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
    return files, memory
