"""Coroutines that run as one: together until one fails, and ended for certain.

A single `cancel` may get lost (before Python 3.12 `asyncio.wait_for` can swallow it when its inner future is done at
the same moment), and `asyncio.gather` then waits for ever. So tasks are cancelled until they have ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

log = logging.getLogger(__name__)

#: Seconds between two attempts to end a task, and how many there are before it is given up.
PAUSE, ATTEMPTS = 0.5, 20


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended; their failures are logged, not raised."""
    every = list(tasks)
    pending = [task for task in every if not task.done()]
    for _ in range(ATTEMPTS):
        if not pending:
            break
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=PAUSE)
        pending = [task for task in pending if not task.done()]
    for task in pending:
        log.error("%r does not end: %s", task, task.get_stack(limit=2))
    for task in every:
        if task.done() and not task.cancelled() and task.exception() is not None:
            log.info("%r ended with %r", task.get_name(), task.exception())


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    """Run until one fails (its failure is raised), all have ended, or this is cancelled; none is left running."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(tasks)
