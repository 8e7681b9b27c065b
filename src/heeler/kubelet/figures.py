"""What the node, its pods and their containers use now, read from control groups, /proc and the disk.

CPU is a rate: the difference between two looks. A look is taken when somebody asks (and kept for the next question); who
asks first waits a moment for a second one. Nothing runs while nobody asks.
Source: https://kubernetes.io/docs/reference/instrumentation/node-metrics/ and the kernel's cgroup documentation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heeler.base.files import read_text
from heeler.kubelet import machine

#: Seconds that a rate is taken over: at the least, and what is aimed at; older looks are of no use.
MIN_WINDOW, GOOD_WINDOW, MAX_WINDOW = 0.8, 8.0, 90.0
#: Looks that are kept.
KEPT = 12
HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """One group at one moment: CPU used so far in nanoseconds, memory in bytes."""

    cpu: int
    usage: int
    working_set: int
    rss: int = 0
    faults: int = 0
    major_faults: int = 0
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """All groups at one moment (seconds since the epoch), by a key: "" is the node, a pod's uid, a container's id."""

    time: float
    readings: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """CPU in billionths of one over `window` seconds."""

    cpu: int
    window: float


def _fields(text: str) -> dict[str, int]:
    """Lines of "name number"."""
    out = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            out[name] = int(value)
    return out


def group(root: Path, path: str, unified: bool) -> Reading | None:
    """A control group's figures; None where it isn't (any more)."""
    part = path.lstrip("/")
    if unified:
        folder = root / part
        cpu = _fields(read_text(folder / "cpu.stat"))
        memory = _fields(read_text(folder / "memory.stat"))
        usage = read_text(folder / "memory.current")
        if "usage_usec" not in cpu or not usage.isdigit():
            return None
        return Reading(
            cpu["usage_usec"] * 1000,
            int(usage),
            max(0, int(usage) - memory.get("inactive_file", 0)),
            memory.get("anon", 0),
            memory.get("pgfault", 0),
            memory.get("pgmajfault", 0),
            _number(folder / "pids.current"),
        )
    used = read_text(root / "cpuacct" / part / "cpuacct.usage")
    usage = read_text(root / "memory" / part / "memory.usage_in_bytes")
    if not used.isdigit() or not usage.isdigit():
        return None
    memory = _fields(read_text(root / "memory" / part / "memory.stat"))
    return Reading(
        int(used),
        int(usage),
        max(0, int(usage) - memory.get("total_inactive_file", 0)),
        memory.get("total_rss", 0),
        memory.get("total_pgfault", 0),
        memory.get("total_pgmajfault", 0),
        _number(root / "pids" / part / "pids.current"),
    )


def _number(path: Path) -> int:
    text = read_text(path)
    return int(text) if text.isdigit() else 0


def whole_machine() -> Reading:
    """The machine's figures: a node's own, as a kubelet has them."""
    words = read_text(Path("/proc/stat")).partition("\n")[0].split()[1:]
    # user, nice, system, idle, iowait, irq, softirq, steal: all but the idle ones
    busy = sum(int(word) for number, word in enumerate(words[:8]) if number not in (3, 4))
    memory = machine.memory()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    usage = total - memory.get("MemFree", 0)
    return Reading(
        busy * 1_000_000_000 // HERTZ, usage, max(0, total - available), memory.get("AnonPages", 0), processes=pids()
    )


def pids() -> int:
    """Processes and threads of the machine."""
    # loadavg's fourth word is "running/all"
    words = read_text(Path("/proc/loadavg")).split()
    text = words[3].partition("/")[2] if len(words) > 3 else ""
    return int(text) if text.isdigit() else 0


def rate(looks: Sequence[Look], key: str) -> Rate | None:
    """A group's CPU between the newest look and the one before it that gives the best window; None without two.

    A group that began anew in between (its count fell) has none."""
    newest = looks[-1] if looks else None
    now = newest.readings.get(key) if newest is not None else None
    if newest is None or now is None:
        return None
    best: Rate | None = None
    for look in reversed(looks[:-1]):
        then, window = look.readings.get(key), newest.time - look.time
        if then is None or then.cpu > now.cpu or window > MAX_WINDOW:
            break
        if window >= MIN_WINDOW:
            best = Rate(int((now.cpu - then.cpu) / window), window)
            if window >= GOOD_WINDOW:
                break
    return best


class Looks:
    """The last looks, oldest first."""

    def __init__(self) -> None:
        self.kept: list[Look] = []

    def add(self, look: Look) -> None:
        """A clock that was set back makes the older looks worthless."""
        if self.kept and self.kept[-1].time >= look.time:
            self.kept = []
        self.kept = [*self.kept, look][-KEPT:]

    def fresh(self, now: float) -> bool:
        """Whether the newest is good enough to answer with, together with one before it."""
        return len(self.kept) > 1 and 0 <= now - self.kept[-1].time < MIN_WINDOW


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem in bytes and inodes."""

    capacity: int
    available: int
    inodes: int
    inodes_free: int

    @property
    def used(self) -> int:
        return self.capacity - self.available


def disk(path: Path) -> Disk:
    """The filesystem of a path. Raises OSError."""
    found = os.statvfs(path)
    return Disk(
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_files,
        min(found.f_favail, found.f_files),
    )


def folder_size(path: Path) -> tuple[int, int]:
    """(bytes, inodes) of what a folder holds on its own filesystem; what vanishes meanwhile doesn't count."""
    total = inodes = 0
    try:
        device = path.lstat().st_dev
    except OSError:
        return 0, 0
    stack = [str(path)]
    while stack:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                state = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if state.st_dev != device:
                continue
            inodes += 1
            total += state.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
    return total, inodes
