"""Keeping a cluster's processes alive: the supervisor, and `heeler up --foreground`, have started again what ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

from heeler.local import processes
from heeler.local.layout import Layout, LocalError, real_names
from heeler.local.up import CONTROL_PLANE, STOPPED, SUPERVISOR, node_component

log = logging.getLogger(__name__)

#: Seconds between two looks; the wait after a start that failed, twice as long each time.
LOOK, FIRST_PAUSE, MAX_PAUSE = 1.0, 1.0, 10.0


def gone(layout: Layout) -> list[str] | None:
    """The components that should run and don't; None when the cluster was stopped or deleted by somebody."""
    try:
        spec = layout.load()
    except LocalError as error:
        log.warning("%s", error)
        return []
    if spec is None or (layout.run / STOPPED).exists():
        return None
    wanted = [CONTROL_PLANE, SUPERVISOR, *map(node_component, real_names(spec))]
    return [name for name in wanted if processes.running_pid(layout, name) is None]


def supervise(layout: Layout, restart: Callable[[list[str]], None], sleep: Callable[[float], None]) -> None:
    """Until the cluster is stopped or deleted: call `restart` with what has ended."""
    pause = FIRST_PAUSE
    while True:
        sleep(LOOK)
        ended = gone(layout)
        if ended is None:
            return
        if not ended:
            continue
        try:
            restart(ended)
            pause = FIRST_PAUSE
        except LocalError as error:
            log.error("%s; tried again in %.0f s", error, pause)
            sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)
