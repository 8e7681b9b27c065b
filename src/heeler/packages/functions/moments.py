"""Moments and time zones as Go's time package has them, and its language of layouts (`2006-01-02 15:04:05 MST`).

Source: https://pkg.go.dev/time. A moment is a count of nanoseconds since 1970 and the zone it is shown in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final, Protocol

from heeler.objects import go_duration
from heeler.objects.go_duration import quoted
from heeler.packages.template.values import Duration, Function, GoError, Int64, Struct, go

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY_SECONDS: Final = 86_400

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


# ---- zones -----------------------------------------------------------------------------------------------------------


#: What Python's dates can hold, a year in from both ends, and the 400 years after which weekdays come again.
FIRST_SECOND: Final = -62_103_974_400
LAST_SECOND: Final = 253_370_764_800
CYCLE: Final = 146_097 * DAY_SECONDS


class Zone(Protocol):
    """A time zone."""

    def at(self, seconds: int) -> tuple[str, int]:
        """Its short name and its offset in seconds at a moment."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same offset always; without a name it is shown by that."""

    name: str
    offset: int

    def at(self, seconds: int) -> tuple[str, int]:
        return self.name, self.offset


UTC: Final = Fixed("UTC", 0)


@dataclass(frozen=True, slots=True)
class Rules:
    """A zone of the time zone database, or the machine's own (`info` is None)."""

    info: Any

    def at(self, seconds: int) -> tuple[str, int]:
        import datetime

        # Python's years end at 9999; the calendar repeats itself after 400
        if not FIRST_SECOND <= seconds <= LAST_SECOND:
            seconds = seconds % CYCLE + 10 * CYCLE if seconds > 0 else seconds % CYCLE - 4 * CYCLE
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).astimezone(self.info)
        offset = moment.utcoffset()
        return moment.tzname() or "", int(offset.total_seconds()) if offset is not None else 0


LOCAL: Final = Rules(None)


@lru_cache(maxsize=64)
def zone(name: str) -> Zone:
    """The zone by its name in the database. Raises KeyError for none."""
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return LOCAL
    import zoneinfo

    try:
        return Rules(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise KeyError(name) from None


# ---- calendar --------------------------------------------------------------------------------------------------------


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in(month: int, year: int) -> int:
    return 29 if month == 2 and is_leap(year) else _MONTH_DAYS[month - 1]


def days_before_year(year: int) -> int:
    """Days from 1970 to the first day of the year, in the calendar that always was Gregorian."""
    before = year - 1
    return before * 365 + before // 4 - before // 100 + before // 400 - 719_162


def civil(days: int) -> tuple[int, int, int, int]:
    """(year, month, day, day of the year) of a count of days since 1970."""
    year = 1970 + days * 400 // 146_097
    while days_before_year(year) > days:
        year -= 1
    while days_before_year(year + 1) <= days:
        year += 1
    day = year_day = days - days_before_year(year)
    month = 1
    while day >= days_in(month, year):
        day -= days_in(month, year)
        month += 1
    return year, month, day + 1, year_day + 1


def seconds_of(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Seconds since 1970 of a moment in UTC; a day or month too many goes on into the next."""
    years, month = divmod(month - 1, 12)
    year += years
    days = days_before_year(year) + sum(days_in(m, year) for m in range(1, month + 1)) + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


# ---- moments ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Time(Struct):
    """A moment, in nanoseconds since 1970, and its zone."""

    nanoseconds: int
    zone: Zone

    go_type: ClassVar[str] = "time.Time"
    go_fields: ClassVar[Mapping[str, str]] = {}

    @property
    def seconds(self) -> int:
        return self.nanoseconds // SECOND

    def format(self, layout: str) -> str:
        return formatted(self, layout)

    def json_form(self) -> str:
        return formatted(self, "2006-01-02T15:04:05.999999999Z07:00")

    def yaml_form(self) -> str:
        from heeler.packages.yaml.write import AsIs

        return AsIs(self.json_form())

    def text(self) -> str:
        return formatted(self, "2006-01-02 15:04:05.999999999 -0700 MST")


#: The moment that Go takes for none: the first of January in the year 1.
NONE: Final = Time(seconds_of(1, 1, 1) * SECOND, UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """A moment taken apart as its zone shows it."""

    year: int
    month: int
    day: int
    year_day: int
    weekday: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    zone: str
    offset: int


def clock(moment: Time) -> Clock:
    seconds, nanosecond = divmod(moment.nanoseconds, SECOND)
    name, offset = moment.zone.at(seconds)
    days, rest = divmod(seconds + offset, DAY_SECONDS)
    year, month, day, year_day = civil(days)
    return Clock(
        year, month, day, year_day, (days + 4) % 7, rest // 3600, rest // 60 % 60, rest % 60, nanosecond, name, offset
    )


# ---- layouts ---------------------------------------------------------------------------------------------------------

_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|(?<=_)2006|__2|_2(?!006)|2|3|4|5|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?![0-9])"
)


@lru_cache(maxsize=256)
def elements(layout: str) -> tuple[tuple[str, str], ...]:
    """The layout's elements, each with the text before it; text behind the last stands with an empty element."""
    found = []
    at = 0
    for element in _ELEMENT.finditer(layout):
        found.append((layout[at : element.start()], element[0]))
        at = element.end()
    return (*found, (layout[at:], ""))


def formatted(moment: Time, layout: str) -> str:
    shown = clock(moment)
    return "".join([before + (_shown(element, shown) if element else "") for before, element in elements(layout)])


def _offset(offset: int, element: str) -> str:
    if element[0] == "Z" and offset == 0:
        return "Z"
    sign = "-" if offset < 0 else "+"
    hours, rest = divmod(abs(offset), 3600)
    parts = [f"{hours:02d}", f"{rest // 60:02d}", f"{rest % 60:02d}"]
    count = len(element.replace(":", "")) // 2
    return sign + (":" if ":" in element else "").join(parts[:count])


def _shown(element: str, shown: Clock) -> str:
    match element:
        case "January":
            return MONTHS[shown.month - 1]
        case "Jan":
            return MONTHS[shown.month - 1][:3]
        case "Monday":
            return WEEKDAYS[shown.weekday]
        case "Mon":
            return WEEKDAYS[shown.weekday][:3]
        case "MST":
            return shown.zone or _offset(shown.offset, "-0700")
        case "2006":
            return f"{shown.year:04d}" if shown.year >= 0 else f"-{-shown.year:04d}"
        case "06":
            return f"{abs(shown.year) % 100:02d}"
        case "01" | "1":
            return _number(shown.month, element)
        case "02" | "2":
            return _number(shown.day, element)
        case "_2":
            return f"{shown.day:2d}"
        case "002":
            return f"{shown.year_day:03d}"
        case "__2":
            return f"{shown.year_day:3d}"
        case "15":
            return f"{shown.hour:02d}"
        case "03" | "3":
            return _number(shown.hour % 12 or 12, element)
        case "04" | "4":
            return _number(shown.minute, element)
        case "05" | "5":
            return _number(shown.second, element)
        case "PM":
            return "PM" if shown.hour >= 12 else "AM"
        case "pm":
            return "pm" if shown.hour >= 12 else "am"
    if element[0] in ".,":
        digits = f"{shown.nanosecond:09d}".ljust(len(element) - 1, "0")[: len(element) - 1]
        if element[1] == "9":
            digits = digits.rstrip("0")
        return element[0] + digits if digits else ""
    return _offset(shown.offset, element)


def _number(value: int, element: str) -> str:
    return f"{value:02d}" if element[0] == "0" else str(value)


# ---- reading by a layout ---------------------------------------------------------------------------------------------


#: Names of zones: three capitals, or up to five that end in T, and the few others.
_ZONE_NAME = re.compile(
    r"ChST|MeST|GMT(?:[+-]\d{1,2})?|[+-]\d\d(?:\d\d)?|WITA|[A-Z]{4}T(?![A-Z])|[A-Z]{3}T(?![A-Z])|[A-Z]{3}(?![A-Z])"
)


class _Bad(Exception):
    """The text doesn't fit the element."""


class _Range(Exception):
    """A number is out of its range; the argument says which."""


class _Reader:
    """What has been read of a text by a layout."""

    def __init__(self) -> None:
        self.year, self.month, self.day, self.year_day = 0, -1, -1, -1
        self.hour = self.minute = self.second = self.nanosecond = 0
        self.afternoon: bool | None = None
        self.zone: Zone | None = None
        self.offset: int | None = None
        self.zone_name = ""

    def read(self, element: str, value: str, following: str) -> str:
        """Take the element off `value`; returns what is left."""
        match element:
            case "2006":
                self.year, value = _exactly(value, 4)
            case "06":
                short, value = _exactly(value, 2)
                self.year = short + (1900 if short >= 69 else 2000)
            case "01" | "1":
                self.month, value = _up_to_two(value, element[0] == "0")
                _within(self.month, 1, 12, "month")
            case "January" | "Jan":
                self.month, value = _name(value, MONTHS, element == "Jan")
                self.month += 1
            case "Monday" | "Mon":
                _, value = _name(value, WEEKDAYS, element == "Mon")
            case "02" | "2" | "_2":
                if element == "_2" and value.startswith(" "):
                    value = value[1:]
                self.day, value = _up_to_two(value, element == "02")
            case "002" | "__2":
                value = value.lstrip(" ") if element == "__2" else value
                self.year_day, value = _exactly(value, 3) if element == "002" else _up_to_three(value)
            case "15":
                self.hour, value = _up_to_two(value, False)
                _within(self.hour, 0, 23, "hour")
            case "03" | "3":
                self.hour, value = _up_to_two(value, element == "03")
                _within(self.hour, 0, 12, "hour")
            case "04" | "4":
                self.minute, value = _up_to_two(value, element == "04")
                _within(self.minute, 0, 59, "minute")
            case "05" | "5":
                value = self._seconds(element, value, following)
            case "PM" | "pm":
                half = value[:2]
                wanted = ("AM", "PM") if element == "PM" else ("am", "pm")
                if half not in wanted:
                    raise _Bad
                self.afternoon, value = half == wanted[1], value[2:]
            case "MST":
                value = self._zone(value)
            case _ if element[0] in ".,":
                value = self._fraction(element, value)
            case _:
                value = self._offset(element, value)
        return value

    def _seconds(self, element: str, value: str, following: str) -> str:
        self.second, value = _up_to_two(value, element == "05")
        _within(self.second, 0, 59, "second")
        if re.match(r"[.,][0-9]", value) and following[:1] not in (".", ","):
            digits = re.match(r"[.,]([0-9]+)", value)
            assert digits
            self.nanosecond = int(digits[1][:9].ljust(9, "0"))
            value = value[digits.end() :]
        return value

    def _fraction(self, element: str, value: str) -> str:
        if element[1] == "0":
            found = re.match(rf"[.,]([0-9]{{{len(element) - 1}}})", value)
            if not found:
                raise _Bad
        else:
            found = re.match(r"[.,]([0-9]+)", value)
            if not found:
                return value
        self.nanosecond = int(found[1][:9].ljust(9, "0"))
        return value[found.end() :]

    def _offset(self, element: str, value: str) -> str:
        if element[0] == "Z" and value.startswith("Z"):
            self.zone = UTC
            return value[1:]
        pattern = {
            "07": r"([+-])(\d\d)()()",
            "0700": r"([+-])(\d\d)(\d\d)()",
            "07:00": r"([+-])(\d\d):(\d\d)()",
            "070000": r"([+-])(\d\d)(\d\d)(\d\d)",
            "07:00:00": r"([+-])(\d\d):(\d\d):(\d\d)",
        }[element[1:]]
        found = re.match(pattern, value)
        if not found:
            raise _Bad
        hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
        _within(hours, 0, 24, "time zone offset hour")
        _within(minutes, 0, 60, "time zone offset minute")
        _within(seconds, 0, 60, "time zone offset second")
        offset = (hours * 60 + minutes) * 60 + seconds
        self.offset = -offset if found[1] == "-" else offset
        return value[found.end() :]

    def _zone(self, value: str) -> str:
        if value.startswith("UTC"):
            self.zone = UTC
            return value[3:]
        found = _ZONE_NAME.match(value)
        if not found:
            raise _Bad
        self.zone_name = found[0]
        return value[found.end() :]

    def moment(self, local: Zone) -> Time:
        """The moment that was read. Raises `_Range` for days that aren't in the month."""
        if self.afternoon is True and self.hour < 12:
            self.hour += 12
        elif self.afternoon is False and self.hour == 12:
            self.hour = 0
        self._resolve_day()
        wall = seconds_of(self.year, self.month, self.day, self.hour, self.minute, self.second)
        if self.zone is not None:
            return Time(wall * SECOND + self.nanosecond, self.zone)
        if self.offset is not None:
            seconds = wall - self.offset
            name, offset = local.at(seconds)
            if offset == self.offset and self.zone_name in ("", name):
                return Time(seconds * SECOND + self.nanosecond, local)
            return Time(seconds * SECOND + self.nanosecond, Fixed(self.zone_name, self.offset))
        if self.zone_name:
            return self._named(wall, local)
        offset = local.at(wall - local.at(wall)[1])[1]
        return Time((wall - offset) * SECOND + self.nanosecond, local)

    def _named(self, wall: int, local: Zone) -> Time:
        name, offset = local.at(wall)
        if name == self.zone_name:
            return Time((wall - offset) * SECOND + self.nanosecond, local)
        # as Go has it, an offset in the name moves what is shown, not the moment
        hours = int(self.zone_name[3:]) if re.match(r"GMT[+-]", self.zone_name) else 0
        return Time(wall * SECOND + self.nanosecond, Fixed(self.zone_name, hours * 3600))

    def _resolve_day(self) -> None:
        if self.year_day >= 0:
            _within(self.year_day, 1, 366 if is_leap(self.year) else 365, "day-of-year")
            _, month, day, _ = civil(days_before_year(self.year) + self.year_day - 1)
            if (self.month >= 0 and self.month != month) or (self.day >= 0 and self.day != day):
                raise _Range("day-of-year does not match " + ("month" if self.month not in (-1, month) else "day"))
            self.month, self.day = month, day
        self.month = 1 if self.month < 0 else self.month
        self.day = 1 if self.day < 0 else self.day
        if not 1 <= self.day <= days_in(self.month, self.year):
            raise _Range("day out of range")


def _within(value: int, least: int, most: int, what: str) -> None:
    if not least <= value <= most:
        raise _Range(what + " out of range")


def _exactly(value: str, count: int) -> tuple[int, str]:
    if not re.match(rf"[0-9]{{{count}}}", value):
        raise _Bad
    return int(value[:count]), value[count:]


def _up_to_two(value: str, both: bool) -> tuple[int, str]:
    found = re.match("[0-9][0-9]" if both else "[0-9][0-9]?", value)
    if not found:
        raise _Bad
    return int(found[0]), value[found.end() :]


def _up_to_three(value: str) -> tuple[int, str]:
    found = re.match("[0-9]{1,3}", value)
    if not found:
        raise _Bad
    return int(found[0]), value[found.end() :]


def _name(value: str, names: tuple[str, ...], short: bool) -> tuple[int, str]:
    for index, name in enumerate(names):
        name = name[:3] if short else name
        if value[: len(name)].lower() == name.lower():
            return index, value[len(name) :]
    raise _Bad


def parse(layout: str, text: str, local: Zone) -> Time:
    """The moment in `text`, which is written as the layout says; without a zone it is one of `local`. Raises `GoError`."""
    told = f"parsing time {quoted(text)}"
    reader = _Reader()
    value = text
    parts = elements(layout)
    for place, (before, element) in enumerate(parts):
        value, fits = _skipped(value, before)
        if not fits:
            raise GoError(f"{told} as {quoted(layout)}: cannot parse {quoted(value)} as {quoted(before)}")
        if not element:
            if value:
                raise GoError(f"{told}: extra text: {quoted(value)}")
            break
        held = value
        try:
            following = parts[place + 1]
            value = reader.read(element, value, "" if following[0] else following[1])
        except _Bad:
            raise GoError(f"{told} as {quoted(layout)}: cannot parse {quoted(held)} as {quoted(element)}") from None
        except _Range as fault:
            raise GoError(f"{told}: {fault}") from None
    try:
        return reader.moment(local)
    except _Range as fault:
        raise GoError(f"{told}: {fault}") from None


def _skipped(value: str, before: str) -> tuple[str, bool]:
    """The value behind literal text, and whether it was there; blanks in the layout stand for any number of them."""
    while before:
        if before[0] == " ":
            if value and value[0] != " ":
                return value, False
            before, value = before.lstrip(" "), value.lstrip(" ")
            continue
        if not value or value[0] != before[0]:
            return value, False
        before, value = before[1:], value[1:]
    return value, True


# ---- durations -------------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> Duration:
    """`1h30m`, `-1.5s`. Raises `GoError`."""
    try:
        return Duration(go_duration.parse(text))
    except ValueError as error:
        raise GoError(str(error)) from None


def rounded(duration: int, to: int) -> int:
    """The duration to a multiple of `to`, halves away from zero; `to` of 0 or less leaves it."""
    if to <= 0:
        return duration
    size = min((2 * abs(duration) + to) // (2 * to) * to, (1 << 63) - 1)
    return -size if duration < 0 else size


def truncated(duration: int, to: int) -> int:
    if to <= 0:
        return duration
    size = abs(duration) // to * to
    return -size if duration < 0 else size


# ---- what templates may call -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named(Struct):
    """A month or a day of the week: a number that shows its name."""

    number: int
    name: str

    go_type: ClassVar[str] = "time.Month"
    go_fields: ClassVar[Mapping[str, str]] = {"number": "number"}
    go_methods: ClassVar[Mapping[str, Function]] = {
        "String": go("String(time.Month) string")(lambda named: named.name),
    }

    def json_form(self) -> int:
        return self.number

    yaml_form = json_form


def _moved(moment: Time, years: int, months: int, days: int) -> Time:
    shown = clock(moment)
    wall = seconds_of(
        shown.year + years, shown.month + months, shown.day + days, shown.hour, shown.minute, shown.second
    )
    offset = moment.zone.at(wall - shown.offset)[1]
    return Time((wall - offset) * SECOND + shown.nanosecond, moment.zone)


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "String() string": Time.text,
    "Format(string) string": Time.format,
    "Year() int": lambda moment: clock(moment).year,
    "Month() time.Month": lambda moment: Named(clock(moment).month, MONTHS[clock(moment).month - 1]),
    "Day() int": lambda moment: clock(moment).day,
    "Weekday() time.Weekday": lambda moment: Named(clock(moment).weekday, WEEKDAYS[clock(moment).weekday]),
    "YearDay() int": lambda moment: clock(moment).year_day,
    "Hour() int": lambda moment: clock(moment).hour,
    "Minute() int": lambda moment: clock(moment).minute,
    "Second() int": lambda moment: clock(moment).second,
    "Nanosecond() int": lambda moment: clock(moment).nanosecond,
    "Unix() int64": lambda moment: Int64(moment.seconds),
    "UnixMilli() int64": lambda moment: Int64(moment.nanoseconds // 1_000_000),
    "UnixMicro() int64": lambda moment: Int64(moment.nanoseconds // 1_000),
    "UnixNano() int64": lambda moment: Int64(moment.nanoseconds),
    "UTC() time.Time": lambda moment: Time(moment.nanoseconds, UTC),
    "Local() time.Time": lambda moment: Time(moment.nanoseconds, LOCAL),
    "IsZero() bool": lambda moment: moment.nanoseconds == NONE.nanoseconds,
    "Add(time.Duration) time.Time": lambda moment, by: Time(moment.nanoseconds + by, moment.zone),
    "AddDate(int, int, int) time.Time": _moved,
    "Sub(time.Time) time.Duration": lambda moment, other: Duration(moment.nanoseconds - other.nanoseconds),
    "Before(time.Time) bool": lambda moment, other: moment.nanoseconds < other.nanoseconds,
    "After(time.Time) bool": lambda moment, other: moment.nanoseconds > other.nanoseconds,
    "Equal(time.Time) bool": lambda moment, other: moment.nanoseconds == other.nanoseconds,
    "Compare(time.Time) int": lambda moment, other: (
        (moment.nanoseconds > other.nanoseconds) - (moment.nanoseconds < other.nanoseconds)
    ),
}


def _with_self(signature: str) -> str:
    name, _, rest = signature.partition("(")
    return f"{name}(time.Time{'' if rest.startswith(')') else ', '}{rest}"


Time.go_methods = {signature.partition("(")[0]: go(_with_self(signature))(call) for signature, call in _METHODS.items()}
