"""The embedded store: one SQLite file, one writer, group commit. The only module that may import `sqlite3`.

The newest value of every key is kept in memory as well (the same bytes that the API server's cache serves), so
compare-and-swap is decided on the event loop and reads never touch the disk. Writes queue up while a commit is under way
and go together as one statement: with the interpreter's lock, one statement a batch is what keeps a commit short beside a
busy event loop (docs/decisions). A write returns once its batch is synced (WAL, synchronous=FULL).

Older versions stay in the file until they are compacted, which is how a list at an older revision is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from heeler.objects.value import Revision
from heeler.store.history import History
from heeler.store.store import (
    Change,
    Compacted,
    Entry,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    Page,
    RevisionMismatch,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

#: The file's layout; a newer one is refused.
LAYOUT = 1
#: Rows of one commit at most.
MAX_BATCH = 128
#: Writes that may wait; beyond that a write is refused (the disk doesn't keep up).
MAX_WAITING = 20_000
#: Rows that one step of a compaction deletes.
COMPACT_ROWS = 2_000
#: Changes read back at start, so that watchers may go on where they were.
RELOADED = 2_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB);
CREATE INDEX IF NOT EXISTS log_key ON log (key, revision);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
_NEWEST = """
SELECT key, value, revision FROM
  (SELECT key, value, MAX(revision) AS revision FROM log WHERE revision <= ? AND key >= ? AND key < ? GROUP BY key)
WHERE value IS NOT NULL AND key > ? ORDER BY key
"""
_SUPERSEDED = """
DELETE FROM log WHERE revision IN (
  SELECT old.revision FROM log AS old WHERE old.revision <= :at AND (
    EXISTS (SELECT 1 FROM log AS new WHERE new.key = old.key AND new.revision > old.revision AND new.revision <= :at)
    OR (old.value IS NULL AND old.revision < :at))
  LIMIT :rows)
"""


Changes = list[Change]
Row = list[object]


class _Write(NamedTuple):
    change: Change
    done: asyncio.Future[Revision]


Writes = list[_Write]


class SqliteStore:
    """See `Store`. Make one with `SqliteStore.open`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.problem = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heeler-store")
        self._newest: dict[str, Entry] = {}
        self._keys: list[str] = []
        #: what is on its way to the disk: the newest write of each key (None: deleted).
        self._pending: dict[str, Entry | None] = {}
        self._pending_at: dict[str, Revision] = {}
        self._queue: list[_Write] = []
        self._assigned = Revision(0)
        self._compacted = Revision(0)
        self._drainer: asyncio.Task[None] | None = None
        self.history = History(Revision(0))

    @classmethod
    def open(cls, path: Path) -> SqliteStore:
        """Open or make the file, whose folder must exist. Raises StoreUnavailable with what to do."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(descriptor)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -2000")
            connection.execute("PRAGMA journal_size_limit = 16777216")  # a log that grew is cut again
            layout = connection.execute("PRAGMA user_version").fetchone()[0]
            if layout > LAYOUT:
                connection.close()
                raise StoreUnavailable(
                    f"{path} was written by a newer Heeler (layout {layout}, this one knows {LAYOUT}): "
                    "upgrade heeler, or choose another --data-dir"
                )
            connection.executescript(_SCHEMA)
            if layout != LAYOUT:  # on a full disk nothing may be written
                connection.execute(f"PRAGMA user_version = {LAYOUT}")
            store = cls(connection)
            store._load()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"cannot open the store {path}: {_explain(error)}") from error
        return store

    @property
    def revision(self) -> Revision:
        return self.history.revision

    async def current_revision(self) -> Revision:
        return self.revision

    async def get(self, key: str) -> Entry | None:
        return self._newest.get(key)

    async def list(self, prefix: str, *, revision: Revision | None = None, after: str = "", limit: int = 0) -> Page:
        at = self.revision if revision is None else revision
        if at > self.revision:
            raise FutureRevision(self.revision)
        if at < self._compacted:
            raise Compacted(self._compacted)
        if at == self.revision:
            return self._list_now(prefix, after, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._list_then, prefix, at, after, limit)

    async def create(self, key: str, value: bytes) -> Revision:
        if self._latest(key) is not None:
            raise KeyExists(key)
        return await self._write("create", key, value, None)

    async def update(self, key: str, value: bytes, expected: Revision) -> Revision:
        return await self._write("update", key, value, self._expect(key, expected).value)

    async def delete(self, key: str, expected: Revision) -> Revision:
        return await self._write("delete", key, None, self._expect(key, expected).value)

    def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        return self.history.watch(prefix, after)

    async def compact(self, revision: Revision) -> None:
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if revision <= self._compacted:
            return
        self._compacted = revision
        self.history.forget(revision)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._note_compaction, revision)
        while await loop.run_in_executor(self._thread, self._compact_some, revision):
            await asyncio.sleep(0.005)  # let writes in between

    async def close(self) -> None:
        """Write what waits, then close the file."""
        while self._drainer:
            await asyncio.wait([self._drainer])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    # on the event loop

    def _latest(self, key: str) -> Entry | None:
        """The newest value, counting writes that are on their way."""
        if key in self._pending:
            return self._pending[key]
        return self._newest.get(key)

    def _expect(self, key: str, expected: Revision) -> Entry:
        entry = self._latest(key)
        if entry is None:
            raise KeyNotFound(key)
        if entry.revision != expected:
            raise RevisionMismatch(entry)
        return entry

    async def _write(
        self, kind: Literal["create", "update", "delete"], key: str, value: bytes | None, previous: bytes | None
    ) -> Revision:
        if len(self._queue) >= MAX_WAITING:
            raise StoreUnavailable("the store has too many writes waiting: the disk does not keep up")
        revision = self._assigned = Revision(self._assigned + 1)
        self._pending[key] = None if value is None else Entry(key, value, revision)
        self._pending_at[key] = revision
        shown = previous if value is None else value
        assert shown is not None
        done: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()
        self._queue.append(_Write(Change(kind, key, shown, revision, previous), done))
        if self._drainer is None:
            self._drainer = asyncio.get_running_loop().create_task(self._drain())
        # a client that goes away doesn't take back a write that is on its way
        return await asyncio.shield(done)

    async def _drain(self) -> None:
        """Commit what waits, batch after batch, until nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
                try:
                    await loop.run_in_executor(self._thread, self._commit, [w.change for w in batch])
                except sqlite3.Error as error:
                    self._fail(batch, error)
                else:
                    self._publish(batch)
        finally:
            self._drainer = None

    def _publish(self, batch: Writes) -> None:
        self.problem = ""
        for change, _ in batch:
            if change.type == "delete":
                del self._newest[change.key]
                self._keys.pop(bisect_left(self._keys, change.key))
            else:
                if change.type == "create":
                    insort(self._keys, change.key)
                self._newest[change.key] = Entry(change.key, change.value, change.revision)
            if self._pending_at.get(change.key) == change.revision:
                del self._pending[change.key], self._pending_at[change.key]
        self.history.append([w.change for w in batch])
        for change, done in batch:
            if not done.done():
                done.set_result(change.revision)

    def _fail(self, batch: Writes, error: sqlite3.Error) -> None:
        """Nothing of the batch was written; what was decided upon it falls with it."""
        text = f"the store could not write: {_explain(error)}"
        log.error("%s", text)
        self.problem = text
        fallen, self._queue = [*batch, *self._queue], []
        self._pending.clear()
        self._pending_at.clear()
        self._assigned = self.history.revision
        for write in fallen:
            if not write.done.done():
                write.done.set_exception(StoreUnavailable(text))

    def _list_now(self, prefix: str, after: str, limit: int) -> Page:
        start = bisect_left(self._keys, prefix)
        if after:
            start = max(start, bisect_right(self._keys, after))
        end = bisect_left(self._keys, _past(prefix), start)
        stop = min(end, start + limit) if limit else end
        entries = [self._newest[key] for key in self._keys[start:stop]]
        return Page(entries, self.revision, end - stop)

    # in the store's thread

    def _commit(self, changes: Changes) -> None:
        rows: Row = []
        for change in changes:
            rows += (change.revision, change.key, None if change.type == "delete" else change.value)
        marks = ",".join(["(?,?,?)"] * len(changes))
        self._connection.execute(f"INSERT INTO log (revision, key, value) VALUES {marks}", rows)

    def _list_then(self, prefix: str, at: Revision, after: str, limit: int) -> Page:
        rows = self._connection.execute(_NEWEST, (at, prefix, _past(prefix), after)).fetchall()
        entries = [Entry(key, value, Revision(revision)) for key, value, revision in rows[: limit or None]]
        return Page(entries, at, len(rows) - len(entries))

    def _note_compaction(self, revision: Revision) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk: compacted again at the next start
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES ('compacted', ?)", (revision,))

    def _compact_some(self, revision: Revision) -> bool:
        """Delete some superseded rows; True while there are more."""
        cursor = self._connection.execute(_SUPERSEDED, {"at": revision, "rows": COMPACT_ROWS})
        return cursor.rowcount == COMPACT_ROWS

    def _load(self) -> None:
        """Read the newest values and the recent past."""
        found = self._connection.execute("SELECT number FROM facts WHERE name = 'compacted'").fetchone()
        self._compacted = Revision(found[0] if found else 0)
        top = self._connection.execute("SELECT MAX(revision) FROM log").fetchone()[0] or 0
        self._assigned = Revision(max(top, self._compacted))
        rows = self._connection.execute("SELECT key, value, MAX(revision) FROM log GROUP BY key ORDER BY key")
        for key, value, revision in rows:
            if value is not None:
                self._newest[key] = Entry(key, value, Revision(revision))
        self._keys = list(self._newest)
        start = Revision(max(self._compacted, self._assigned - RELOADED))
        self.history = History(start)
        self.history.append(self._recent(start))
        if self.history.revision < self._assigned:  # nothing but compaction since
            self.history = History(self._assigned)

    def _recent(self, start: Revision) -> Changes:
        out: Changes = []
        last: dict[str, bytes | None] = {}
        for revision, key, value in self._connection.execute(
            "SELECT revision, key, value FROM log WHERE revision > ? ORDER BY revision", (start,)
        ):
            if key not in last:
                row = self._connection.execute(
                    "SELECT value FROM log WHERE key = ? AND revision <= ? ORDER BY revision DESC LIMIT 1", (key, start)
                ).fetchone()
                last[key] = row[0] if row else None
            before = last[key]
            last[key] = value
            if value is None:
                if before is not None:
                    out.append(Change("delete", key, before, Revision(revision), before))
            else:
                kind: Literal["create", "update"] = "create" if before is None else "update"
                out.append(Change(kind, key, value, Revision(revision), before))
        return out


def _past(prefix: str) -> str:
    """The first text that sorts after everything that starts with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else "\U0010ffff"


def _explain(error: Exception) -> str:
    text = str(error)
    if "full" in text:
        return f"{text}: free some space, the cluster goes on by itself"
    if "readonly" in text or "read-only" in text.lower():
        return f"{text}: make it writable, or choose another --data-dir"
    if "locked" in text:
        return f"{text}: another Heeler uses it; stop that one (heeler down), or choose another --data-dir"
    return text
