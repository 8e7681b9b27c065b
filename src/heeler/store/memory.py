"""A store in memory, for tests and simulation: the whole contract but durability."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Sequence

from heeler.objects.value import Revision
from heeler.store.history import KEPT, History
from heeler.store.store import (
    Change,
    Compacted,
    Entry,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    Page,
    RevisionMismatch,
)

#: Replaced versions that are kept; beyond that the store compacts itself to where its history begins.
MAX_REPLACED = KEPT * 3 // 2


class MemoryStore:
    """Keeps versions of a key until they are compacted, so that a list at an older revision works."""

    problem = ""

    def __init__(self) -> None:
        #: versions of a key, oldest first; a None value is a deletion.
        self._versions: dict[str, list[tuple[Revision, bytes | None]]] = {}
        self._keys: list[str] = []
        self._compacted = Revision(0)
        self._replaced = 0
        self.history = History(Revision(0))

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> MemoryStore:
        """A store that begins with these, in the order of their keys, as another one was left."""
        store = cls()
        store._versions = {entry.key: [(entry.revision, entry.value)] for entry in entries}
        store._keys = [entry.key for entry in entries]
        newest = max((entry.revision for entry in entries), default=Revision(0))
        store._compacted, store.history = newest, History(newest)
        return store

    @property
    def revision(self) -> Revision:
        return self.history.revision

    async def current_revision(self) -> Revision:
        return self.revision

    async def get(self, key: str) -> Entry | None:
        return self._newest(key)

    async def list(self, prefix: str, *, revision: Revision | None = None, after: str = "", limit: int = 0) -> Page:
        at = self.revision if revision is None else revision
        if at > self.revision:
            raise FutureRevision(self.revision)
        if at < self._compacted:
            raise Compacted(self._compacted)
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after) if after else 0)
        entries: list[Entry] = []
        remaining = 0
        for index in range(start, len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                break
            entry = self._at(key, at)
            if entry is None:
                continue
            if limit and len(entries) == limit:
                remaining += 1
            else:
                entries.append(entry)
        return Page(entries, at, remaining)

    def entries(self) -> Sequence[Entry]:
        """All that there is, in the order of the keys."""
        return [entry for key in self._keys if (entry := self._newest(key)) is not None]

    async def create(self, key: str, value: bytes) -> Revision:
        if self._newest(key):
            raise KeyExists(key)
        return self._write("create", key, value, None)

    async def update(self, key: str, value: bytes, expected: Revision) -> Revision:
        return self._write("update", key, value, self._expect(key, expected).value)

    async def delete(self, key: str, expected: Revision) -> Revision:
        return self._write("delete", key, None, self._expect(key, expected).value)

    def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        return self.history.watch(prefix, after)

    async def compact(self, revision: Revision) -> None:
        if revision > self.revision:
            raise FutureRevision(self.revision)
        self._compact(revision)

    def _compact(self, revision: Revision) -> None:
        if revision <= self._compacted:
            return
        self._compacted = revision
        self._replaced = 0
        for key in list(self._versions):
            versions = self._versions[key]
            index = bisect_right(versions, revision, key=lambda v: v[0])
            kept = versions[max(0, index - 1) :]
            if kept and kept[0][1] is None:
                kept = kept[1:]
            if kept:
                self._versions[key] = kept
                self._replaced += len(kept) - 1
            else:
                del self._versions[key]
                self._keys.pop(bisect_left(self._keys, key))
        self.history.forget(revision)

    async def close(self) -> None:
        return None

    def _newest(self, key: str) -> Entry | None:
        versions = self._versions.get(key)
        if not versions or versions[-1][1] is None:
            return None
        return Entry(key, versions[-1][1], versions[-1][0])

    def _at(self, key: str, revision: Revision) -> Entry | None:
        versions = self._versions[key]
        index = bisect_right(versions, revision, key=lambda v: v[0]) - 1
        if index < 0:
            return None
        written, value = versions[index]
        return None if value is None else Entry(key, value, written)

    def _expect(self, key: str, expected: Revision) -> Entry:
        entry = self._newest(key)
        if entry is None:
            raise KeyNotFound(key)
        if entry.revision != expected:
            raise RevisionMismatch(entry)
        return entry

    def _write(self, kind: str, key: str, value: bytes | None, previous: bytes | None) -> Revision:
        revision = Revision(self.revision + 1)
        if key not in self._versions:
            self._versions[key] = []
            insort(self._keys, key)
        else:
            self._replaced += 1
        self._versions[key].append((revision, value))
        shown = value if value is not None else previous
        assert shown is not None
        self.history.append([Change(kind, key, shown, revision, previous)])  # type: ignore[arg-type]
        if self._replaced > MAX_REPLACED:
            self._compact(self.history.oldest)
        return revision
