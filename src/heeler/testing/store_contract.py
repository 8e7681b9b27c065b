"""What every store must do: one suite, run against each implementation (and shipped, for whoever writes another).

Each check is a coroutine function that takes a fresh store. `CHECKS` lists them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from heeler.objects.value import Revision
from heeler.store.store import (
    Change,
    Compacted,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    RevisionMismatch,
    Store,
)

Check = Callable[[Store], Awaitable[None]]


async def _take(store: Store, prefix: str, after: int, count: int) -> list[Change]:
    out: list[Change] = []
    watch = store.watch(prefix, Revision(after))
    async with asyncio.timeout(5):
        async for change in watch:
            out.append(change)
            if len(out) == count:
                break
    await watch.aclose()  # type: ignore[attr-defined]
    return out


async def created_value_is_read_back(store: Store) -> None:
    revision = await store.create("/r/pods/a", b"1")
    entry = await store.get("/r/pods/a")
    assert entry is not None and (entry.value, entry.revision) == (b"1", revision)
    assert store.revision >= revision


async def missing_key_is_none(store: Store) -> None:
    assert await store.get("/r/none") is None


async def creating_twice_is_refused(store: Store) -> None:
    await store.create("/r/a", b"1")
    try:
        await store.create("/r/a", b"2")
    except KeyExists:
        pass
    else:
        raise AssertionError("created twice")
    entry = await store.get("/r/a")
    assert entry is not None and entry.value == b"1"


async def of_two_creates_at_once_one_wins(store: Store) -> None:
    results = await asyncio.gather(*(store.create("/r/a", b"%d" % i) for i in range(5)), return_exceptions=True)
    assert sum(not isinstance(r, BaseException) for r in results) == 1
    assert sum(isinstance(r, KeyExists) for r in results) == 4


async def update_needs_the_right_revision(store: Store) -> None:
    first = await store.create("/r/a", b"1")
    second = await store.update("/r/a", b"2", first)
    assert second > first
    try:
        await store.update("/r/a", b"3", first)
    except RevisionMismatch as mismatch:
        assert mismatch.entry is None or mismatch.entry.value == b"2"
    else:
        raise AssertionError("an old revision was accepted")


async def of_two_updates_at_once_one_wins(store: Store) -> None:
    first = await store.create("/r/a", b"0")
    results = await asyncio.gather(*(store.update("/r/a", b"%d" % i, first) for i in range(5)), return_exceptions=True)
    assert sum(not isinstance(r, BaseException) for r in results) == 1
    assert sum(isinstance(r, RevisionMismatch) for r in results) == 4


async def update_of_what_is_not_there_is_refused(store: Store) -> None:
    try:
        await store.update("/r/none", b"1", Revision(1))
    except KeyNotFound:
        return
    raise AssertionError("updated a key that is not there")


async def deleted_key_can_be_created_again(store: Store) -> None:
    first = await store.create("/r/a", b"1")
    gone = await store.delete("/r/a", first)
    assert gone > first
    assert await store.get("/r/a") is None
    assert await store.create("/r/a", b"2") > gone


async def create_right_behind_a_delete_waits_for_nobody(store: Store) -> None:
    first = await store.create("/r/a", b"1")
    gone, again = await asyncio.gather(store.delete("/r/a", first), _create_when_gone(store))
    assert again > gone


async def _create_when_gone(store: Store) -> Revision:
    for _ in range(1000):
        try:
            return await store.create("/r/a", b"2")
        except KeyExists:
            await asyncio.sleep(0)
    raise AssertionError("the key never went")


async def list_is_in_order_and_by_prefix(store: Store) -> None:
    for key in ("/r/pods/b", "/r/pods/a", "/r/podsx/c", "/r/nodes/n", "/r/pods/a/x"):
        await store.create(key, key.encode())
    page = await store.list("/r/pods/")
    assert [e.key for e in page.entries] == ["/r/pods/a", "/r/pods/a/x", "/r/pods/b"]
    assert page.remaining == 0


async def pages_join_to_the_whole_at_one_revision(store: Store) -> None:
    for i in range(10):
        await store.create(f"/r/k{i}", b"old")
    first = await store.list("/r/", limit=4)
    assert first.remaining == 6
    await store.create("/r/k00", b"new")
    entry = await store.get("/r/k9")
    assert entry is not None
    await store.delete("/r/k9", entry.revision)
    second = await store.list("/r/", limit=4, after=first.entries[-1].key, revision=first.revision)
    third = await store.list("/r/", limit=4, after=second.entries[-1].key, revision=first.revision)
    keys = [e.key for e in (*first.entries, *second.entries, *third.entries)]
    assert keys == [f"/r/k{i}" for i in range(10)]
    assert third.remaining == 0


async def list_at_a_future_revision_is_refused(store: Store) -> None:
    await store.create("/r/a", b"1")
    try:
        await store.list("/r/", revision=Revision(store.revision + 1000))
    except FutureRevision:
        return
    raise AssertionError("the future was listed")


async def watch_gives_each_change_in_order(store: Store) -> None:
    start = await store.create("/r/x", b"0")
    first = await store.create("/r/pods/a", b"1")
    await store.create("/r/nodes/n", b"1")
    second = await store.update("/r/pods/a", b"2", first)
    third = await store.delete("/r/pods/a", second)
    changes = await _take(store, "/r/pods/", start, 3)
    assert [(c.type, c.value, c.revision) for c in changes] == [
        ("create", b"1", first),
        ("update", b"2", second),
        ("delete", b"2", third),
    ]
    assert [c.previous for c in changes] == [None, b"1", b"2"]


async def watch_sees_what_comes_later(store: Store) -> None:
    start = await store.create("/r/x", b"0")
    taking = asyncio.ensure_future(_take(store, "/r/", start, 50))
    await asyncio.sleep(0)
    await asyncio.gather(*(store.create(f"/r/k{i}", b"v") for i in range(50)))
    changes = await taking
    revisions = [c.revision for c in changes]
    assert revisions == sorted(revisions) and len({c.key for c in changes}) == 50


async def compaction_keeps_the_newest_and_refuses_the_old(store: Store) -> None:
    first = await store.create("/r/a", b"1")
    second = await store.update("/r/a", b"2", first)
    gone = await store.create("/r/b", b"1")
    last = await store.delete("/r/b", gone)
    await store.compact(last)
    entry = await store.get("/r/a")
    assert entry is not None and (entry.value, entry.revision) == (b"2", second)
    assert [e.key for e in (await store.list("/r/")).entries] == ["/r/a"]
    for attempt in (store.list("/r/", revision=first), _take(store, "/r/", first, 1)):
        try:
            await attempt
        except Compacted:
            continue
        raise AssertionError("a compacted revision was served")
    assert await store.update("/r/a", b"3", second) > last


async def revision_grows_with_every_write(store: Store) -> None:
    seen = [await store.create(f"/r/{i}", b"") for i in range(5)]
    assert seen == sorted(seen) and len({*seen}) == 5
    assert await store.current_revision() >= seen[-1]


CHECKS: tuple[Check, ...] = (
    created_value_is_read_back,
    missing_key_is_none,
    creating_twice_is_refused,
    of_two_creates_at_once_one_wins,
    update_needs_the_right_revision,
    of_two_updates_at_once_one_wins,
    update_of_what_is_not_there_is_refused,
    deleted_key_can_be_created_again,
    create_right_behind_a_delete_waits_for_nobody,
    list_is_in_order_and_by_prefix,
    pages_join_to_the_whole_at_one_revision,
    list_at_a_future_revision_is_refused,
    watch_gives_each_change_in_order,
    watch_sees_what_comes_later,
    compaction_keeps_the_newest_and_refuses_the_old,
    revision_grows_with_every_write,
)
