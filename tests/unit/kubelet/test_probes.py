"""The rhythm of probes: thresholds, startup before the others, quick looks at first. Time is the loop's own."""

from __future__ import annotations

from typing import Any

from heeler.base import loop
from heeler.base.clock import LoopClock
from heeler.base.random import SeededRandom
from heeler.kubelet.checks import Outcome
from heeler.kubelet.pods.views import Health
from heeler.kubelet.probes import Prober
from heeler.objects.value import Object
from tests.unit.kubelet.pods import container


class Told:
    """A container whose health is what `well` says at a moment; notes what happens when."""

    def __init__(self, well: Any, **probes: Object) -> None:
        self.clock, self.well = LoopClock(0.0), well
        self.looks: list[tuple[str, float]] = []
        self.told: list[tuple[str, float]] = []
        self.states: list[tuple[float, bool, bool, str]] = []
        found = container("app", **probes)
        starts = "startupProbe" not in found
        self.health = Health("id", starts, starts and "readinessProbe" not in found)
        self.prober = Prober(found, self.health, self.check, self.tell, self.changed, self.clock, SeededRandom(1))

    def now(self) -> float:
        return round(self.clock.monotonic(), 2)

    async def check(self, probe: Object, found: Object, name: str) -> Outcome:
        kind = str(probe["kind"])
        self.looks.append((kind, self.now()))
        return Outcome(self.well(kind, self.now()), "ill")

    def tell(self, found: Object, kind: str, text: str) -> None:
        self.told.append((kind, self.now()))

    def changed(self) -> None:
        self.states.append((self.now(), self.health.started, self.health.ready, self.health.failed))

    def run(self, seconds: float) -> Told:
        async def main() -> None:
            self.prober.start()
            await self.clock.sleep(seconds)
            await self.prober.stop()

        loop.simulate(main())
        return self


def probe(kind: str, **more: Any) -> Object:
    return {"kind": kind, "periodSeconds": 10, **more}


def test_a_container_is_ready_soon_after_it_answers() -> None:
    told = Told(lambda kind, now: now >= 0.3, readinessProbe=probe("readiness")).run(5)
    [(moment, _, ready, _)] = told.states
    assert ready and 0.3 <= moment < 0.5
    assert told.told == []


def test_readiness_is_lost_after_so_many_failures_and_comes_back() -> None:
    told = Told(
        lambda kind, now: not 20 < now < 65, readinessProbe=probe("readiness", failureThreshold=3, successThreshold=1)
    ).run(100)
    assert [ready for _, _, ready, _ in told.states] == [True, False, True]
    assert 40 < told.states[1][0] < 55 and 65 < told.states[2][0] < 77
    assert {kind for kind, _ in told.told} == {"Readiness"}


def test_liveness_kills_after_so_many_failures_in_a_row() -> None:
    told = Told(lambda kind, now: now < 15, livenessProbe=probe("liveness", failureThreshold=2)).run(100)
    [(moment, _, _, failed)] = told.states
    assert failed == "liveness" and 28 < moment < 35


def test_nothing_else_is_asked_before_the_start_is_over() -> None:
    told = Told(
        lambda kind, now: now > 25,
        startupProbe=probe("startup", failureThreshold=10),
        livenessProbe=probe("liveness"),
        readinessProbe=probe("readiness"),
    ).run(60)
    first = next(now for kind, now in told.looks if kind != "startup")
    assert first > 25
    assert told.health.started and told.health.ready and not told.health.failed


def test_a_start_that_takes_too_long_is_a_failure() -> None:
    told = Told(lambda kind, now: False, startupProbe=probe("startup", failureThreshold=2)).run(60)
    assert told.health.failed == "startup" and not told.health.started


def test_a_pod_that_ends_is_not_restarted_by_its_probes() -> None:
    told = Told(lambda kind, now: now < 15, livenessProbe=probe("liveness", failureThreshold=1))
    told.prober.ending = True
    assert told.run(60).health.failed == ""
