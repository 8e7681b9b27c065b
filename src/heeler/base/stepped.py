"""A real event loop that carries a virtual time beside its own.

Sockets, TLS and whatever is asked of the loop itself (`call_later`, `asyncio.timeout`) run in real time. The timers of
Kubernetes' parts (`heeler.base.tasks.later`, a `SteppedClock`) run in the virtual one: it goes on by itself at the pace of
the real one, and `jump` moves it forward. `quiet` says when nothing is left to be done at the present moment.

The simulated loop (`heeler.base.loop`) has no real time at all and no sockets; this one is for clusters that programs talk to.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable
from typing import Any

#: A timer that is due within so many seconds fires at once (floats of large times have steps).
RESOLUTION = 1e-6


class VirtualTimer:
    """One call to come; `cancel` takes it back."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualTime:
    """Seconds since the loop was made, as its timers count them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._offset = -loop.time()
        self._frozen: float | None = None
        self._heap: list[tuple[float, int, VirtualTimer]] = []
        self._count = 0
        self._wake: asyncio.TimerHandle | None = None

    def time(self) -> float:
        return self._loop.time() + self._offset if self._frozen is None else self._frozen

    def call_later(self, delay: float, callback: Callable[[], None]) -> VirtualTimer:
        timer = VirtualTimer(self.time() + delay, callback)
        self._count += 1  # of two at the same moment the first made fires first
        heapq.heappush(self._heap, (timer.when, self._count, timer))
        self._arm()
        return timer

    def freeze(self) -> None:
        """From now on time stands still but for `jump`."""
        self._frozen = self.time()
        self._arm()

    def thaw(self) -> None:
        """Time flows again, from where it stands."""
        if self._frozen is not None:
            self._offset = self._frozen - self._loop.time()
            self._frozen = None
            self._arm()

    def due(self) -> float | None:
        """When the next timer fires, or None."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def jump(self, moment: float) -> None:
        """Go forward to a moment (never back) and fire what is due by then."""
        if self._frozen is not None:
            self._frozen = max(self._frozen, moment)
        else:
            self._offset += max(0.0, moment - self.time())
        self._fire()

    def _fire(self) -> None:
        now = self.time() + RESOLUTION
        while (when := self.due()) is not None and when <= now:
            timer = heapq.heappop(self._heap)[2]
            assert timer.callback is not None
            self._loop.call_soon(timer.callback)
        self._arm()

    def _arm(self) -> None:
        """One real timer waits for the first virtual one; none does while time stands still."""
        when = self.due()
        if self._wake is not None:
            if when is not None and self._frozen is None and self._wake.when() <= when - self._offset:
                return  # early is early enough: it looks again
            self._wake.cancel()
            self._wake = None
        if when is not None and self._frozen is None:
            self._wake = self._loop.call_at(when - self._offset, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._fire()


class _Selector(selectors.DefaultSelector):
    """Notices when the loop is about to wait for something outside."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self.waiters or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        found = super().select(0)
        if found:
            return found
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return []


class SteppedLoop(asyncio.SelectorEventLoop):
    """`virtual` is the time of Kubernetes' parts."""

    def __init__(self) -> None:
        self._quiet = _Selector()
        super().__init__(self._quiet)
        self.virtual = VirtualTime(self)

    async def quiet(self) -> None:
        """Until no callback is ready and nothing has come in: the loop would wait for the world or for a timer."""
        waiter: asyncio.Future[None] = self.create_future()
        self._quiet.waiters.append(waiter)
        await waiter


class SteppedClock:
    """A clock of the loop's virtual time (`epoch`: seconds since the Unix epoch at its zero); for any thread to read."""

    def __init__(self, loop: SteppedLoop, epoch: float) -> None:
        self._virtual = loop.virtual
        self._epoch = epoch

    def time(self) -> float:
        return self._epoch + self._virtual.time()

    def monotonic(self) -> float:
        return self._virtual.time()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._virtual.call_later(seconds, lambda: None if done.done() else done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()
