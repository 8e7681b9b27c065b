"""https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/"""

import asyncio

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.tasks import Tasks
from heeler.client.events import BURST, EVENTS, Recorder
from heeler.objects import names
from tests.unit.client.memory import MemoryClient

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n", "uid": "u"}}


def recorded(body):
    async def main():
        memory = MemoryClient()
        recorder = Recorder(memory, "tester", clock=LoopClock())
        async with Tasks() as tasks:
            tasks.spawn(recorder.run())
            await body(recorder)
            await asyncio.sleep(1)
        return [obj for key, obj in sorted(memory.objects.items()) if key[0] == EVENTS]

    return simulate(main())


def test_the_same_event_is_counted():
    async def body(recorder):
        for _ in range(3):
            recorder.record(POD, "Normal", "Pulled", "got it")
            await asyncio.sleep(1)

    (event,) = recorded(body)
    assert event["count"] == 3
    assert event["involvedObject"]["name"] == "p"
    assert event["lastTimestamp"] > event["firstTimestamp"]


def test_from_the_tenth_on_similar_events_are_told_as_one():
    async def body(recorder):
        for number in range(15):
            recorder.record(POD, "Normal", "Created", f"pod {number}")

    events = recorded(body)
    assert len(events) == 10
    combined = [event for event in events if event["message"].startswith("(combined from similar events): ")]
    assert [event["count"] for event in combined] == [6]


def test_a_flood_about_one_object_is_cut_off():
    async def body(recorder):
        for number in range(100):
            recorder.record(POD, "Normal", f"Reason{number}", "x")

    assert len(recorded(body)) == BURST


def test_an_event_about_something_with_a_long_name_has_a_name_all_the_same():
    async def body(recorder):
        for name in ("a" * 240, "b" * 253, "system:node"):
            recorder.record(
                {**POD, "metadata": {**POD["metadata"], "name": name, "uid": name}}, "Normal", "Created", "made"
            )

    events = recorded(body)
    assert len(events) == 3
    assert all(names.subdomain(event["metadata"]["name"]) == [] for event in events)
