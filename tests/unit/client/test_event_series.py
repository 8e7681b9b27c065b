"""https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/"""

import asyncio

from heeler.base.clock import LoopClock
from heeler.base.loop import simulate
from heeler.base.tasks import Tasks
from heeler.client.event_series import FINISH_SECONDS, MAX_WAITING, SeriesRecorder


class Writes:
    """Keeps what is written."""

    def __init__(self):
        self.created, self.patched = [], []

    async def create(self, resource, obj, namespace):
        self.created.append(dict(obj))

    async def patch(self, resource, name, patch, namespace):
        self.patched.append((name, patch["series"]["count"]))


def pod(version="1"):
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": version},
    }


def told(story):
    """What is written while a story is told to a recorder."""
    client = Writes()

    async def main():
        recorder = SeriesRecorder(client, "default-scheduler", "default-scheduler-h", clock=LoopClock())
        async with Tasks() as tasks:
            tasks.spawn(recorder.run())
            await story(recorder)
            await tasks.stop()

    simulate(main())
    return client


def test_the_same_again_is_a_series_that_is_told_once_and_at_its_end():
    async def story(recorder):
        for note in ("one", "another", "third"):
            recorder.record(pod(), "Warning", "FailedScheduling", "Scheduling", note)
            await asyncio.sleep(1)
        await asyncio.sleep(FINISH_SECONDS * 2.5)

    client = told(story)
    [event] = client.created
    assert (event["note"], event["reportingController"]) == ("one", "default-scheduler")
    assert [count for _, count in client.patched] == [2, 3]


def test_another_version_of_the_object_is_another_event():
    async def story(recorder):
        recorder.record(pod("1"), "Warning", "FailedScheduling", "Scheduling", "one")
        recorder.record(pod("2"), "Warning", "FailedScheduling", "Scheduling", "two")
        await asyncio.sleep(1)

    assert [event["note"] for event in told(story).created] == ["one", "two"]


def test_a_long_note_is_cut():
    async def story(recorder):
        recorder.record(pod(), "Normal", "Scheduled", "Binding", "ä" * 1000)
        await asyncio.sleep(1)

    [event] = told(story).created
    assert event["note"].endswith("ä ...") and len(event["note"].encode()) <= 1024


def test_a_flood_is_cut_off_with_few_words(caplog):
    async def story(recorder):
        for version in range(3 * MAX_WAITING):
            recorder.record(pod(str(version)), "Normal", "Scheduled", "Binding", "x")
        await asyncio.sleep(1)

    assert len(told(story).created) == MAX_WAITING
    assert 0 < len(caplog.records) < 20
