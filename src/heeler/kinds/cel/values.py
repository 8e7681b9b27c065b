"""Values of expressions: what has no like in Python, and what is true of all of them (equality, order, size, type).

bool, int (64 bits), float, str, bytes, None, list and dict are themselves; the rest are classes here.
Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#values
"""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from heeler.objects import go_duration
from heeler.objects.quantities import Quantity

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


class EvaluationError(ValueError):
    """The expression has no value for these variables ("no such key: x")."""


class BudgetError(EvaluationError):
    """The evaluation took more than it may; the words are those of a whole set of rules that ran out of its budget."""


def no_overload() -> EvaluationError:
    return EvaluationError("no such overload")


class Uint(int):
    """An unsigned whole number of 64 bits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Nanoseconds since 1970; `offset` is the zone that it was written in, in minutes."""

    nanoseconds: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Maybe:
    """An optional value."""

    present: bool
    value: Any = None


NOTHING = Maybe(False)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """What `type(x)` gives, and what names like `int` stand for."""

    name: str


@dataclass(frozen=True, slots=True)
class Network:
    """An address range (CIDR); the address may have bits beyond the prefix."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    prefix: int

    @property
    def masked(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        return ipaddress.ip_network(f"{self.address}/{self.prefix}", strict=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Semver:
    """`key` is what versions are ordered by; build metadata is not part of it."""

    text: str
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Url:
    text: str


@dataclass(frozen=True, slots=True)
class Format:
    """A named format of texts. `check` gives what is wrong with one."""

    name: str
    check: Any = field(compare=False)
    pattern_size: int = 0


@dataclass(slots=True)
class Message:
    """A value made as `Name{field: …}`: an object of an apply configuration, or an operation of a JSON patch."""

    name: str
    fields: dict[str, Any]


@runtime_checkable
class Selectable(Protocol):
    """A value that makes its fields when they are asked for."""

    def select(self, name: str) -> Any:
        """Raises EvaluationError."""

    def has(self, name: str) -> bool: ...


Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Names of types, as `type(x)` and errors show them.
TYPE_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    Maybe: "optional_type",
    TypeValue: "type",
    Quantity: "kubernetes.Quantity",
    ipaddress.IPv4Address: "net.IP",
    ipaddress.IPv6Address: "net.IP",
    Network: "net.CIDR",
    Semver: "kubernetes.Semver",
    Url: "kubernetes.URL",
    Format: "kubernetes.NamedFormat",
}


def type_name(value: Any) -> str:
    if isinstance(value, Message):
        return value.name
    return TYPE_NAMES.get(type(value)) or str(getattr(value, "type_name", "dyn"))


_PLAIN = frozenset((str, int, bool, float, Uint))
_NUMBERS = (int, float)


#: Kubernetes' own types are compared with their like only.
_OWN = frozenset((Quantity, Network, Semver, Url, Format, ipaddress.IPv4Address, ipaddress.IPv6Address))


def equal(a: Any, b: Any) -> bool:
    """Numbers of different types are compared by value, other values of different types are not equal.

    Raises EvaluationError for one of Kubernetes' own types and something else.
    """
    kind = type(a)
    if kind is type(b):
        if kind in _PLAIN:
            return bool(a == b)
        if kind is list:
            return len(a) == len(b) and all(map(equal, a, b))
        if kind is dict:
            return a.keys() == b.keys() and all(equal(value, b[key]) for key, value in a.items())
        if kind is Maybe:
            return a.present == b.present and equal(a.value, b.value)
        if kind is Message:
            return a.name == b.name and equal(a.fields, b.fields)
        if kind is Quantity:
            return bool(a.nano == b.nano)
        if kind is Semver:
            return bool(a.key == b.key)
        return bool(a == b)
    if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS) and kind is not bool and type(b) is not bool:
        return a == b
    if kind in _OWN:
        raise no_overload()
    return False


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1. Raises EvaluationError for values without an order."""
    kind = type(a)
    if kind is type(b):
        if kind not in (str, int, float, Uint, bool, bytes, Timestamp, Duration):
            raise no_overload()
    elif not (isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS)) or kind is bool or type(b) is bool:
        raise no_overload()
    return int(a > b) - int(a < b)


def size(value: Any) -> int:
    """How large a value is for those who count costs: characters, bytes, elements; 1 for anything else."""
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return len(value.packed)
    if isinstance(value, Network):
        return math.ceil(value.prefix / 8)
    return 1


def checked_int(value: int) -> int:
    """Raises EvaluationError for a number of more than 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def checked_uint(value: int) -> Uint:
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise EvaluationError("unsigned integer overflow")


_NANO = 10**9
#: 0001-01-01 and the end of 9999, in seconds since 1970.
_EARLIEST, _LATEST = -62135596800, 253402300799


def checked_time(nanoseconds: int) -> Timestamp:
    if _EARLIEST <= nanoseconds // _NANO <= _LATEST:
        return Timestamp(nanoseconds)
    raise EvaluationError("timestamp overflow")


def checked_span(nanoseconds: int) -> Duration:
    if INT_MIN <= nanoseconds <= INT_MAX:
        return Duration(nanoseconds)
    raise EvaluationError("duration overflow")


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)\Z")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def parse_time(text: str) -> Timestamp:
    """RFC 3339. Raises ValueError."""
    found = _TIME.match(text)
    if found is None:
        raise ValueError(f"no time: {text}")
    zone = "+00:00" if found[3] == "Z" else found[3]
    written = datetime.datetime.fromisoformat(found[1] + zone)
    moment, offset = written - _EPOCH, written.utcoffset() or datetime.timedelta(0)
    nanoseconds = (moment.days * 86400 + moment.seconds) * _NANO + int((found[2] or "0").ljust(9, "0"))
    return Timestamp(nanoseconds, offset // datetime.timedelta(minutes=1))


def time_text(moment: Timestamp) -> str:
    seconds, rest = divmod(moment.nanoseconds, _NANO)
    zone = datetime.timedelta(minutes=moment.offset)
    text = (_EPOCH + datetime.timedelta(seconds=seconds) + zone).strftime("%Y-%m-%dT%H:%M:%S")
    hours, minutes = divmod(abs(moment.offset), 60)
    shown = f"{'-' if moment.offset < 0 else '+'}{hours:02}:{minutes:02}" if moment.offset else "Z"
    return f"{text.rjust(19, '0')}{f'.{rest:09}'.rstrip('0').rstrip('.')}{shown}"


def parse_duration(text: str) -> Duration:
    """Go's form of durations ("1h30m", "-1.5s"). Raises ValueError."""
    return checked_span(go_duration.parse(text))


def float_text(value: float) -> str:
    """A number as Go's shortest form ("%v") writes it: 1, 0.5, 1e+06."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    exact = decimal.Decimal(repr(value)).normalize()
    digits, power = "".join(map(str, exact.as_tuple().digits)), exact.adjusted() if value else 0
    if -4 <= power < 6:
        return f"{value:.{max(len(digits) - 1 - power, 0)}f}"
    sign = "-" if value < 0 else ""
    point = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}e{'-' if power < 0 else '+'}{abs(power):02}"


def plain(value: Any) -> Any:
    """A value as JSON has it. Raises EvaluationError for what JSON cannot hold."""
    if isinstance(value, Maybe):
        return plain(value.value) if value.present else None
    if value is None or isinstance(value, (bool, str, int, float)):
        return int(value) if isinstance(value, Uint) else value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (dict, Message)):
        rows: Mapping[Any, Any] = value.fields if isinstance(value, Message) else value
        return {_key(key): plain(item) for key, item in rows.items()}
    if isinstance(value, Timestamp):
        return time_text(value)
    if isinstance(value, Duration):
        return duration_text(value)
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    short = type_name(value).rpartition(".")[2]
    raise EvaluationError(f"type conversion error from '{short}' to '*structpb.Value'")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def duration_text(span: Duration) -> str:
    """Seconds, as CEL writes durations: "90s", "0.5s"."""
    sign = "-" if span.nanoseconds < 0 else ""
    whole, rest = divmod(abs(span.nanoseconds), _NANO)
    return f"{sign}{whole}{f'.{rest:09}'.rstrip('0').rstrip('.')}s"
