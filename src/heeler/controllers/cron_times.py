"""When a schedule fires: https://kubernetes.io/docs/concepts/workloads/controllers/cronjob/#schedule-syntax

Clock changes: what is scheduled in an hour that is skipped doesn't happen, what is scheduled in an hour that comes twice
happens twice. If both the day of the month and the day of the week are restricted, either will do.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from heeler.kinds.batch.schedule import Schedule, parse
from heeler.objects import go_duration

#: A schedule that doesn't fire within so many days never does (29 February comes after eight years at most).
MAX_DAYS = 366 * 9
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: Gives the first moment after another one, None if there is none. Seconds since the epoch.
Next = Callable[[float], "float | None"]


def times(text: str, zone: datetime.tzinfo) -> Next:
    """Raises ScheduleError."""
    schedule = parse(_DESCRIPTORS.get(text, text))
    if schedule.fields is None:
        period = go_duration.parse(text.removeprefix("@every ")) / 1e9
        return lambda after: float(int(after) + max(1, int(period)))
    return lambda after: _next(schedule, zone, after)


def _any_day(field: str) -> bool:
    """Does a field leave the day open? A step of more than one is a restriction."""
    for part in field.split(","):
        head, _, step = part.partition("/")
        if head in ("*", "?") and step in ("", "1"):
            return True
    return False


def _next(schedule: Schedule, zone: datetime.tzinfo, after: float) -> float | None:
    minutes, hours, days, months, weekdays = schedule.fields or ((),) * 5
    words = schedule.text.split()
    both = _any_day(words[2]) or _any_day(words[4])
    start = int(after) + 1
    start += -start % 60
    date = datetime.datetime.fromtimestamp(start, zone).date()
    ordered = sorted(minutes)
    for _ in range(MAX_DAYS):
        by_month, by_week = date.day in days, (date.weekday() + 1) % 7 in weekdays
        if date.month in months and (by_month and by_week if both else by_month or by_week):
            found = _on(date, zone, start, hours, ordered)
            if found is not None:
                return found
        date += datetime.timedelta(days=1)
    return None


def _on(
    date: datetime.date, zone: datetime.tzinfo, start: int, hours: frozenset[int] | tuple[()], minutes: list[int]
) -> float | None:
    """The first moment of a day, not before `start`. Goes by real hours, so that clock changes come out right."""
    midnight = int(datetime.datetime.combine(date, datetime.time(), zone).timestamp())
    moment = max(midnight, start)
    moment -= moment % 900  # offsets are multiples of a quarter of an hour
    for _ in range(27 * 4):
        local = datetime.datetime.fromtimestamp(moment, zone)
        if local.date() > date:
            return None
        if local.date() == date and local.hour in hours:
            for minute in minutes:
                at = moment + (minute - local.minute) * 60
                if moment <= at < moment + 900 and at >= start:
                    return float(at)
        moment += 900
    return None
