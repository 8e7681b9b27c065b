"""From metrics to a number of pods. Pure; amounts are in thousandths of the metric's unit.

Ratios are float64s, rounded up as they are: 14 % of 50 % on 25 pods makes 8 of them, as it does upstream.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from heeler.base.clock import parse_rfc3339
from heeler.objects import quantities
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods, resources

NO_PODS = "no pods returned by selector while calculating replica count"


class MetricError(Exception):
    """A metric can't be had, or says nothing of these pods."""


class Patience(NamedTuple):
    """Seconds. A new pod's processor use isn't trusted for `cpu`, unless it became ready; one that was unready from its start
    on counts as never ready if it changed within `readiness`."""

    cpu: float = 300.0
    readiness: float = 30.0


USUAL = Patience()


class Tolerances(NamedTuple):
    """How far a ratio may be from one before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def within(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Sample(NamedTuple):
    """One pod's use. `at` and `window` in seconds."""

    value: int
    at: float = 0.0
    window: float = 60.0


class Answer(NamedTuple):
    """`replicas` wanted; `utilization` in percent of the request (0 if there is none); `average` per pod."""

    replicas: int
    utilization: int
    average: int


@dataclass(slots=True)
class Groups:
    ready: int
    unready: dict[str, None]
    missing: dict[str, None]
    ignored: dict[str, None]


def grouped(
    found: Sequence[Object], samples: Mapping[str, Sample], resource: str, now: float, patience: Patience = USUAL
) -> Groups:
    """Which pods count. Those that end are ignored, those that start count only where that is cautious."""
    groups = Groups(0, {}, {}, {})
    for pod in found:
        name = name_of(pod)
        if "deletionTimestamp" in meta(pod) or pods.phase(pod) == "Failed":
            groups.ignored[name] = None
        elif pods.phase(pod) == "Pending":
            groups.unready[name] = None
        elif name not in samples:
            groups.missing[name] = None
        elif resource == "cpu" and _is_unready(pod, samples[name], now, patience):
            groups.unready[name] = None
        else:
            groups.ready += 1
    return groups


def _is_unready(pod: Object, sample: Sample, now: float, patience: Patience) -> bool:
    ready = pods.condition(pod, "Ready")
    started = (pod.get("status") or {}).get("startTime")
    if ready is None or not started or not ready.get("lastTransitionTime"):
        return True
    since, changed = parse_rfc3339(started), parse_rfc3339(ready["lastTransitionTime"])
    if since + patience.cpu > now:
        return ready.get("status") == "False" or sample.at < changed + sample.window
    return ready.get("status") == "False" and since + patience.readiness > changed


def requests(found: Sequence[Object], resource: str, container: str = "") -> dict[str, int]:
    """What each pod asks for: by itself, or its containers. Raises MetricError if one of them asks for nothing."""
    return {name_of(pod): _request(pod, resource, container) for pod in found}


def _request(pod: Object, resource: str, container: str) -> int:
    whole = ((pod.get("spec") or {}).get("resources") or {}).get("requests") or {}
    if not container and any(name in ("cpu", "memory") or name.startswith("hugepages-") for name in whole):
        amounts = resources.requests(pod)
        if resource not in amounts:
            raise MetricError(f"missing pod-level request for {resource} in Pod {name_of(pod)}")
        return amounts[resource] * (1 if resource == "cpu" else 1000)
    chosen = [one for one in pods.containers(pod) if container in ("", one["name"])]
    if container and not chosen:
        raise MetricError(f"container {container} not found in Pod {name_of(pod)}")
    total = 0
    for one in chosen:
        asked = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if asked is None:
            raise MetricError(f"missing request for {resource} in container {one['name']} of Pod {name_of(pod)}")
        total += quantities.parse(str(asked)).milli
    return total


def by_utilization(
    current: int,
    target: int,
    found: Sequence[Object],
    samples: Mapping[str, Sample],
    resource: str,
    tolerances: Tolerances,
    now: float,
    patience: Patience = USUAL,
    container: str = "",
) -> Answer:
    """To a percentage of what the pods ask for, or one container of each. Raises MetricError."""
    groups, used = _prepared(found, samples, resource, now, patience)
    asked = requests(found, resource, container)
    ratio, utilization, average = _utilization(used, asked, target)
    missing = {name: asked[name] * max(100, target) // 100 for name in groups.missing}
    replicas = _replicas(
        current, ratio, groups, used, missing, lambda all_used: _utilization(all_used, asked, target)[0], tolerances
    )
    return Answer(replicas, utilization, average)


def by_value(
    current: int,
    target: int,
    found: Sequence[Object],
    samples: Mapping[str, Sample],
    resource: str,
    tolerances: Tolerances,
    now: float,
    patience: Patience = USUAL,
) -> Answer:
    """To an average per pod. Raises MetricError."""
    groups, used = _prepared(found, samples, resource, now, patience)
    average = sum(used.values()) // len(used)
    missing = dict.fromkeys(groups.missing, target)

    def ratio_of(all_used: Mapping[str, int]) -> float:  # of the average in whole thousandths
        return sum(all_used.values()) // len(all_used) / target if target else 0.0

    replicas = _replicas(current, ratio_of(used), groups, used, missing, ratio_of, tolerances)
    return Answer(replicas, 0, average)


def _prepared(
    found: Sequence[Object], samples: Mapping[str, Sample], resource: str, now: float, patience: Patience
) -> tuple[Groups, dict[str, int]]:
    if not found:
        raise MetricError(NO_PODS)
    groups = grouped(found, samples, resource, now, patience)
    # pods that are gone count for as long as they are measured, upstream too
    used = {
        name: sample.value
        for name, sample in samples.items()
        if name not in groups.ignored and name not in groups.unready
    }
    if not used:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return groups, used


def _utilization(used: Mapping[str, int], asked: Mapping[str, int], target: int) -> tuple[float, int, int]:
    """(ratio to the target, percent of the requests, average per pod)."""
    known = [name for name in used if name in asked]
    total = sum(asked[name] for name in known)
    if not known or not total:
        raise MetricError("no metrics returned matched known pods")
    spent = sum(used[name] for name in known)
    percent = spent * 100 // total
    return percent / target, percent, spent // len(known)


def _replicas(
    current: int,
    ratio: float,
    groups: Groups,
    used: dict[str, int],
    missing: Mapping[str, int],
    ratio_of: object,
    tolerances: Tolerances,
) -> int:
    """With pods that say nothing: they use nothing when growing, and all they may when shrinking."""
    assert callable(ratio_of)
    with_unready = bool(groups.unready) and ratio > 1.0
    if not with_unready and not groups.missing:
        return current if tolerances.within(ratio) else math.ceil(ratio * groups.ready)
    everybody = dict(used)
    if groups.missing and ratio != 1.0:
        everybody |= missing if ratio < 1.0 else dict.fromkeys(groups.missing, 0)
    if with_unready:
        everybody |= dict.fromkeys(groups.unready, 0)
    cautious = float(ratio_of(everybody))
    if tolerances.within(cautious) or (ratio < 1.0 < cautious) or (ratio > 1.0 > cautious):
        return current
    count = math.ceil(cautious * len(everybody))
    if (cautious < 1.0 and count > current) or (cautious > 1.0 and count < current):
        return current
    return count


def by_total(current: int, found: Sequence[Object], value: int, target: int, tolerances: Tolerances) -> int:
    """So that a value that belongs to no pod comes to its target. Raises MetricError."""
    ratio = value / target if target else 0.0
    if current == 0:
        return math.ceil(ratio)
    if tolerances.within(ratio):
        return current
    if not found:
        raise MetricError(f"unable to calculate ready pods: {NO_PODS}")
    return math.ceil(ratio * sum(pods.phase(pod) == "Running" and pods.is_ready(pod) for pod in found))


def by_share(current: int, value: int, target: int, tolerances: Tolerances) -> int:
    """So that each pod's share of a value comes to its target."""
    if current and tolerances.within(value / (target * current)):
        return current
    return math.ceil(value / target)
