"""An API server's way to the store that all of them share: commits may be slow, and a dead server writes nothing more.

A commit is slow before it is made and after: etcd, too, tells watchers of a write that its author hasn't heard of yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.objects.value import Revision
from heeler.store.history import Listener
from heeler.store.memory import MemoryStore
from heeler.store.store import Change, Entry, Page, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Slowness:
    """`share` of the commits take up to `seconds` before, and as long again after they are made."""

    share: float = 0.0
    seconds: float = 0.0


class Disk:
    """A `Store`: one server's handle. `slowness` may be exchanged at any time."""

    problem = ""

    def __init__(self, store: MemoryStore, *, clock: Clock, random: Random, slowness: Slowness) -> None:
        self.slowness = slowness
        self._store, self._clock, self._random = store, clock, random
        self._feeds: list[Callable[[], None]] = []
        self._dead = False

    def cut(self) -> None:
        """The server has died: what it still tries fails, and it hears nothing more."""
        self._dead = True
        for end in self._feeds:
            end()
        self._feeds.clear()

    # the server reads its cache off the history, as off any store of its own process

    @property
    def history(self) -> Disk:
        return self

    @property
    def oldest(self) -> Revision:
        return self._store.history.oldest

    def since(self, after: Revision) -> list[Change]:
        return self._store.history.since(after)

    def listen(self, listener: Listener) -> None:
        def told(changes: Sequence[Change]) -> None:
            listener(changes)

        self._feeds.append(self._store.history.listen(told))

    # the contract

    @property
    def revision(self) -> Revision:
        return self._store.revision

    async def current_revision(self) -> Revision:
        return self._store.revision

    async def get(self, key: str) -> Entry | None:
        self._check()
        return await self._store.get(key)

    async def list(self, prefix: str, *, revision: Revision | None = None, after: str = "", limit: int = 0) -> Page:
        self._check()
        return await self._store.list(prefix, revision=revision, after=after, limit=limit)

    async def create(self, key: str, value: bytes) -> Revision:
        await self._pause()
        done = await self._store.create(key, value)
        await self._pause()
        return done

    async def update(self, key: str, value: bytes, expected: Revision) -> Revision:
        await self._pause()
        done = await self._store.update(key, value, expected)
        await self._pause()
        return done

    async def delete(self, key: str, expected: Revision) -> Revision:
        await self._pause()
        done = await self._store.delete(key, expected)
        await self._pause()
        return done

    def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        return self._store.watch(prefix, after)

    async def compact(self, revision: Revision) -> None:
        self._check()
        await self._store.compact(revision)

    async def close(self) -> None:
        self.cut()

    def _check(self) -> None:
        if self._dead:
            raise StoreUnavailable("simulated: this server is dead")

    async def _pause(self) -> None:
        if self.slowness.share and self._random.fraction() < self.slowness.share:
            await self._clock.sleep(self._random.fraction() * self.slowness.seconds)
        self._check()
