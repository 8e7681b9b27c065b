"""Schedules in cron's form: five fields, names of months and days, @hourly and its like.

Messages are those of the parser that Kubernetes uses. https://en.wikipedia.org/wiki/Cron
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heeler.objects import go_duration
from heeler.objects.faults import quote

_MONTHS = {name: i + 1 for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())}
_DAYS = {name: i for i, name in enumerate("sun mon tue wed thu fri sat".split())}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class ScheduleError(ValueError):
    """The text is no schedule."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes, hours, days of month, months and days of week that fit; None for a descriptor."""

    fields: tuple[frozenset[int], ...] | None
    text: str


def parse(text: str) -> Schedule:
    """Raises ScheduleError."""
    if not text:
        raise ScheduleError("empty spec string")
    if text.startswith("@"):
        if text in _DESCRIPTORS:
            return Schedule(None, text)
        if text.startswith("@every "):
            try:
                go_duration.parse(text.removeprefix("@every "))
            except ValueError as error:
                raise ScheduleError(f"failed to parse duration {text}: {error}") from None
            return Schedule(None, text)
        raise ScheduleError(f"unrecognized descriptor: {text}")
    fields = text.split()
    if len(fields) != 5:
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return Schedule(tuple(_field(part, *bounds) for part, bounds in zip(fields, _FIELDS)), text)


def _field(text: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    out: frozenset[int] = frozenset()
    for part in (p for p in text.split(",") if p):
        out |= _range(part, low, high, words)
    return out


def _range(text: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    halves = text.split("/")
    ends = halves[0].split("-")
    single = len(ends) == 1
    if ends[0] in ("*", "?"):
        start, end = low, high
    else:
        start = _number(ends[0], words)
        if len(ends) > 2:
            raise ScheduleError(f"too many hyphens: {text}")
        end = start if single else _number(ends[1], words)
    if len(halves) > 2:
        raise ScheduleError(f"too many slashes: {text}")
    step = 1
    if len(halves) == 2:
        step = _whole(halves[1])
        if single:
            end = high
    if start < low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise ScheduleError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return frozenset(range(start, end + 1, step))


def _number(text: str, words: dict[str, int]) -> int:
    return words[text.lower()] if text.lower() in words else _whole(text)


def _whole(text: str) -> int:
    if not re.match(r"[+-]?[0-9]+\Z", text):
        raise ScheduleError(f"failed to parse int from {text}: strconv.Atoi: parsing {quote(text)}: invalid syntax")
    if int(text) < 0:
        raise ScheduleError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
