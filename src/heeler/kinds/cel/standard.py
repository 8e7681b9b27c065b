"""The functions of the language itself and of its extensions for texts and optional values, as they are evaluated.

A row is a name, the types of its arguments (a member's target is the first) and what it does; `library.py` has the same
for Kubernetes' own functions. Not here: what evaluates its arguments by need (`&&`, `||`, `? :`), see `evaluation.py`.
Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions
"""

from __future__ import annotations

import datetime
import math
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any

from heeler.kinds.cel.values import (
    NOTHING,
    UINT_MAX,
    Duration,
    EvaluationError,
    Maybe,
    Message,
    Selectable,
    Timestamp,
    TypeValue,
    Uint,
    checked_int,
    checked_span,
    checked_time,
    checked_uint,
    compare,
    duration_text,
    equal,
    float_text,
    no_overload,
    parse_duration,
    parse_time,
    time_text,
    type_name,
)

Row = tuple[str, tuple[type, ...], Callable[..., Any]]
_ANY = object
#: Characters that one call may make; the budget ends what goes on for longer.
MAX_TEXT = 8 << 20
_NANO = 10**9


class Functions:
    """Functions by name; which one is meant is told by the values that it is given."""

    def __init__(self, *tables: Iterable[Row]) -> None:
        self._rows: dict[str, list[tuple[tuple[type, ...], Callable[..., Any]]]] = {}
        self._found: dict[tuple[Any, ...], Callable[..., Any] | None] = {}
        for table in tables:
            for name, types, does in table:
                self._rows.setdefault(name, []).append((types, does))

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Raises EvaluationError."""
        key = (name, *map(type, arguments))
        try:
            does = self._found[key]
        except KeyError:
            does = self._found[key] = self._search(name, key[1:])
        if does is None:
            raise _no_overload(name, arguments)
        return does(*arguments)

    def _search(self, name: str, given: tuple[Any, ...]) -> Callable[..., Any] | None:
        for types, does in self._rows.get(name, ()):
            if len(types) == len(given) and all(map(_fits, types, given)):
                return does
        return None


#: Operators -> the types of which the left side may be; with such a side the right one doesn't fit.
_ADDED = (int, Uint, float, str, bytes, list, Timestamp, Duration)
_OPERANDS: dict[str, tuple[type, ...]] = {
    "_+_": _ADDED,
    "_-_": (int, Uint, float, Timestamp, Duration),
    **dict.fromkeys(("_*_", "_/_"), (int, Uint, float)),
    "_%_": (int, Uint),
    **dict.fromkeys(("!_", "-_", "@in", "_[_]", "_[?_]", "_?._"), (object,)),
}


def _no_overload(name: str, arguments: list[Any]) -> EvaluationError:
    operands = _OPERANDS.get(name)
    if operands is not None:
        fits = any(_fits(kind, type(arguments[0])) for kind in operands)
        return no_overload() if fits else EvaluationError(f"no such overload: {name}")
    if name == "size":
        return EvaluationError("no such overload: size")
    return EvaluationError(f"no such overload: {name}({', '.join(map(type_name, arguments))})")


def _fits(wanted: type, given: type) -> bool:
    # bool and Uint are ints to Python, not here
    return wanted is object or given is wanted or (wanted is not int and issubclass(given, wanted))


def _conversion(value: Any, target: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{type_name(value)}' to '{target}'")


# Numbers.


def _divided(a: int, b: int) -> int:
    """Towards zero, as Go does."""
    if b == 0:
        raise EvaluationError("division by zero")
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


def _rest(a: int, b: int) -> int:
    if b == 0:
        raise EvaluationError("modulus by zero")
    return a - b * _divided(a, b)


def _float_divided(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def _to_int(value: Any) -> int:
    if isinstance(value, float):
        if not -(2.0**63) < value < 2.0**63:
            raise EvaluationError("integer overflow")
        return int(value)
    return checked_int(int(value))


def _int_of_text(text: str) -> int:
    try:
        if text.strip() != text or "_" in text:
            raise ValueError
        return checked_int(int(text))
    except ValueError:
        raise _conversion(text, "int") from None


def _uint_of(value: Any) -> Uint:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and int(value[:40]) <= UINT_MAX):
            raise _conversion(value, "uint")
        return Uint(int(value))
    if isinstance(value, float) and not 0 <= value < 2.0**64:
        raise EvaluationError("unsigned integer overflow")
    return checked_uint(int(value))


def _float_of_text(text: str) -> float:
    try:
        if text.strip() != text or "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise _conversion(text, "double") from None


_BOOLS = {"1": True, "t": True, "T": True, "true": True, "TRUE": True, "True": True}
_BOOLS |= {"0": False, "f": False, "F": False, "false": False, "FALSE": False, "False": False}


def _bool_of_text(text: str) -> bool:
    if text not in _BOOLS:
        raise _conversion(text, "bool")
    return _BOOLS[text]


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None


def _time_of_text(text: str) -> Timestamp:
    try:
        return parse_time(text)
    except ValueError:
        raise _conversion(text, "google.protobuf.Timestamp") from None


def _span_of_text(text: str) -> Duration:
    try:
        return parse_duration(text)
    except ValueError:
        raise _conversion(text, "google.protobuf.Duration") from None


_NUMBERS: tuple[Row, ...] = (
    ("_+_", (int, int), lambda a, b: checked_int(a + b)),
    ("_-_", (int, int), lambda a, b: checked_int(a - b)),
    ("_*_", (int, int), lambda a, b: checked_int(a * b)),
    ("_/_", (int, int), lambda a, b: checked_int(_divided(a, b))),
    ("_%_", (int, int), _rest),
    ("_+_", (Uint, Uint), lambda a, b: checked_uint(int(a) + int(b))),
    ("_-_", (Uint, Uint), lambda a, b: checked_uint(int(a) - int(b))),
    ("_*_", (Uint, Uint), lambda a, b: checked_uint(int(a) * int(b))),
    ("_/_", (Uint, Uint), lambda a, b: Uint(_divided(int(a), int(b)))),
    ("_%_", (Uint, Uint), lambda a, b: Uint(_rest(int(a), int(b)))),
    ("_+_", (float, float), lambda a, b: a + b),
    ("_-_", (float, float), lambda a, b: a - b),
    ("_*_", (float, float), lambda a, b: a * b),
    ("_/_", (float, float), _float_divided),
    ("-_", (int,), lambda a: checked_int(-a)),
    ("-_", (float,), lambda a: -a),
    ("!_", (bool,), lambda a: not a),
    ("int", (int,), lambda a: a),
    ("int", (Uint,), _to_int),
    ("int", (float,), _to_int),
    ("int", (str,), _int_of_text),
    ("int", (Timestamp,), lambda a: a.nanoseconds // _NANO),
    ("int", (Duration,), lambda a: a.nanoseconds),
    ("uint", (Uint,), lambda a: a),
    ("uint", (int,), _uint_of),
    ("uint", (float,), _uint_of),
    ("uint", (str,), _uint_of),
    ("double", (float,), lambda a: a),
    ("double", (int,), float),
    ("double", (Uint,), float),
    ("double", (str,), _float_of_text),
    ("bool", (bool,), lambda a: a),
    ("bool", (str,), _bool_of_text),
)

# Anything.


def _index_list(given: list[Any], at: Any) -> Any:
    if isinstance(at, float) and at.is_integer():
        at = int(at)
    if not isinstance(at, int) or isinstance(at, bool):
        raise EvaluationError(f"unsupported index type '{type_name(at)}' in list")
    if not 0 <= at < len(given):
        raise EvaluationError(f"index out of bounds: {int(at)}")
    return given[at]


def key_of(key: Any) -> Any:
    """What a value is as a key of a map: a whole number is one key, whatever its type."""
    if isinstance(key, float) and key.is_integer():
        return int(key)
    return key


def _index_map(given: dict[Any, Any], key: Any) -> Any:
    key = key_of(key)
    try:
        found = given[key]
    except (KeyError, TypeError):
        raise EvaluationError(f"no such key: {shown(key)}") from None
    return found


def shown(key: Any) -> str:
    """A value in an error's words."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return float_text(key) if isinstance(key, float) else str(key)


def _no_index(given: Any, key: Any) -> Any:
    raise EvaluationError(f"no such key: {shown(key)}")


def _optional_index(given: Any, key: Any) -> Maybe:
    if isinstance(given, Maybe):
        return _optional_index(given.value, key) if given.present else NOTHING
    if isinstance(given, list):
        at = key_of(key)
        return Maybe(True, given[at]) if isinstance(at, int) and 0 <= at < len(given) else NOTHING
    if isinstance(given, dict):
        at = key_of(key)
        return Maybe(True, given[at]) if at in given else NOTHING
    return optional_field(given, str(key))


def optional_field(given: Any, name: str) -> Maybe:
    """`given.?name`"""
    if isinstance(given, Maybe):
        return optional_field(given.value, name) if given.present else NOTHING
    if isinstance(given, dict):
        return Maybe(True, given[name]) if name in given else NOTHING
    if isinstance(given, Message):
        return Maybe(True, given.fields[name]) if name in given.fields else NOTHING
    if isinstance(given, Selectable):
        return Maybe(True, given.select(name)) if given.has(name) else NOTHING
    return NOTHING


def _in_list(item: Any, given: list[Any]) -> bool:
    return any(equal(item, other) for other in given)


def _in_map(key: Any, given: dict[Any, Any]) -> bool:
    try:
        return key_of(key) in given
    except TypeError:
        return False


_ORDERED = (bool, int, Uint, float, str, bytes, Timestamp, Duration)


def _compared(name: str, sign: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def does(a: Any, b: Any) -> bool:
        if not isinstance(a, _ORDERED):
            raise EvaluationError(f"no such overload: {name}")
        return sign(compare(a, b))

    return does


_GENERAL: tuple[Row, ...] = (
    ("_==_", (_ANY, _ANY), equal),
    ("_!=_", (_ANY, _ANY), lambda a, b: not equal(a, b)),
    ("_<_", (_ANY, _ANY), _compared("_<_", lambda sign: sign < 0)),
    ("_<=_", (_ANY, _ANY), _compared("_<=_", lambda sign: sign <= 0)),
    ("_>_", (_ANY, _ANY), _compared("_>_", lambda sign: sign > 0)),
    ("_>=_", (_ANY, _ANY), _compared("_>=_", lambda sign: sign >= 0)),
    ("@in", (_ANY, list), _in_list),
    ("@in", (_ANY, dict), _in_map),
    ("_[_]", (list, _ANY), _index_list),
    ("_[_]", (dict, _ANY), _index_map),
    ("_[_]", (Maybe, _ANY), _optional_index),
    ("_[_]", (_ANY, _ANY), _no_index),
    ("_[?_]", (_ANY, _ANY), _optional_index),
    ("_?._", (_ANY, str), optional_field),
    ("_+_", (list, list), lambda a, b: a + b),
    ("size", (str,), len),
    ("size", (bytes,), len),
    ("size", (list,), len),
    ("size", (dict,), len),
    ("dyn", (_ANY,), lambda a: a),
    ("type", (_ANY,), lambda a: TypeValue(type_name(a))),
)


def _dereferenced(given: Maybe) -> Any:
    if not given.present:
        raise EvaluationError("optional.none() dereference")
    return given.value


def _unwrapped(given: list[Any]) -> list[Any]:
    if not all(isinstance(item, Maybe) for item in given):
        raise no_overload()
    return [item.value for item in given if item.present]


_OPTIONAL: tuple[Row, ...] = (
    ("optional.of", (_ANY,), lambda a: Maybe(True, a)),
    ("optional.none", (), lambda: NOTHING),
    ("optional.ofNonZeroValue", (_ANY,), lambda a: Maybe(True, a) if _counts(a) else NOTHING),
    ("hasValue", (Maybe,), lambda a: a.present),
    ("value", (Maybe,), _dereferenced),
    ("first", (list,), lambda a: Maybe(True, a[0]) if a else NOTHING),
    ("last", (list,), lambda a: Maybe(True, a[-1]) if a else NOTHING),
    ("optional.unwrap", (list,), _unwrapped),
    ("unwrapOpt", (list,), _unwrapped),
    ("or", (Maybe, Maybe), lambda a, b: a if a.present else b),
    ("orValue", (Maybe, _ANY), lambda a, b: a.value if a.present else b),
)


def _counts(value: Any) -> bool:
    """Is it something else than its type's zero?"""
    if isinstance(value, (Timestamp, Duration)):
        return value.nanoseconds != 0
    return bool(value)


# Texts and bytes.


def bounded(text: str) -> str:
    """Raises EvaluationError for a text longer than one call may make."""
    if len(text) > MAX_TEXT:
        raise EvaluationError("operation cancelled: actual cost limit exceeded")
    return text


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise EvaluationError(f"index out of range: {at}")
    return text[at : at + 1]


def _find_from(text: str, part: str, at: int) -> int:
    if at < 0:
        raise EvaluationError(f"index out of range: {at}")
    return text.find(part, at)


def _find_last_from(text: str, part: str, at: int) -> int:
    if at < 0:
        raise EvaluationError(f"index out of range: {at}")
    return text.rfind(part, 0, at + len(part)) if at < len(text) else -1


def _joined(parts: list[Any], by: str = "") -> str:
    if any(type(part) is not str for part in parts):
        raise no_overload()
    if sum(map(len, parts)) + len(by) * len(parts) > MAX_TEXT:
        raise EvaluationError("operation cancelled: actual cost limit exceeded")
    return by.join(parts)


def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if old else len(text) + 1
    times = times if count < 0 else min(times, count)
    if len(text) + times * max(len(new) - len(old), 0) > MAX_TEXT:
        raise EvaluationError("operation cancelled: actual cost limit exceeded")
    return text.replace(old, new, max(count, -1))


def _split(text: str, by: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if limit == 1:
        return [text]
    if by:
        return text.split(by, limit - 1 if limit > 0 else -1)
    if limit < 0 or len(text) <= limit:
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text)
    if not 0 <= start <= last:
        raise EvaluationError(f"index out of range: {start}")
    if end is None:
        return text[start:]
    if not 0 <= end <= last:
        raise EvaluationError(f"index out of range: {end}")
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _ascii(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(char) if char.isascii() else char for char in text)


def pattern_of(pattern: str) -> Any:
    """A compiled regular expression. Raises EvaluationError."""
    from heeler.kinds.custom.patterns import compiled

    try:
        return compiled(pattern)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _matches(text: str, pattern: str) -> bool:
    return pattern_of(pattern).search(text) is not None


_QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_QUOTED |= {"\\": "\\\\", '"': '\\"'}


def _quote(text: str) -> str:
    return bounded(f'"{"".join(_QUOTED.get(char, char) for char in text)}"')


def _text(value: Any) -> str:
    """`string(value)`"""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    return str(int(value))


_TEXTS: tuple[Row, ...] = (
    ("_+_", (str, str), lambda a, b: bounded(a + b)),
    ("_+_", (bytes, bytes), lambda a, b: a + b),
    ("string", (str,), lambda a: a),
    ("string", (bool,), _text),
    ("string", (int,), _text),
    ("string", (Uint,), _text),
    ("string", (float,), _text),
    ("string", (bytes,), _text_of_bytes),
    ("string", (Timestamp,), time_text),
    ("string", (Duration,), duration_text),
    ("bytes", (bytes,), lambda a: a),
    ("bytes", (str,), str.encode),
    ("contains", (str, str), lambda a, b: b in a),
    ("startsWith", (str, str), str.startswith),
    ("endsWith", (str, str), str.endswith),
    ("matches", (str, str), _matches),
    ("charAt", (str, int), _char_at),
    ("indexOf", (str, str), str.find),
    ("indexOf", (str, str, int), _find_from),
    ("lastIndexOf", (str, str), str.rfind),
    ("lastIndexOf", (str, str, int), _find_last_from),
    ("join", (list,), _joined),
    ("join", (list, str), _joined),
    ("lowerAscii", (str,), lambda a: _ascii(a, str.lower)),
    ("upperAscii", (str,), lambda a: _ascii(a, str.upper)),
    ("replace", (str, str, str), _replaced),
    ("replace", (str, str, str, int), _replaced),
    ("split", (str, str), _split),
    ("split", (str, str, int), _split),
    ("substring", (str, int), _substring),
    ("substring", (str, int, int), _substring),
    ("trim", (str,), str.strip),
    ("reverse", (str,), lambda a: a[::-1]),
    ("strings.quote", (str,), _quote),
)

# Times.


def _zone(name: str) -> datetime.tzinfo:
    """An IANA name, or an offset like "-08:00"."""
    sign = -1 if name.startswith("-") else 1
    hours, colon, minutes = name.removeprefix("-").removeprefix("+").partition(":")
    if colon and hours.isdigit() and minutes.isdigit():
        return datetime.timezone(sign * datetime.timedelta(hours=int(hours), minutes=int(minutes)))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError(f"unknown time zone {name}") from None


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _part(of: Callable[[datetime.datetime], int]) -> Callable[..., int]:
    def does(moment: Timestamp, zone: str = "UTC") -> int:
        seconds = moment.nanoseconds // _NANO
        try:
            return of((_EPOCH + datetime.timedelta(seconds=seconds)).astimezone(_zone(zone)))
        except OverflowError:
            raise EvaluationError("timestamp overflow") from None

    return does


_PARTS: dict[str, Callable[[datetime.datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
}
_SPANS = {"getHours": 3600 * _NANO, "getMinutes": 60 * _NANO, "getSeconds": _NANO}


def _milliseconds(moment: Timestamp, zone: str = "UTC") -> int:
    return moment.nanoseconds % _NANO // 10**6


_TIMES: tuple[Row, ...] = (
    ("timestamp", (Timestamp,), lambda a: a),
    ("timestamp", (str,), _time_of_text),
    ("timestamp", (int,), lambda a: checked_time(a * _NANO)),
    ("duration", (Duration,), lambda a: a),
    ("duration", (str,), _span_of_text),
    ("duration", (int,), checked_span),
    ("_+_", (Timestamp, Duration), lambda a, b: checked_time(a.nanoseconds + b.nanoseconds)),
    ("_+_", (Duration, Timestamp), lambda a, b: checked_time(a.nanoseconds + b.nanoseconds)),
    ("_+_", (Duration, Duration), lambda a, b: checked_span(a.nanoseconds + b.nanoseconds)),
    ("_-_", (Timestamp, Timestamp), lambda a, b: checked_span(a.nanoseconds - b.nanoseconds)),
    ("_-_", (Timestamp, Duration), lambda a, b: checked_time(a.nanoseconds - b.nanoseconds)),
    ("_-_", (Duration, Duration), lambda a, b: checked_span(a.nanoseconds - b.nanoseconds)),
    ("-_", (Duration,), lambda a: checked_span(-a.nanoseconds)),
    *((name, (Timestamp,), _part(of)) for name, of in _PARTS.items()),
    *((name, (Timestamp, str), _part(of)) for name, of in _PARTS.items()),
    *((name, (Duration,), lambda a, unit=unit: _divided(a.nanoseconds, unit)) for name, unit in _SPANS.items()),
    ("getMilliseconds", (Timestamp,), _milliseconds),
    ("getMilliseconds", (Timestamp, str), _milliseconds),
    ("getMilliseconds", (Duration,), lambda a: _divided(a.nanoseconds, 10**6)),
)

STANDARD: tuple[Row, ...] = (*_NUMBERS, *_GENERAL, *_OPTIONAL, *_TEXTS, *_TIMES)
