"""Time, handed in. The only module that may import `time`.

Everything that needs to know or to wait for the time takes a `Clock`. `SystemClock` is the real one; under simulation the
event loop itself is virtual (see `heeler.base.loop`), and `LoopClock` reads that loop's time. asyncio is imported by who waits:
a command that only wants to know the time starts in half of the time without it.
"""

from __future__ import annotations

import datetime
import time
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What a part may know of time."""

    def time(self) -> float:
        """Seconds since the epoch, UTC, with a fraction."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds (0 or less: only let others run)."""
        ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))


#: When simulations begin: 2026-01-01T00:00:00Z.
EPOCH = 1_767_225_600.0


class LoopClock:
    """A clock that shows the running event loop's time, counted from `epoch` (seconds since the epoch)."""

    def __init__(self, epoch: float = EPOCH) -> None:
        from asyncio import get_running_loop

        self._epoch, self._loop = epoch, get_running_loop

    def time(self) -> float:
        return self._epoch + self.monotonic()

    def set(self, by: float) -> None:
        """Somebody sets the clock forward, or back: `time` jumps by so many seconds, `monotonic` doesn't."""
        self._epoch += by

    def monotonic(self) -> float:
        return self._loop().time()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(max(0.0, seconds))


#: The last moment that RFC 3339 can write.
LAST = 253_402_300_799


def rfc3339(seconds: float) -> str:
    """A moment as Kubernetes' `metav1.Time` writes it: whole seconds, UTC; no earlier than 1970, no later than 9999."""
    return _second(int(max(0, min(seconds, LAST))))


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Every write asks for it, mostly in the same second as the last one."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def rfc3339_micro(seconds: float) -> str:
    """A moment as Kubernetes' `metav1.MicroTime` writes it: six decimals, UTC."""
    micros = round(seconds * 1_000_000)
    whole, rest = divmod(micros, 1_000_000)
    return f"{_second(whole)[:-1]}.{rest:06d}Z"


def duration_text(seconds: float) -> str:
    """A duration as Go writes it, rounded to milliseconds: "500ms", "9.5s", "1m30s"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}m{text}s" if minutes else f"{text}s"


def parse_rfc3339(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. Raises ValueError for anything else."""
    return datetime.datetime.fromisoformat(text).timestamp()
