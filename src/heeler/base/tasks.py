"""Tasks that belong to somebody: started, cancelled and awaited in a fixed order, and no failure is lost.

`asyncio.TaskGroup` and `asyncio.wait` go through sets, so that their order depends on addresses; a simulation by seed
needs the order to be the same in every run. https://docs.python.org/3/library/asyncio-task.html
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """What runs timers: the loop itself, or a time that a loop carries beside its own (`heeler.base.stepped`)."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer: ...


def timers() -> Timers:
    """What runs the timers of Kubernetes' parts in the running loop. Sockets and TLS use the loop's own."""
    loop = asyncio.get_running_loop()
    found: Timers = getattr(loop, "virtual", loop)
    return found


def later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Call something after so many seconds of the running loop's timers."""
    return timers().call_later(max(0.0, seconds), callback)


async def settled(task: asyncio.Task[Any]) -> None:
    """Wait until a task has ended, however it ended. Others run meanwhile even if it has: its callbacks are among them."""
    if task.done():
        await asyncio.sleep(0)
    else:
        await asyncio.wait([task])


class Tasks:
    """An owner of tasks, used as `async with`.

    A task that fails cancels the block's body; leaving the block cancels every task that still runs, the last started
    first, waits for all of them, and raises the first failure (others are its notes).
    """

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], None] = {}
        self._failures: list[BaseException] = []
        self._owner: asyncio.Task[Any] | None = None
        self._closing = False
        self._stopped_owner = False

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Start a task; it is cancelled at the latest when the block is left."""
        if self._closing:
            work.close()
            raise RuntimeError("these tasks are being stopped")
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._running[task] = None
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        self._failures.append(error)
        if self._owner is not None and not self._closing and not self._stopped_owner:
            self._stopped_owner = True
            self._owner.cancel()

    async def __aenter__(self) -> Tasks:
        self._owner = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        self._closing = True
        await self.stop()
        if not self._failures:
            return False
        if self._stopped_owner and self._owner is not None and self._owner.cancelling():
            self._owner.uncancel()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            return False
        if isinstance(error, asyncio.CancelledError) and not self._stopped_owner:
            return False
        first, *others = self._failures
        for other in others:
            first.add_note(f"and also: {other!r}")
        raise first

    async def wait(self) -> None:
        """Wait until every task has ended, those that they spawn too."""
        while self._running:
            await settled(next(iter(self._running)))

    async def stop(self) -> None:
        """Cancel what runs, the last started first, and wait for it; a cancellation meanwhile comes at the end."""
        interrupted = False
        while self._running:
            order = list(reversed(self._running))
            for task in order:
                task.cancel()
            for task in order:
                try:
                    await settled(task)
                except asyncio.CancelledError:
                    interrupted = True
        if interrupted:
            raise asyncio.CancelledError


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Await several things at once: their results in order. All are let to end; then the first failure is raised.

    An exception that is a result, and wasn't raised, is a result like any other.
    """
    if len(work) == 1:
        return [await work[0]]
    failures: list[BaseException] = []

    async def guarded(one: Awaitable[Any]) -> Any:
        try:
            return await one
        except BaseException as error:
            failures.append(error)
            raise

    try:
        results = await asyncio.gather(*(guarded(one) for one in work), return_exceptions=True)
    except asyncio.CancelledError:
        for one in work:
            if inspect.iscoroutine(one) and inspect.getcoroutinestate(one) == inspect.CORO_CREATED:
                one.close()  # it was not begun, and nobody will
        raise
    for result in results:
        if any(result is failure for failure in failures):
            raise result
    return results
