import asyncio
import inspect

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import Deadlock, simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks, later, together


def test_a_day_passes_at_once():
    async def main():
        clock = LoopClock()
        before = clock.time()
        await clock.sleep(86_400)
        return clock.time() - before

    assert simulate(main()) == 86_400


def test_timers_run_in_the_order_of_their_moments():
    async def main():
        seen = []
        for seconds in (3, 1, 2):
            later(seconds, lambda s=seconds: seen.append(s))
        await asyncio.sleep(5)
        return seen

    assert simulate(main()) == [1, 2, 3]


def test_timers_of_one_moment_run_in_the_order_in_which_they_were_made_and_cancelled_ones_do_not():
    async def main():
        seen = []
        made = [later(1, lambda n=number: seen.append(n)) for number in range(300)]
        for timer in made[::3]:
            timer.cancel()
        later(1, lambda: seen.append("last"))
        await asyncio.sleep(2)
        return seen

    assert simulate(main()) == [*(n for n in range(300) if n % 3), "last"]


def test_a_callback_that_fails_is_told_and_the_others_run():
    async def main():
        told, seen = [], []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(seen.append, "next")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return told, seen

    (told,), seen = simulate(main())
    assert seen == ["next"] and isinstance(told["exception"], ZeroDivisionError) and "lambda" in told["message"]


def test_waiting_for_nothing_is_a_deadlock_that_names_who_waits():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="main"):
        simulate(main())


def test_executors_run_inline():
    async def main():
        return await asyncio.get_running_loop().run_in_executor(None, lambda: 7)

    assert simulate(main()) == 7


def _interleaving(seed):
    async def main():
        seen = []

        async def work(name):
            for step in range(3):
                seen.append(f"{name}{step}")
                await asyncio.sleep(0)

        async with Tasks() as tasks:
            for name in "abcd":
                tasks.spawn(work(name))
            await tasks.wait()
        return seen

    return simulate(main(), SeededRandom(seed) if seed is not None else None)


def test_the_order_is_that_of_the_seed():
    assert _interleaving(None)[:4] == ["a0", "b0", "c0", "d0"]
    assert _interleaving(1) == _interleaving(1)
    assert len({tuple(_interleaving(seed)) for seed in range(5)}) > 1


def test_tasks_are_cancelled_last_started_first():
    async def main():
        seen = []

        async def work(name):
            try:
                await asyncio.sleep(100)
            finally:
                seen.append(name)

        async with Tasks() as tasks:
            for name in "abc":
                tasks.spawn(work(name))
            await asyncio.sleep(1)
        return seen

    assert simulate(main()) == ["c", "b", "a"]


def test_a_failed_task_stops_the_others_and_is_raised():
    async def main():
        async def fail():
            await asyncio.sleep(1)
            raise ValueError("broken")

        async with Tasks() as tasks:
            tasks.spawn(asyncio.sleep(1000))
            tasks.spawn(fail())
            await asyncio.sleep(500)

    with pytest.raises(ValueError, match="broken"):
        simulate(main())


def test_cancelling_the_owner_cancels_its_tasks():
    async def main():
        ended = []

        async def own():
            async with Tasks() as tasks:
                tasks.spawn(asyncio.sleep(1000)).add_done_callback(lambda t: ended.append(t.cancelled()))
                await asyncio.sleep(1000)

        task = asyncio.ensure_future(own())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended

    assert simulate(main()) == [True]


def test_together_lets_all_end_before_the_first_failure_is_raised():
    async def main():
        done = []

        async def work(seconds, fail=False):
            await asyncio.sleep(seconds)
            done.append(seconds)
            if fail:
                raise ValueError(str(seconds))

        with pytest.raises(ValueError, match="1"):
            await together(work(1, fail=True), work(2))
        return done

    assert simulate(main()) == [1, 2]


def test_one_alone_is_awaited_like_several():
    async def fails():
        raise ValueError("why")

    async def main():
        with pytest.raises(ValueError, match="why"):
            await together(fails())
        return await together(asyncio.sleep(1, "there"))

    assert simulate(main()) == ["there"]


def test_together_cancelled_before_it_begins_leaves_nothing_unawaited():
    async def main():
        async def work():
            await asyncio.sleep(1)

        parts = [work(), work()]
        task = asyncio.ensure_future(together(*parts))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [inspect.getcoroutinestate(part) for part in parts]

    assert simulate(main()) == [inspect.CORO_CLOSED] * 2


def test_two_that_wait_for_nearly_the_same_moment_do_not_keep_each_other_awake() -> None:
    async def wait_until(moment: float) -> int:
        loop, woken = asyncio.get_running_loop(), 0
        while loop.time() < moment:
            future = loop.create_future()
            timer = loop.call_at(moment, future.set_result, None)
            await future
            timer.cancel()
            woken += 1
        return woken

    async def story() -> list[int]:
        await asyncio.sleep(4000.0)
        return list(await asyncio.gather(*(wait_until(8000.0 + n * 4e-10) for n in range(5))))

    assert simulate(story()) == [1, 1, 1, 1, 1]


def test_waiting_for_tasks_that_end_at_this_very_moment_comes_to_an_end():
    """A task may be over while those who are told of it haven't been told: waiting must let them be."""

    async def main():
        async with Tasks() as tasks:
            tasks.spawn(LoopClock().sleep(10))
            await LoopClock().sleep(10)
            await tasks.wait()
            tasks.spawn(LoopClock().sleep(0))
            await asyncio.sleep(0)
            await tasks.stop()
        return "over"

    for seed in range(20):
        assert simulate(main(), SeededRandom(seed)) == "over"
