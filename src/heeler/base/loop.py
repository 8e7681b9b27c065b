"""An event loop for simulation: virtual time, no threads, no sockets, the same order in every run.

When nothing is ready, time jumps to the next timer; when there is no timer either, everything waits for something that
can't happen, and `Deadlock` says who waits. With a `Random`, callbacks that are ready at the same moment run in a drawn
order, so that seeds explore interleavings. It builds on asyncio's own `BaseEventLoop`, whose selector it replaces.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from heeler.base.random import Random

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Nothing is ready, no timer runs, and the main task is not done."""


class _Selector:
    """Stands where the operating system's selector would: it never waits."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._loop.jump(timeout)
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """`order`: draws the order of callbacks that are ready at once; None keeps the order in which they became ready."""

    def __init__(self, order: Random | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._order = order
        self._selector = _Selector(self)

    @property
    def _clock_resolution(self) -> float:
        """asyncio fires timers that are less than this away: here those of this very moment, and none early.

        Two that are woken a moment too early and wait for the rest would keep each other awake, and time would stand still.
        """
        return math.ulp(self._now)

    @_clock_resolution.setter
    def _clock_resolution(self, _: float) -> None:
        """asyncio sets that of the machine's clock, which has no part in this."""

    def time(self) -> float:
        return self._now

    def jump(self, timeout: float | None) -> None:
        """Go to the next timer. Raises Deadlock without one."""
        if timeout is None:
            waiting = [_describe(task) for task in asyncio.all_tasks(self)]
            raise Deadlock("nothing is ready and no timer runs; waiting: " + "; ".join(sorted(waiting)))
        scheduled = self._scheduled  # type: ignore[attr-defined]
        self._now = max(self._now, scheduled[0].when() if scheduled else self._now + timeout)

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if self._order is not None and len(ready) > 1:
            handles = list(ready)
            ready.clear()
            while handles:
                ready.append(handles.pop(self._order.below(len(handles))))
        super()._run_once()  # type: ignore[misc]

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Runs at once, here: simulation has no threads."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread_id:  # type: ignore[attr-defined]
            raise RuntimeError("a simulated loop is not for several threads")
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, events: list[Any]) -> None:
        """There are none: nothing is read from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector who would have to be woken."""


def _describe(task: asyncio.Task[Any]) -> str:
    where = ""
    for frame in task.get_stack(limit=1):
        where = f" at {frame.f_code.co_qualname if hasattr(frame.f_code, 'co_qualname') else frame.f_code.co_name}"
        where += f":{frame.f_lineno}"
    return f"{task.get_name()}{where}"


def simulate(main: Coroutine[Any, Any, T], order: Random | None = None) -> T:
    """Run a coroutine to its end in simulated time, starting at 0 s."""
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(order)) as runner:
        return runner.run(main)
