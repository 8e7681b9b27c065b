"""Room on Python's stack for what nests: each thread has its own bound, so that what is deep goes on in a fresh one.

No setting of the interpreter is changed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final, TypeVar

RESERVE: Final = 350
"""Frames that are left to what is called last: functions that walk values (which bound their own depth), hooks, tracing."""

T = TypeVar("T")


def depth() -> int:
    """How many frames are on this thread's stack."""
    frame = sys._getframe()
    count = 1
    while (back := frame.f_back) is not None:
        frame = back
        count += 1
    return count


def room() -> int:
    """How many more frames this thread may have, without the reserve."""
    return sys.getrecursionlimit() - depth() - RESERVE


def with_room(frames: int, function: Callable[[], T]) -> T:
    """`function()`, in a thread of its own if this one's stack has no room for `frames`."""
    return function() if frames <= room() else in_thread(function)


def in_thread(function: Callable[[], T]) -> T:
    """`function()` on a fresh stack; what it raises is raised here."""
    results: list[Any] = []
    context = copy_context()

    def run() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:
            results.append(None)
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if len(results) > 1:
        raise results[1]
    return results[0]  # type: ignore[no-any-return]
