"""Keep something in step with the objects of one kind, one key at a time, as they change in the cache."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from heeler.apiserver.cache import ResourceCache, Watcher
from heeler.base.clock import Clock
from heeler.objects.status import StatusError
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreError

log = logging.getLogger(__name__)

#: Seconds until a key that failed is looked at again.
RETRY_SECONDS = 1.0


async def follow(cache: ResourceCache, reconcile: Callable[[str], Awaitable[None]], clock: Clock) -> None:
    """Call `reconcile` with each key that is there and each that changes, until cancelled.

    A write that somebody else was faster with (RevisionMismatch, KeyNotFound) is tried again at once, other failures
    after a while."""
    watcher = Watcher(None)
    cache.watchers[watcher] = None
    waiting = dict.fromkeys(cache.items)
    try:
        while True:
            for key in list(waiting):
                waiting.pop(key)
                try:
                    await reconcile(key)
                except (RevisionMismatch, KeyNotFound):
                    waiting[key] = None  # somebody else wrote it: look again
                except (StoreError, StatusError) as error:
                    log.warning("%s: %s", key, error)
                    waiting[key] = None
                    await clock.sleep(RETRY_SECONDS)
            while watcher.queue:
                waiting[watcher.queue.popleft().item.key] = None
            if watcher.overflown:
                watcher.overflown = False
                waiting |= dict.fromkeys(cache.items)
            if not waiting:
                await watcher.wait()
    finally:
        cache.watchers.pop(watcher, None)
