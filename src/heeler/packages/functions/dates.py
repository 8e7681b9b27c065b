"""sprig's functions of dates, and Helm's of durations.

What is no date counts as now. The zone `Local` is the machine's; a zone that isn't known is UTC.
"""

from __future__ import annotations

import math
from typing import Any, Final

from heeler.objects import go_duration
from heeler.packages.functions.convert import atoi, parse_float, wrapped
from heeler.packages.functions.moments import (
    HOUR,
    LOCAL,
    MINUTE,
    NONE,
    SECOND,
    UTC,
    Time,
    formatted,
    parse,
    parse_duration,
    rounded,
    truncated,
    zone,
)
from heeler.packages.template.formatting import quote, text
from heeler.packages.template.values import Duration, Function, GoError, Int32, Int64, go, type_name


def now() -> Time:
    from heeler.base.clock import SystemClock

    return Time(int(SystemClock().time() * 1_000_000) * 1_000, LOCAL)


def _moment(value: Any) -> Time:
    if isinstance(value, Time):
        return value
    if type(value) in (int, Int64, Int32):
        return Time(int(value) * SECOND, LOCAL)
    return now()


def in_zone(layout: str, value: Any, name: str) -> str:
    try:
        shown = zone(name)
    except KeyError:
        shown = UTC
    return formatted(Time(_moment(value).nanoseconds, shown), layout)


def to_date(layout: str, value: str) -> Time:
    try:
        return parse(layout, value, LOCAL)
    except GoError:
        return NONE


def modified(duration: str, moment: Time) -> Time:
    return Time(moment.nanoseconds + parse_duration(duration), moment.zone)


def modified_or_not(duration: str, moment: Time) -> Time:
    try:
        return modified(duration, moment)
    except GoError:
        return moment


def ago(value: Any) -> str:
    moment = _moment(value) if type(value) is not Int32 else now()
    return go_duration.text(rounded(now().nanoseconds - moment.nanoseconds, SECOND))


# ---- durations -------------------------------------------------------------------------------------------------------


def seconds_text(value: Any) -> str:
    """`duration`: seconds, as text or int64, in Go's form; anything else is none."""
    seconds = atoi(value) if isinstance(value, str) else int(value) if type(value) is Int64 else 0
    return go_duration.text(wrapped(seconds * SECOND))


#: The units of `durationRound`, largest first.
_ROUGH: Final = (
    ("y", 365 * 24 * HOUR),
    ("mo", 30 * 24 * HOUR),
    ("d", 24 * HOUR),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
)


def rough(value: Any) -> str:
    """`durationRound`: how many of the largest unit that there is more than one of."""
    duration = 0
    if isinstance(value, str):
        try:
            duration = parse_duration(value)
        except GoError:
            duration = 0
    elif type(value) is Int64:
        duration = int(value)
    elif isinstance(value, Time):
        duration = now().nanoseconds - value.nanoseconds
    size = abs(duration)
    for name, unit in _ROUGH:
        if size > unit:
            return f"{size // unit}{name}"
    return "0s"


def must_duration(value: Any) -> Duration:
    """A duration of a text or of a number of seconds. Raises `GoError`."""
    match value:
        case Duration():
            return value
        case None:
            raise GoError("invalid duration")
        case bool():
            raise GoError("unsupported duration type bool")
        case int():
            if not -(1 << 63) <= value * SECOND < 1 << 63:
                raise GoError(f"duration seconds overflow: {int(value)}")
            return Duration(value * SECOND)
        case float():
            return _of_seconds(float(value))
        case str():
            return _of_text(value.strip())
    raise GoError(f"unsupported duration type {type_name(value)}")


def _of_text(value: str) -> Duration:
    if not value:
        raise GoError("empty duration")
    try:
        return parse_duration(value)
    except GoError:
        pass
    seconds = parse_float(value)
    if seconds is None:
        raise GoError(f"could not parse duration {quote(value)}")
    return _of_seconds(seconds)


def _of_seconds(seconds: float) -> Duration:
    if math.isnan(seconds) or math.isinf(seconds):
        raise GoError(f"invalid duration seconds: {text(seconds)}")
    nanoseconds = seconds * SECOND
    if not -(2.0**63) <= nanoseconds < 2.0**63:
        raise GoError(f"duration seconds overflow: {text(seconds)}")
    return Duration(int(nanoseconds))


def duration(value: Any) -> Duration:
    try:
        return must_duration(value)
    except GoError:
        return Duration(0)


def _float_in(unit: int) -> Any:
    """The duration in a unit: whole units and the fraction are computed apart, as Go does."""

    def count(value: Any) -> float:
        nanoseconds = int(duration(value))
        whole = abs(nanoseconds) // unit
        part = whole + abs(nanoseconds) % unit / unit
        return -part if nanoseconds < 0 else part

    return count


def _whole_in(unit: int) -> Any:
    return lambda value: Int64(truncated(duration(value), unit) // unit)


FUNCTIONS: Final[list[Function]] = [
    go("now() time.Time")(now),
    go("date(string, interface {}) string")(lambda layout, value: in_zone(layout, value, "Local")),
    go("dateInZone(string, interface {}, string) string")(in_zone),
    go("date_in_zone(string, interface {}, string) string")(in_zone),
    go("htmlDate(interface {}) string")(lambda value: in_zone("2006-01-02", value, "Local")),
    go("htmlDateInZone(interface {}, string) string")(lambda value, name: in_zone("2006-01-02", value, name)),
    go("toDate(string, string) time.Time")(to_date),
    go("mustToDate(string, string) time.Time")(lambda layout, value: parse(layout, value, LOCAL)),
    go("dateModify(string, time.Time) time.Time")(modified_or_not),
    go("date_modify(string, time.Time) time.Time")(modified_or_not),
    go("mustDateModify(string, time.Time) time.Time")(modified),
    go("must_date_modify(string, time.Time) time.Time")(modified),
    go("unixEpoch(time.Time) string")(lambda moment: str(moment.seconds)),
    go("ago(interface {}) string")(ago),
    go("duration(interface {}) string")(seconds_text),
    go("durationRound(interface {}) string")(rough),
    go("mustToDuration(interface {}) time.Duration")(must_duration),
    go("durationWeeks(interface {}) float64")(lambda value: _float_in(HOUR)(value) / 24 / 7),
    go("durationDays(interface {}) float64")(lambda value: _float_in(HOUR)(value) / 24),
    go("durationHours(interface {}) float64")(_float_in(HOUR)),
    go("durationMinutes(interface {}) float64")(_float_in(MINUTE)),
    go("durationSeconds(interface {}) float64")(_float_in(SECOND)),
    go("durationMilliseconds(interface {}) int64")(_whole_in(1_000_000)),
    go("durationMicroseconds(interface {}) int64")(_whole_in(1_000)),
    go("durationNanoseconds(interface {}) int64")(_whole_in(1)),
    go("durationRoundTo(interface {}, interface {}) time.Duration")(
        lambda value, to: Duration(rounded(duration(value), duration(to)))
    ),
    go("durationTruncateTo(interface {}, interface {}) time.Duration")(
        lambda value, to: Duration(truncated(duration(value), duration(to)))
    ),
]
