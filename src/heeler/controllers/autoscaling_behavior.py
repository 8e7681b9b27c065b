"""How fast a number of pods may change, and which of the last recommendations counts. Pure.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from heeler.objects.value import Object

#: Without a behaviour: the highest recommendation of so long counts when shrinking.
DOWNSCALE_STABILIZATION_SECONDS = 300.0
#: Without a behaviour: to twice the size at once, or to this one.
LIMIT_FACTOR, LIMIT_MINIMUM = 2, 4
#: What is remembered of one autoscaler.
MAX_REMEMBERED = 1000


class Condition(NamedTuple):
    type: str
    status: str
    reason: str
    message: str


class Change(NamedTuple):
    """Pods that were added or removed at a time (seconds)."""

    at: float
    number: int


@dataclass(slots=True)
class Memory:
    """What an autoscaler remembers: recommendations, and its own changes."""

    recommendations: list[Change] = field(default_factory=list)
    ups: list[Change] = field(default_factory=list)
    downs: list[Change] = field(default_factory=list)

    def note_scaled(self, before: int, after: int, now: float) -> None:
        if after > before:
            self.ups.append(Change(now, after - before))
        elif after < before:
            self.downs.append(Change(now, before - after))

    def forget(self, now: float, seconds: float) -> None:
        """Drop what is older than `seconds`."""
        for name in ("recommendations", "ups", "downs"):
            kept = [one for one in getattr(self, name) if one.at >= now - seconds]
            setattr(self, name, kept[-MAX_REMEMBERED:])


UP_STABILIZED = Condition(
    "AbleToScale",
    "True",
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = Condition(
    "AbleToScale",
    "True",
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
READY = Condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
IN_RANGE = ("DesiredWithinRange", "the desired count is within the acceptable range")


class Result(NamedTuple):
    replicas: int
    conditions: tuple[Condition, ...]


def normalised(
    behavior: Object | None,
    memory: Memory,
    current: int,
    wanted: int,
    least: int,
    most: int,
    now: float,
    stabilization: float = DOWNSCALE_STABILIZATION_SECONDS,
) -> Result:
    """What may be done of what is wanted, now. The recommendation is remembered.

    Without a behaviour the highest of the last recommendations counts, even beyond what was wanted and is there.
    `stabilization`: seconds of looking back before scaling down, of autoscalers that don't say.
    """
    if behavior is None:
        stabilised = max([wanted, *(one.number for one in memory.recommendations if one.at >= now - stabilization)])
        condition = READY if stabilised == wanted else DOWN_STABILIZED
        memory.recommendations.append(Change(now, wanted))
        replicas, limit = _plain_limit(current, stabilised, least, most)
    else:
        up, down = behavior.get("scaleUp") or {}, behavior.get("scaleDown") or {}
        down_window = down.get("stabilizationWindowSeconds")
        stabilised, condition = _stabilised(
            memory,
            wanted,
            current,
            stabilization if down_window is None else float(down_window),
            float(up.get("stabilizationWindowSeconds") or 0),
            now,
        )
        memory.recommendations.append(Change(now, wanted))
        replicas, limit = _rate_limit(up, down, memory, current, stabilised, least, most, now)
    limited = Condition("ScalingLimited", "False" if limit == IN_RANGE else "True", *limit)
    return Result(replicas, (condition, limited))


def _stabilised(
    memory: Memory, wanted: int, current: int, down_window: float, up_window: float, now: float
) -> tuple[int, Condition]:
    """The lowest recent recommendation when growing, the highest when shrinking."""
    low = min([wanted, *(one.number for one in memory.recommendations if one.at > now - up_window)])
    high = max([wanted, *(one.number for one in memory.recommendations if one.at > now - down_window)])
    found = min(max(current, low), high)
    if found == wanted:
        return found, READY
    return found, UP_STABILIZED if found < wanted else DOWN_STABILIZED


def _plain_limit(current: int, wanted: int, least: int, most: int) -> tuple[int, tuple[str, str]]:
    limit = max(LIMIT_FACTOR * current, LIMIT_MINIMUM)
    if wanted < least:
        return least, TOO_FEW
    if wanted > min(limit, most):
        return min(limit, most), UP_LIMIT if limit < most else TOO_MANY
    return wanted, IN_RANGE


def _rate_limit(
    up: Object, down: Object, memory: Memory, current: int, wanted: int, least: int, most: int, now: float
) -> tuple[int, tuple[str, str]]:
    if wanted > current:
        limit = max(current, _up_limit(up, memory, current, now))
        top = min(limit, most)
        return (top, UP_LIMIT if limit < most else TOO_MANY) if wanted > top else (wanted, IN_RANGE)
    if wanted < current:
        limit = min(current, _down_limit(down, memory, current, now))
        bottom = max(limit, least)
        return (bottom, DOWN_LIMIT if limit > least else TOO_FEW) if wanted < bottom else (wanted, IN_RANGE)
    return wanted, IN_RANGE


def _since(changes: Sequence[Change], now: float, seconds: float) -> int:
    return sum(one.number for one in changes if one.at > now - seconds)


def _start(memory: Memory, current: int, now: float, seconds: float) -> int:
    """The size at the beginning of a policy's period."""
    return current - _since(memory.ups, now, seconds) + _since(memory.downs, now, seconds)


def _up_limit(rules: Object, memory: Memory, current: int, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        start = _start(memory, current, now, float(policy["periodSeconds"]))
        if policy["type"] == "Pods":
            limits.append(start + int(policy["value"]))
        else:
            limits.append(math.ceil(start * (1 + int(policy["value"]) / 100)))
    pick = min if rules.get("selectPolicy") == "Min" else max
    return pick(limits, default=2**31 - 1)


def _down_limit(rules: Object, memory: Memory, current: int, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        start = _start(memory, current, now, float(policy["periodSeconds"]))
        if policy["type"] == "Pods":
            limits.append(start - int(policy["value"]))
        else:
            limits.append(int(start * (1 - int(policy["value"]) / 100)))
    pick = max if rules.get("selectPolicy") == "Min" else min
    return pick(limits, default=0)
