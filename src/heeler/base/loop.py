"""An event loop for simulation: virtual time, no threads, no sockets, the same order in every run.

When nothing is ready, time jumps to the next timer; when there is no timer either, everything waits for something that
can't happen, and `Deadlock` says who waits. With a `Random`, callbacks that are ready at the same moment run in a drawn
order, so that seeds explore interleavings. It builds on asyncio's own `BaseEventLoop`, whose step it replaces.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from heeler.base.random import Random

T = TypeVar("T")

#: From so many on, timers that were cancelled and are no longer few are thrown out.
MANY_TIMERS = 100


class Deadlock(RuntimeError):
    """Nothing is ready, no timer runs, and the main task is not done."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """`order`: draws the order of callbacks that are ready at once; None keeps the order in which they became ready."""

    _timer_cancelled_count: int

    def __init__(self, order: Random | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._order = order
        #: a heap; timers of the same moment in the order in which they were made.
        self._timers: list[tuple[float, int, Any]] = []
        self._made = 0

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, timer))
        return timer

    def close(self) -> None:
        super().close()
        self._timers.clear()

    def _jump(self) -> None:
        """Go to the next timer. Raises Deadlock without one."""
        if not self._timers:
            waiting = [_describe(task) for task in asyncio.all_tasks(self)]
            raise Deadlock("nothing is ready and no timer runs; waiting: " + "; ".join(sorted(waiting)))
        self._now = max(self._now, self._timers[0][0])

    def _run_once(self) -> None:
        """What is ready runs, in a drawn order, then the timers of this moment; without either time goes on.

        It is asyncio's own step less what only sockets, threads and slow callbacks need.
        """
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined]
        if self._order is not None and len(ready) > 1:
            handles = list(ready)
            ready.clear()
            while handles:
                ready.append(handles.pop(self._order.below(len(handles))))
        if len(timers) > MANY_TIMERS and self._timer_cancelled_count > len(timers) / 2:
            for _, _, timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [one for one in timers if one[2]._scheduled]
            heapq.heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
            self._timer_cancelled_count -= 1
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._jump()
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    text = f"Exception in callback {handle!r}"
                    self.call_exception_handler({"message": text, "exception": error, "handle": handle})

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
