"""What starts of sandboxes that were broken off have left, found while containerd runs and cleared once it is certain.

A containerd that is killed in the middle of a start leaves a shim, its task, a network namespace, an address: some of them
made by programs that outlive it, and so after `heeler.kubelet.runtime.leftovers` looked. A start that is under way looks
the same. What is left is therefore what was seen for a while and is older than every start under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from heeler.base.clock import Clock
from heeler.base.processes import ProgramError, check, run, send_signal
from heeler.kubelet import teardown
from heeler.kubelet.options import NodeOptions
from heeler.kubelet.pods.volumes import mounts_below
from heeler.kubelet.runtime import leftovers
from heeler.kubelet.runtime.containerd import RuntimePaths
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault

log = logging.getLogger(__name__)

#: Seconds for which a stray must have been one. Starts take a second, and have their own deadline.
PATIENCE = 30.0


class Stray(NamedTuple):
    """`sort` is one of shim, task, address, namespace; `name` a process or sandbox id, or a path."""

    sort: str
    name: str


class Sighting(NamedTuple):
    """When something was first seen (monotonic seconds), and how many starts of sandboxes had begun until then."""

    at: float
    begun: int


def judge(
    before: Mapping[Stray, Sighting], found: Iterable[Stray], now: Sighting, under_way: Iterable[int]
) -> tuple[dict[Stray, Sighting], list[Stray]]:
    """(what to remember of the strays found, those that are certain). `under_way`: the numbers of starts not yet answered;
    the first to begin has number 0."""
    seen = {stray: before.get(stray, now) for stray in found}
    oldest = min(under_way, default=now.begun)
    certain = [s for s, first in seen.items() if now.at - first.at >= PATIENCE and first.begun <= oldest]
    return seen, certain


class Strays:
    """One node's; `look` is called every now and then while containerd runs."""

    def __init__(self, options: NodeOptions, paths: RuntimePaths, runtime: Runtime, clock: Clock) -> None:
        self._options, self._paths, self._runtime, self._clock = options, paths, runtime, clock
        self.seen: dict[Stray, Sighting] = {}

    async def look(self, now: float) -> None:
        """Find, and clear away what is certain. `now`: monotonic seconds."""
        try:
            sandboxes = {sandbox.id for sandbox in await self._runtime.sandboxes()}
            containers = {container.id for container in await self._runtime.containers()}
        except RuntimeFault:
            return
        found = await asyncio.to_thread(self._find, sandboxes, containers)
        sighting = Sighting(now, self._runtime.begun)
        self.seen, certain = judge(self.seen, found, sighting, self._runtime.under_way)
        for stray in certain:
            log.warning("the %s %s belongs to no sandbox: it is cleared away", *stray)
            with contextlib.suppress(ProgramError, OSError):
                await self._clear(stray)
        if any(stray.sort == "shim" for stray in certain):
            await teardown.remove_dead_sockets(self._clock)

    def _find(self, sandboxes: set[str], containers: set[str]) -> list[Stray]:
        """In the order in which they must be cleared."""
        root, run_state = self._paths.root, self._paths.state / "run"
        tasks = {entry.name for folder in (root, run_state) for entry in (folder / leftovers.TASKS).glob("[!.]*")}
        return [
            *(Stray("shim", str(pid)) for pid, sandbox in teardown.shims(self._options) if sandbox not in sandboxes),
            *(Stray("task", task) for task in sorted(tasks - sandboxes - containers)),
            *(Stray("address", str(path)) for path in leftovers.addresses(root, self._paths.state)),
            *(Stray("namespace", str(path)) for path in leftovers.namespaces(run_state)),
        ]

    async def _clear(self, stray: Stray) -> None:
        """Raises ProgramError, OSError; the next look tries again."""
        if stray.sort == "shim":
            send_signal(int(stray.name), signal.SIGKILL)
        elif stray.sort == "task":
            await self._clear_task(stray.name)
        elif stray.sort == "namespace":
            await leftovers.remove_namespace(Path(stray.name))
        else:
            leftovers.remove([Path(stray.name)])

    async def _clear_task(self, task: str) -> None:
        notes = self._paths.runc_root / "k8s.io"
        if (notes / task).exists():
            await run([self._paths.runc, "--root", str(notes), "delete", "--force", task])
        for top in (self._paths.state / "run", self._paths.root):
            folder = top / leftovers.TASKS / task
            for point in mounts_below(folder):
                await check(["umount", "--lazy", point])
            await asyncio.to_thread(leftovers.remove, [folder])
