"""Long computations beside the loop, and tables that several threads make."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from heeler.base.aside import LARGE_BYTES, PATIENCE, Aside, Costly
from heeler.base.made import Made

WHO: ContextVar[str] = ContextVar("who", default="")


def test_small_work_is_done_where_it_is_and_large_work_elsewhere() -> None:
    async def run() -> list[bool]:
        aside, here = Aside(), threading.get_ident()
        found = [await aside.run(size, threading.get_ident) == here for size in (0, LARGE_BYTES - 1, LARGE_BYTES)]
        aside.close()
        return found

    assert asyncio.run(run()) == [True, True, False]


def test_the_loop_goes_on_meanwhile() -> None:
    """The computation ends only when the loop lets it."""

    async def run() -> bool:
        aside, go = Aside(), threading.Event()
        waiting = asyncio.ensure_future(aside.run(LARGE_BYTES, go.wait, 60))
        await asyncio.sleep(0)
        go.set()
        return await waiting

    assert asyncio.run(run())


def test_what_is_raised_and_the_context_come_along() -> None:
    async def run() -> str:
        aside = Aside()
        WHO.set("me")
        with pytest.raises(KeyError):
            await aside.run(LARGE_BYTES, {}.__getitem__, "x")
        return await aside.run(LARGE_BYTES, WHO.get)

    assert asyncio.run(run()) == "me"


def test_one_computation_at_a_time() -> None:
    running: list[int] = []
    most = []

    def work() -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    async def run() -> None:
        aside = Aside()
        await asyncio.gather(*(aside.run(LARGE_BYTES, work) for _ in range(50)))

    asyncio.run(run())
    assert max(most) == 1


def test_others_see_only_what_is_whole() -> None:
    table: Made[str, list[str]] = Made()
    seen: list[list[str] | None] = []

    def make(begun: dict[str, list[str]]) -> list[str]:
        made: list[str] = []
        begun["a"] = made
        assert table.get("a", make) is made  # whoever makes it finds it begun
        looking = threading.Thread(target=lambda: seen.append(table.whole.get("a")))
        looking.start()
        looking.join()
        made.append("done")
        return made

    assert table.get("a", make) == ["done"]
    assert seen == [None]
    assert table.whole == {"a": ["done"]}


def test_nothing_stays_of_what_could_not_be_made() -> None:
    table: Made[str, str] = Made()

    def make(begun: dict[str, str]) -> str:
        begun["a"] = "half"
        raise ValueError

    with pytest.raises(ValueError):
        table.get("a", make)
    assert table.get("a", lambda begun: "whole") == "whole"


def test_work_that_turns_out_to_be_long_begins_anew_elsewhere() -> None:
    begun: list[bool] = []

    def work() -> str:
        begun.append(PATIENCE.get() is not None)
        if begun[-1]:
            raise Costly
        return "done"

    async def run() -> str:
        return await Aside().run_counted(0, work)

    assert asyncio.run(run()) == "done"
    assert begun == [True, False]
    assert PATIENCE.get() is None
