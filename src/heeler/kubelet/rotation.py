"""Containers' logs kept at a bounded size: renamed when they are long, packed, and the oldest removed.

The sizes are a kubelet's defaults (containerLogMaxSize, containerLogMaxFiles).
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from heeler.base.clock import Clock, rfc3339
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault

log = logging.getLogger(__name__)

MAX_SIZE, MAX_FILES = 10 << 20, 5
#: Seconds between looks.
PERIOD = 10.0


def rotated(path: Path) -> list[Path]:
    """A log's older files, the oldest first."""
    return sorted(p for p in path.parent.glob(f"{path.name}.*") if not p.name.endswith(".tmp"))


def pack(path: Path) -> None:
    """Replace a file by its gzipped twin."""
    temporary = path.with_name(path.name + ".tmp")
    with path.open("rb") as source, gzip.open(temporary, "wb", compresslevel=3) as target:
        shutil.copyfileobj(source, target)
    os.replace(temporary, path.with_name(path.name + ".gz"))
    path.unlink()


def rotate(path: Path, stamp: str, max_files: int) -> None:
    """Put the log aside under a name with the time; pack what was put aside before; keep `max_files` in all."""
    old = rotated(path)
    for older in old[: max(0, len(old) - (max_files - 2))]:
        older.unlink()
    for older in rotated(path):
        if older.suffix != ".gz":
            pack(older)
    path.rename(path.with_name(f"{path.name}.{stamp}"))


class Rotation:
    """Looks at the logs of running containers; `running` gives their ids and logs."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        running: Callable[[], list[tuple[str, Path]]],
        max_size: int = MAX_SIZE,
        max_files: int = MAX_FILES,
    ) -> None:
        self._runtime, self._clock, self._running = runtime, clock, running
        self._max_size, self._max_files = max_size, max_files

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(PERIOD)
            await self.look()

    async def look(self) -> None:
        """Rotate what is too long now."""
        for container, path in self._running():
            try:
                if os.stat(path).st_size <= self._max_size:
                    continue
            except FileNotFoundError:
                continue
            stamp = "".join(c for c in rfc3339(self._clock.time()) if c.isdigit())
            try:
                await asyncio.to_thread(rotate, path, f"{stamp[:8]}-{stamp[8:]}", self._max_files)
                await self._runtime.reopen_log(container)
            except (RuntimeFault, OSError) as error:
                log.warning("log %s is not rotated: %s", path, error)
