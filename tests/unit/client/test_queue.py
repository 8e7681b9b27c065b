import asyncio

from hypothesis import given
from hypothesis import strategies as st

from heeler.base.loop import simulate
from heeler.base.tasks import Tasks
from heeler.client.queue import WorkQueue


def test_a_key_is_in_the_queue_once_and_comes_again_if_added_meanwhile():
    async def main():
        queue = WorkQueue()
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        assert len(queue) == 0
        queue.add("a")
        assert len(queue) == 0  # not while it is worked on
        queue.done("a")
        assert len(queue) == 1
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle

    simulate(main())


def test_failures_wait_longer_each_time_up_to_the_limit():
    async def main():
        queue = WorkQueue()
        delays = [queue.add_failed("a") for _ in range(25)]
        assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
        assert delays[-1] == 1000.0
        queue.forget("a")
        assert queue.add_failed("a") == 0.005

    simulate(main())


def test_of_several_delays_the_earliest_counts():
    async def main():
        queue = WorkQueue()
        queue.add_after("a", 10)
        queue.add_after("a", 3)
        queue.add_after("a", 20)
        await queue.get()
        return asyncio.get_running_loop().time()

    assert simulate(main()) == 3


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(1, 4))
def test_no_key_is_worked_on_twice_at_once_and_none_is_lost(keys, workers):
    async def main():
        queue, busy, last = WorkQueue(), set(), {}

        async def work():
            while True:
                key = await queue.get()
                assert key not in busy
                busy.add(key)
                last[key] = asyncio.get_running_loop().time()
                await asyncio.sleep(1)
                busy.remove(key)
                queue.done(key)

        async with Tasks() as tasks:
            for _ in range(workers):
                tasks.spawn(work())
            added = {}
            for key in keys:
                queue.add(key)
                added[key] = asyncio.get_running_loop().time()
                await asyncio.sleep(0.4)
            await asyncio.sleep(100)
            assert queue.idle
            assert all(last[key] >= at for key, at in added.items())

    simulate(main())
