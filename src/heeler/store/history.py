"""The recent past of a store, and those who watch it: bounded, ordered, the same for every implementation.

A store calls `append` for each committed batch, in order. Watchers are woken once a batch; one that falls behind what is
kept gets `Compacted` and has to list again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence

from heeler.objects.value import Revision
from heeler.store.store import Change, Compacted

#: Changes that are kept for watchers (of a pod's size: some 40 MiB at worst).
KEPT = 20_000

Listener = Callable[[Sequence[Change]], None]


class History:
    """Changes after `oldest`, in the order of their revisions."""

    def __init__(self, start: Revision, kept: int = KEPT) -> None:
        self._changes: list[Change] = []
        self._oldest = start
        self._kept = kept
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners: list[Listener] = []
        self.revision = start

    @property
    def oldest(self) -> Revision:
        """Watches may begin after this revision."""
        return self._oldest

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each batch as it is appended, before whoever wrote it gets the answer; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def append(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        assert changes[0].revision > self.revision, "revisions only grow"
        self._changes.extend(changes)
        self.revision = changes[-1].revision
        surplus = len(self._changes) - self._kept
        if surplus > self._kept // 4:
            self._oldest = self._changes[surplus - 1].revision
            del self._changes[:surplus]
        for listener in tuple(self._listeners):
            listener(changes)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def forget(self, revision: Revision) -> None:
        """Drop what is at or before `revision`."""
        index = bisect_right(self._changes, revision, key=_revision)
        if index:
            self._oldest = max(self._oldest, self._changes[index - 1].revision)
            del self._changes[:index]

    def since(self, after: Revision) -> list[Change]:
        """All kept changes above `after`. Raises Compacted."""
        if after < self._oldest:
            raise Compacted(self._oldest)
        return self._changes[bisect_right(self._changes, after, key=_revision) :]

    async def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        """Changes under `prefix` above `after`, for ever. Raises Compacted."""
        while True:
            changes = self.since(after)
            for change in changes:
                after = change.revision
                if change.key.startswith(prefix):
                    yield change
            if not changes:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter


def _revision(change: Change) -> Revision:
    return change.revision
