"""https://kubernetes.io/docs/concepts/architecture/leases/#leader-election"""

import asyncio

import pytest

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks
from heeler.client.faulty import Faults, FaultyClient
from heeler.client.leases import Election, LostLease, Terms
from tests.unit.client.memory import MemoryClient

NONE = Faults(0, 0, 0, 0, 0, 0)


def test_one_leads_and_another_follows_when_the_leader_goes():
    async def main():
        memory, leading, clock = MemoryClient(), [], LoopClock()

        async def candidate(name, seconds):
            async def lead():
                leading.append((name, clock.monotonic()))
                await clock.sleep(seconds)

            await Election(memory, "controllers", name, clock=clock, random=SeededRandom(1)).run(lead)

        async with Tasks() as tasks:
            tasks.spawn(candidate("a", 60))
            await asyncio.sleep(1)
            tasks.spawn(candidate("b", 60))
            await tasks.wait()
        assert [name for name, _ in leading] == ["a", "b"]
        assert leading[1][1] >= 60  # not before the first freed it

    simulate(main())


def test_a_leader_that_can_not_renew_stops_and_another_takes_over_after_the_lease():
    async def main():
        memory, clock, stopped, took = MemoryClient(), LoopClock(), [], []
        flaky = FaultyClient(memory, random=SeededRandom(1), clock=clock, faults=NONE)

        async def first():
            async def lead():
                await clock.sleep(1000)

            with pytest.raises(LostLease):
                await Election(flaky, "x", "first", clock=clock, random=SeededRandom(1)).run(lead)
            stopped.append(clock.monotonic())

        async def second():
            async def lead():
                took.append(clock.monotonic())

            await Election(memory, "x", "second", clock=clock, random=SeededRandom(2)).run(lead)

        async with Tasks() as tasks:
            tasks.spawn(first())
            await asyncio.sleep(5)
            tasks.spawn(second())
            await asyncio.sleep(15)
            flaky.faults = Faults(1, 0, 0, 0, 0, 0)
            await tasks.wait()
        assert stopped[0] < took[0]

    simulate(main())


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ((10, 10, 2), "leaseDuration must be greater than renewDeadline"),
        ((15, 2, 2), "renewDeadline must be greater than retryPeriod"),
        ((0.9, 0.5, 0.1), "at least one second"),
    ],
)
def test_terms_under_which_two_could_lead_are_refused(terms, why):
    with pytest.raises(ValueError, match=why):
        Terms(*terms)


def test_who_leads_says_so():
    async def main():
        memory, told, clock = MemoryClient(), [], LoopClock()

        def tell(lease, message):
            told.append((lease["kind"], lease["metadata"]["name"], message))

        election = Election(memory, "x", "me", clock=clock, random=SeededRandom(1), tell=tell)
        await election.run(lambda: clock.sleep(1))
        assert told == [("Lease", "x", "me became leader"), ("Lease", "x", "me stopped leading")]

    simulate(main())
