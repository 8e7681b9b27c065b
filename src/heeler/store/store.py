"""The contract of a store: keys, values, one revision counter.

A value never holds its own revision: the store gives the revision back, as etcd must (it is unknown until the commit).
`heeler.store.sqlite`, `memory` and `etcd` keep this contract; `tests/contract/test_store.py` holds them to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, NamedTuple, Protocol

from heeler.objects.value import Revision


class Entry(NamedTuple):
    """One key's newest value and the revision of its last write."""

    key: str
    value: bytes
    revision: Revision


class Page(NamedTuple):
    """Entries in the order of their keys, as they were at `revision`; `remaining` more follow."""

    entries: list[Entry]
    revision: Revision
    remaining: int


class Change(NamedTuple):
    """One committed write. `value` is the new value (for "delete", the last one), `previous` what it replaced."""

    type: Literal["create", "update", "delete"]
    key: str
    value: bytes
    revision: Revision
    previous: bytes | None


class StoreError(Exception):
    """Base of what a store refuses."""


class KeyExists(StoreError):
    """Create found the key."""


class KeyNotFound(StoreError):
    """Update or delete did not find the key."""


class RevisionMismatch(StoreError):
    """Compare-and-swap found another revision; `entry` is what is there now (None: unknown)."""

    def __init__(self, entry: Entry | None) -> None:
        super().__init__("revision mismatch")
        self.entry = entry


class Compacted(StoreError):
    """The wanted revision is older than what is kept."""

    def __init__(self, oldest: Revision) -> None:
        super().__init__(f"revisions before {oldest} are compacted")
        self.oldest = oldest


class FutureRevision(StoreError):
    """The wanted revision is newer than the store's."""

    def __init__(self, current: Revision) -> None:
        super().__init__(f"the store is at revision {current}")
        self.current = current


class StoreUnavailable(StoreError):
    """The disk is full or read-only, or the cluster has no leader: nothing was written; try later."""


class Store(Protocol):
    """A write returns when it is on disk. Revisions start at 1 and grow by one with each write."""

    @property
    def revision(self) -> Revision:
        """The newest revision that this store has seen (0 when empty)."""
        ...

    @property
    def problem(self) -> str:
        """Why the last write failed ("" when it didn't): what a health check tells."""
        ...

    async def current_revision(self) -> Revision:
        """The newest revision that is committed anywhere (asks the cluster where there is one)."""
        ...

    async def get(self, key: str) -> Entry | None: ...

    async def list(self, prefix: str, *, revision: Revision | None = None, after: str = "", limit: int = 0) -> Page:
        """Keys that start with `prefix` and come after `after`. Raises Compacted, FutureRevision."""
        ...

    async def create(self, key: str, value: bytes) -> Revision:
        """Raises KeyExists."""
        ...

    async def update(self, key: str, value: bytes, expected: Revision) -> Revision:
        """Raises KeyNotFound, RevisionMismatch."""
        ...

    async def delete(self, key: str, expected: Revision) -> Revision:
        """Raises KeyNotFound, RevisionMismatch."""
        ...

    def watch(self, prefix: str, after: Revision) -> AsyncIterator[Change]:
        """Every change under `prefix` with a revision above `after`, in order, for ever. Raises Compacted."""
        ...

    async def compact(self, revision: Revision) -> None:
        """Forget what was replaced before `revision`; the newest value of each key stays."""
        ...

    async def close(self) -> None: ...
