"""A work queue as controllers need it: keys, each at most once, and never two workers on the same key.

A key that is added while it is worked on comes again afterwards. Failures wait 5 ms, then twice as long each time, up
to 1000 s. https://pkg.go.dev/k8s.io/client-go/util/workqueue (behaviour)
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from heeler.base.tasks import Timer, later, timers
from heeler.client.queue_measures import QueueMeasures

Key = TypeVar("Key")

FIRST_DELAY_SECONDS = 0.005
MAX_DELAY_SECONDS = 1000.0


class WorkQueue(Generic[Key]):
    def __init__(self, *, first_delay: float = FIRST_DELAY_SECONDS, max_delay: float = MAX_DELAY_SECONDS) -> None:
        self._first_delay, self._max_delay = first_delay, max_delay
        self._order: deque[Key] = deque()
        self._dirty: dict[Key, None] = {}
        self._working: dict[Key, None] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timers: dict[Key, tuple[float, Timer]] = {}
        self._failures: dict[Key, int] = {}
        self._measures: QueueMeasures[Key] | None = None

    def measure(self, measures: QueueMeasures[Key]) -> None:
        """Count what happens here from now on."""
        self._measures = measures

    def __len__(self) -> int:
        return len(self._order)

    @property
    def idle(self) -> bool:
        """Nothing to do and nobody at work (timers may still run)."""
        return not self._dirty and not self._working

    def add(self, key: Key) -> None:
        if key in self._dirty:
            return
        self._dirty[key] = None
        if self._measures is not None:
            self._measures.added(key)
        if key not in self._working:
            self._order.append(key)
            self._wake()

    def add_after(self, key: Key, seconds: float) -> None:
        """Add later. Of several such wishes for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        at = timers().time() + seconds
        waiting = self._timers.get(key)
        if waiting is not None:
            if waiting[0] <= at:
                return
            waiting[1].cancel()
        self._timers[key] = (at, later(seconds, lambda: self._due(key)))

    def add_failed(self, key: Key) -> float:
        """Add again after the key's back-off; gives the seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        if self._measures is not None:
            self._measures.retries += 1
        seconds = min(self._first_delay * 2.0 ** min(count, 60), self._max_delay)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: Key) -> None:
        """The key went well: its next failure starts with the shortest delay."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> Key:
        """The next key; the caller says `done` when it is through with it."""
        while not self._order:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # somebody else must take what was meant for us
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        key = self._order.popleft()
        del self._dirty[key]
        self._working[key] = None
        if self._measures is not None:
            self._measures.begun(key)
        return key

    def done(self, key: Key) -> None:
        self._working.pop(key, None)
        if self._measures is not None:
            self._measures.done(key)
        if key in self._dirty:
            self._order.append(key)
            self._wake()

    def close(self) -> None:
        """Stop the timers."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
