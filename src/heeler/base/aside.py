"""Long computations beside the event loop, so that what else it serves goes on meanwhile.

For functions of plain values only. One thread for all: the loop shares the interpreter with one computation, however many
are asked for, and gets it back within the switch interval (`memory.py`). Tables that both sides make at their first use
are `made.py`'s.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes from which it is worth a thread: less is computed within some ten milliseconds, as a rule within one.
LARGE_BYTES = 64 * 1024
#: What work that counts its costs may take where the loop waits for it, in CEL's units of cost: some 30 ms.
PATIENT_UNITS = 50_000
#: What is left of that; None where nobody waits.
PATIENCE: ContextVar[list[int] | None] = ContextVar("patience", default=None)


class Costly(BaseException):
    """The loop has waited long enough for this work. No error: nothing but `Aside` may catch it."""


class Aside:
    """Where an event loop's long computations run. Its thread begins with the first one."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises; at once, unless it is about `LARGE_BYTES` or more.

        `size`: bytes of what the function works on. Whoever is cancelled meanwhile leaves a begun computation to its end.
        """
        if size < LARGE_BYTES:
            return function(*args, **kwargs)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="heeler-aside")
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: context.run(function, *args, **kwargs)
        )

    async def run_counted(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for work that counts what it costs and may be begun twice: at once, and anew in the thread if it is much."""
        if size < LARGE_BYTES:
            token = PATIENCE.set([PATIENT_UNITS])
            try:
                return function(*args, **kwargs)
            except Costly:
                size = LARGE_BYTES
            finally:
                PATIENCE.reset(token)
        return await self.run(size, function, *args, **kwargs)

    def close(self) -> None:
        """What waits is not begun any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
