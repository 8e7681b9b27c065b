"""What a client allows itself."""

from __future__ import annotations

import asyncio

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.client.throttle import Throttle


def taken(qps: float, burst: int, count: int) -> list[float]:
    """When each of `count` requests that are there at once is let through."""

    async def story() -> list[float]:
        clock = LoopClock()
        throttle, begin = Throttle(qps, burst, clock), clock.monotonic()
        times: list[float] = []

        async def one() -> None:
            await throttle.take()
            times.append(round(clock.monotonic() - begin, 3))

        await asyncio.gather(*(one() for _ in range(count)))
        return times

    return simulate(story())


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    assert taken(10, 3, 6) == [0, 0, 0, 0.1, 0.2, 0.3]


def test_a_rate_of_nothing_holds_nobody_back() -> None:
    assert taken(0, 1, 5) == [0] * 5
