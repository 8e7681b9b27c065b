"""What the scheduler counts, under upstream's names.

https://kubernetes.io/docs/reference/instrumentation/metrics/ (scheduler_…)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Gauges(Protocol):
    """What a page asks the scheduler for."""

    def pending(self) -> Mapping[str, int]:
        """Pods by where they wait."""
        ...

    def unschedulable(self) -> Mapping[tuple[str, str], int]:
        """Pods by the plugin that refuses them and their profile."""
        ...

    def cached(self) -> Mapping[str, int]:
        """Nodes, pods and assumed pods."""
        ...


def _powers(first: float, count: int) -> tuple[float, ...]:
    return tuple(first * 2**power for power in range(count))


SECONDS = _powers(0.001, 15)
SLI_SECONDS = _powers(0.01, 20)
ATTEMPTS = _powers(1, 5)
VICTIMS = _powers(1, 7)
#: More attempts than this are told as one group.
MANY_ATTEMPTS = 15

Labels = tuple[tuple[str, str], ...]


def _shown(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


class Counters:
    """A counter for each set of labels."""

    def __init__(self, name: str, help: str) -> None:
        self.name, self.help = name, help
        self._values: dict[Labels, float] = {}

    def add(self, *labels: tuple[str, str], by: float = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} counter"
        for labels, value in sorted(self._values.items()):
            yield f"{self.name}{_shown(labels)} {value:.9g}"


class Histograms:
    """A histogram for each set of labels."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self._bounds = name, help, bounds
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: tuple[str, str]) -> None:
        counts, total = self._values.setdefault(labels, ([0] * (len(self._bounds) + 1), [0.0]))
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        for labels, (counts, total) in sorted(self._values.items()):
            so_far = 0
            for bound, count in zip((*(f"{one:.9g}" for one in self._bounds), "+Inf"), counts, strict=True):
                so_far += count
                yield f"{self.name}_bucket{_shown((*labels, ('le', bound)))} {so_far}"
            yield f"{self.name}_sum{_shown(labels)} {total[0]:.9g}"
            yield f"{self.name}_count{_shown(labels)} {so_far}"


class Measures:
    """Of one scheduler."""

    def __init__(self) -> None:
        self.scheduled_attempts = Histograms(
            "scheduler_pod_scheduling_attempts", "Attempts that pods took until they had a node", ATTEMPTS
        )
        self.until_scheduled = Histograms(
            "scheduler_pod_scheduling_sli_duration_seconds", "From a pod's first attempt to its node", SLI_SECONDS
        )
        self.preemptions = Counters("scheduler_preemption_attempts_total", "How often room was looked for")
        self.victims = Histograms("scheduler_preemption_victims", "Pods that had to make room at a time", VICTIMS)
        self.attempts = Counters("scheduler_schedule_attempts_total", "Attempts by what came of them")
        self.algorithm = Histograms(
            "scheduler_scheduling_algorithm_duration_seconds", "How long decisions took", SECONDS
        )
        self.attempt = Histograms(
            "scheduler_scheduling_attempt_duration_seconds", "How long attempts took, the binding included", SECONDS
        )

    def attempted(self, profile: str, result: str, seconds: float) -> None:
        """`result` is scheduled, unschedulable or error."""
        labels = ("profile", profile), ("result", result)
        self.attempts.add(*labels)
        self.attempt.observe(seconds, *labels)

    def scheduled(self, attempts: int, seconds: float) -> None:
        """A pod got its node, so many seconds after it first was ready to be tried."""
        self.scheduled_attempts.observe(attempts)
        shown = str(attempts) if attempts < MANY_ATTEMPTS else f"{MANY_ATTEMPTS}+"
        self.until_scheduled.observe(seconds, ("attempts", shown))

    def text(self, gauges: Gauges) -> str:
        """The page, in Prometheus' text format."""
        lines: list[str] = []
        for name, help, label, values in (
            ("scheduler_cache_size", "What is known of the cluster", "type", gauges.cached()),
            ("scheduler_pending_pods", "Pods that have no node yet", "queue", gauges.pending()),
        ):
            lines += [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
            lines += [f'{name}{{{label}="{key}"}} {value}' for key, value in sorted(values.items())]
        for one in (
            self.scheduled_attempts,
            self.until_scheduled,
            self.preemptions,
            self.victims,
            self.attempts,
            self.algorithm,
            self.attempt,
        ):
            lines += one.lines()
        lines += [
            "# HELP scheduler_unschedulable_pods Pods that a plugin refuses",
            "# TYPE scheduler_unschedulable_pods gauge",
        ]
        for (plugin, profile), count in sorted(gauges.unschedulable().items()):
            labels = _shown((("plugin", plugin), ("profile", profile)))
            lines.append(f"scheduler_unschedulable_pods{labels} {count}")
        return "\n".join(lines) + "\n"
