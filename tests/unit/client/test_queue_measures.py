"""What work queues count, as Prometheus reads it."""

from __future__ import annotations

import asyncio

from heeler.client.queue import WorkQueue
from heeler.client.queue_measures import Histogram, QueueMeasures, text


def test_a_queue_counts_what_comes_waits_and_is_worked_on() -> None:
    asyncio.run(_count())


async def _count() -> None:
    now = [0.0]
    queue: WorkQueue[str] = WorkQueue()
    measures: QueueMeasures[str] = QueueMeasures(lambda: now[0])
    queue.measure(measures)
    queue.add("a")
    queue.add("a")  # once only
    queue.add("b")
    assert (measures.adds, measures.depth) == (2, 2)
    now[0] = 0.5
    key = await queue.get()
    queue.add(key)  # again, after this time
    now[0] = 2.5
    assert measures.running() == (2.0, 2.0)
    queue.done(key)
    assert measures.running() == (0.0, 0.0)
    queue.add_failed("c")
    queue.close()
    page = text({"deployment": measures})
    for line in (
        '# TYPE workqueue_adds_total counter\nworkqueue_adds_total{name="deployment"} 3\n',
        'workqueue_depth{name="deployment"} 2\n',
        'workqueue_retries_total{name="deployment"} 1\n',
        'workqueue_queue_duration_seconds_bucket{name="deployment",le="0.1"} 0\n',
        'workqueue_queue_duration_seconds_bucket{name="deployment",le="1"} 1\n',
        'workqueue_work_duration_seconds_bucket{name="deployment",le="10"} 1\n',
        'workqueue_work_duration_seconds_sum{name="deployment"} 2\n',
    ):
        assert line in page


def test_a_bucket_counts_what_is_no_longer_than_its_bound() -> None:
    found = Histogram()
    for seconds in (0.1, 0.100001, 11.0):
        found.observe(seconds)
    assert list(found.lines("t", 'name="x"'))[7:] == [
        't_bucket{name="x",le="0.1"} 1',
        't_bucket{name="x",le="1"} 2',
        't_bucket{name="x",le="10"} 2',
        't_bucket{name="x",le="+Inf"} 3',
        't_sum{name="x"} 11.200001',
        't_count{name="x"} 3',
    ]
