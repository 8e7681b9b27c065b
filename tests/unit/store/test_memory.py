"""What a store in memory does beside the contract: it stays bounded, and goes on from another one's entries."""

from __future__ import annotations

import asyncio

import pytest

from heeler.objects.value import Revision
from heeler.store.memory import MAX_REPLACED, MemoryStore
from heeler.store.store import Compacted


def test_what_was_replaced_is_bounded_though_nobody_compacts():
    async def main():
        store = MemoryStore()
        first = newest = await store.create("/a", b"1")
        for _ in range(3 * MAX_REPLACED):
            newest = await store.update("/a", b"2", newest)
        assert len(store._versions["/a"]) <= MAX_REPLACED + 1
        with pytest.raises(Compacted):
            await store.list("/", revision=first)
        assert [entry.value for entry in (await store.list("/")).entries] == [b"2"]
        page = await store.list("/", revision=Revision(newest - 10))
        assert page.revision == newest - 10

    asyncio.run(main())


def test_it_goes_on_where_another_one_was_left():
    async def main():
        before = MemoryStore()
        await before.create("/b", b"1")
        old = await before.create("/a", b"1")
        await before.update("/a", b"2", old)
        store = MemoryStore.of(before.entries())
        assert store.entries() == before.entries()
        assert store.revision == before.revision
        assert await store.create("/c", b"1") == before.revision + 1
        assert [change.key for change in store.history.since(before.revision)] == ["/c"]

    asyncio.run(main())
