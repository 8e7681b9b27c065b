"""A node whose clock is set: after a laptop's sleep a day ahead, or back by an hour."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heeler.base.clock import SystemClock, rfc3339
from heeler.kubelet.pods import plan
from heeler.kubelet.pods.views import Backoff, Memory
from heeler.kubelet.sources import Sources
from tests.unit.kubelet.pods import ended, pod, view

HOUR = 3600.0


class SetClock(SystemClock):
    now = 1_000_000.0

    def time(self) -> float:
        return self.now


class Tokens:
    """Makes tokens for an hour."""

    def __init__(self, clock: SetClock) -> None:
        self._clock, self.made = clock, 0

    async def create(self, *_: Any, **__: Any) -> Any:
        self.made += 1
        return {"status": {"token": f"t{self.made}", "expirationTimestamp": rfc3339(self._clock.now + HOUR)}}


@pytest.mark.parametrize(
    ("step", "token"), [(0.7 * HOUR, "t1"), (0.9 * HOUR, "t2"), (24 * HOUR, "t2"), (-HOUR, "t2"), (-1.0, "t2")]
)
def test_a_pod_s_token_is_renewed_in_time_and_when_it_is_of_the_future(step: float, token: str) -> None:
    clock = SetClock()
    sources = Sources(Tokens(clock), clock)  # type: ignore[arg-type]

    async def ask() -> str:
        return await sources.token(pod(), "v", {"path": "token"})

    assert asyncio.run(ask()) == "t1"
    clock.now += step
    assert asyncio.run(ask()) == token
    assert asyncio.run(ask()) == token, "and kept"


@pytest.mark.parametrize("step", [24 * HOUR, -HOUR])
def test_waits_go_by_what_has_passed(step: float) -> None:
    memory = Memory(started_at=1.0, ending_since=90.0, retry_at={"app": 110.0})
    assert plan.decide(pod(), view(), memory, 100.0).wake_at == 110.0
    plan.set_clock(memory, step)
    decision = plan.decide(pod(), view(), memory, 100.0 + step)
    assert (decision.todo, decision.wake_at) == ([], 110.0 + step)
    assert memory.ending_since == 90.0 + step


def test_a_crash_before_the_clock_was_set_back_is_no_reason_to_wait() -> None:
    crashed = ended("app", 1, at=1000.0 + HOUR)
    memory = Memory(started_at=1.0, backoffs={"app": Backoff(40.0, 900.0)})
    assert plan.decide(pod(), view(crashed), memory, 1000.0).todo == [plan.StartContainer("app", 1)]
