"""What a work queue counts: how many keys came, how long they waited and were worked on, what was tried again.

https://kubernetes.io/docs/reference/instrumentation/metrics/ (workqueue_…)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key")

#: Upper bounds of the histograms, in seconds, and how Go writes them.
BUCKETS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
SHOWN = ("1e-08", "1e-07", "1e-06", "9.999999999999999e-06", "9.999999999999999e-05", "0.001", "0.01", "0.1", "1", "10")


class Histogram:
    """How often something took how many seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """In Prometheus' text format; each bucket counts those below it too."""
        total = 0
        for bound, count in zip((*SHOWN, "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self.sum:.9g}"
        yield f"{name}_count{{{labels}}} {total}"


class QueueMeasures(Generic[Key]):
    """Of one queue. `now` gives seconds from a fixed moment."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._added_at: dict[Key, float] = {}
        self._begun_at: dict[Key, float] = {}
        self.adds = 0
        self.retries = 0
        self.waited, self.worked = Histogram(), Histogram()

    def added(self, key: Key) -> None:
        self.adds += 1
        self._added_at.setdefault(key, self._now())

    def begun(self, key: Key) -> None:
        now = self._now()
        self.waited.observe(now - self._added_at.pop(key, now))
        self._begun_at[key] = now

    def done(self, key: Key) -> None:
        began = self._begun_at.pop(key, None)
        if began is not None:
            self.worked.observe(self._now() - began)

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return len(self._added_at)

    def running(self) -> tuple[float, float]:
        """Seconds of all work under way together, and of the longest."""
        now = self._now()
        spent = [now - began for began in self._begun_at.values()]
        return sum(spent), max(spent, default=0.0)


class _Metric(NamedTuple):
    name: str
    type: str
    help: str
    lines: Callable[[str, str, QueueMeasures[str]], Iterator[str]]


def _one(value: Callable[[QueueMeasures[str]], float]) -> Callable[[str, str, QueueMeasures[str]], Iterator[str]]:
    def lines(name: str, labels: str, queue: QueueMeasures[str]) -> Iterator[str]:
        yield f"{name}{{{labels}}} {value(queue):.9g}"

    return lines


METRICS = (
    _Metric("workqueue_adds_total", "counter", "Keys that were added", _one(lambda queue: queue.adds)),
    _Metric("workqueue_depth", "gauge", "Keys that wait", _one(lambda queue: queue.depth)),
    _Metric(
        "workqueue_longest_running_processor_seconds",
        "gauge",
        "For how long the longest work under way has been",
        _one(lambda queue: queue.running()[1]),
    ),
    _Metric(
        "workqueue_queue_duration_seconds",
        "histogram",
        "How long keys waited",
        lambda name, labels, queue: queue.waited.lines(name, labels),
    ),
    _Metric("workqueue_retries_total", "counter", "Keys that were tried again", _one(lambda queue: queue.retries)),
    _Metric(
        "workqueue_unfinished_work_seconds",
        "gauge",
        "For how long all work under way has been, together",
        _one(lambda queue: queue.running()[0]),
    ),
    _Metric(
        "workqueue_work_duration_seconds",
        "histogram",
        "How long keys were worked on",
        lambda name, labels, queue: queue.worked.lines(name, labels),
    ),
)


def text(queues: Mapping[str, QueueMeasures[str]]) -> str:
    """The page of all queues, by name, in Prometheus' text format."""
    out: list[str] = []
    for metric in METRICS:
        out += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
        for name, queue in queues.items():
            out += metric.lines(metric.name, f'name="{name}"', queue)
    return "\n".join(out) + "\n"
