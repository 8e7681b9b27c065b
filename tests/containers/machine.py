"""What a cluster has on this machine: its processes by what they are, and all that could be left behind."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from heeler.base.processes import all_processes

#: What is killed, from the outside in: first what would start the others again.
SORTS = ("foreground", "supervisor", "control-plane", "agent", "containerd", "envoy", "shim", "container")


def processes(name: str) -> dict[str, list[int]]:
    """The ids of a cluster's processes by sort. Containers' own, sandboxes included, are found by their cgroup."""
    found: dict[str, list[int]] = {sort: [] for sort in SORTS}
    folder = f"/run/heeler/{name}/"
    for pid, words in all_processes():
        line = " ".join(words)
        if "heeler.cli.main" in words:
            ours = f"/clusters/{name}" in line and ("revive" in words or words[-1] == "supervisor")
            if "--foreground" in words and name in words:
                found["foreground"].append(pid)
            elif ours:
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
    """`kill -9` until nothing of the cluster runs: how many there were of each sort."""
    killed: dict[str, set[int]] = {sort: set() for sort in SORTS}
    for _ in range(100):
        found = processes(name)
        if not any(found.values()):
            return {sort: len(pids) for sort, pids in killed.items()}
        for sort in SORTS:
            killed[sort] |= {*found[sort]}  # who is slow to end counts once
            kill(found[sort])
    raise AssertionError(f"{found} didn't end")


def cgroups(name: str, pattern: str) -> list[Path]:
    """Files and groups of a cluster by a pattern of names. Others may remove groups meanwhile."""
    root = Path("/sys/fs/cgroup")
    found = []
    for top in (root / f"heeler.{name}", root / "pids" / f"heeler.{name}"):
        for folder, folders, files in os.walk(top):
            found += [Path(folder, entry) for entry in [*folders, *files] if fnmatch.fnmatchcase(entry, pattern)]
    return found


def traces(name: str, data: Path) -> dict[str, set[str]]:
    """Whatever there is of a cluster, by sort: to be compared with what was there before. Processes are only counted."""
    run = Path(f"/run/heeler/{name}")
    cri = "run/io.containerd.grpc.v1.cri"
    ours = re.compile(rf"heeler\.{re.escape(name)}(\..*)?")
    spaces = sorted(path.name for path in Path("/run/netns").glob("*") if ours.fullmatch(path.name))
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    found = {sort: {str(number) for number, _ in enumerate(pids)} for sort, pids in processes(name).items()}
    found |= {
        "mounts": {point for point in mounts if point.startswith((f"{run}/", f"{data}/"))},
        "nodes' namespaces": set(spaces),
        "pods' cgroups": {str(path) for path in cgroups(name, "pod*-*") if path.is_dir()},
        "addresses": {str(path) for path in run.glob("*/addresses/*/*") if path.name[0].isdigit()},
    }
    for sort, root, pattern in (
        ("pods' namespaces", run, f"*/{cri}/netns/*"),
        ("sandboxes", run, f"*/{cri}/sandboxes/*"),
        ("containers' folders", run, f"*/{cri}/containers/*"),
        ("tasks", run, "*/run/io.containerd.runtime.v2.task/*/*"),
        ("runc's notes", run, "*/runc/*/*"),
        ("execs", run, "*/exec/*"),
        ("pods' secrets", run, "*/volumes/*"),
        ("pods' folders", data, "nodes/*/pods/*"),
        ("pods' logs", data, "nodes/*/logs/pods/*"),
        ("volumes", data, "nodes/*/volumes/*"),
    ):
        found[sort] = {str(path) for path in root.glob(pattern)}
    for space in spaces:
        for sort, words in (
            ("rules", ("nft", "list", "ruleset")),
            ("links", ("ip", "-br", "link")),
            ("routes", ("ip", "-4", "route")),
        ):
            found.setdefault(sort, set()).update(f"{space}: {line.strip()}" for line in _inside(space, *words))
    return {sort: things for sort, things in found.items() if things}


def fresh(before: dict[str, set[str]], now: dict[str, set[str]]) -> list[str]:
    """What there is now and wasn't before."""
    return [f"{sort}: {thing}" for sort, things in now.items() for thing in sorted(things - before.get(sort, set()))]


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
