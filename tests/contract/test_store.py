"""Every store keeps the same contract (`heeler.testing.store_contract`)."""

import asyncio
from pathlib import Path

import pytest

from heeler.objects.value import Revision
from heeler.store.memory import MemoryStore
from heeler.store.sqlite import SqliteStore
from heeler.store.store import StoreUnavailable
from heeler.testing.store_contract import CHECKS, Check


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_memory(check: Check) -> None:
    asyncio.run(check(MemoryStore()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_sqlite(check: Check, tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        try:
            await check(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    async def write() -> Revision:
        store = SqliteStore.open(tmp_path / "store.db")
        first = await store.create("/r/a", b"1")
        await store.update("/r/a", b"2", first)
        gone = await store.create("/r/b", b"1")
        await store.delete("/r/b", gone)
        await store.close()
        return first

    async def read(after: Revision) -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        assert [(e.key, e.value) for e in (await store.list("/r/")).entries] == [("/r/a", b"2")]
        assert store.revision == 4
        assert [c.type for c in store.history.since(after)] == ["update", "create", "delete"]
        assert await store.create("/r/c", b"") == 5
        await store.close()

    asyncio.run(read(asyncio.run(write())))


def test_second_user_of_the_file_is_told_so(tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        await store.create("/r/a", b"1")
        with pytest.raises(StoreUnavailable, match="another Heeler uses it"):
            SqliteStore.open(tmp_path / "store.db")
        await store.close()

    asyncio.run(run())


def test_failed_batch_takes_back_what_was_decided_on_it(tmp_path: Path) -> None:
    async def run() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        first = await store.create("/r/a", b"1")
        store._connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(StoreUnavailable, match="free some space"):
            await store.create("/r/b", b"x" * 1_000_000)
        store._connection.execute("PRAGMA max_page_count = 1000000")
        assert await store.get("/r/b") is None
        assert await store.update("/r/a", b"2", first) == first + 1
        await store.close()

    asyncio.run(run())
