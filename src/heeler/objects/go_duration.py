"""Durations as Go reads and writes them: nanoseconds out of `1h30m`, and back (https://pkg.go.dev/time#ParseDuration)."""

from __future__ import annotations

import re

UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)\.?([0-9]*)([^0-9.]*)")
#: What the size of an int64 may be: one more for negative ones.
_MOST = 1 << 63
#: Digits of the longest number of that size: more are leading zeros, or too many.
_DIGITS = 19


def parse(text: str) -> int:
    """Nanoseconds. Raises ValueError in Go's words."""
    wrong = ValueError(f"time: invalid duration {quoted(text)}")
    negative, rest = text[:1] == "-", text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise wrong
    total = 0
    while rest:
        found = _PART.match(rest)
        assert found is not None
        digits, fraction, unit = found.groups()
        whole = digits.lstrip("0") or "0"
        if not (digits or fraction) or len(whole) > _DIGITS or int(whole) > _MOST:
            raise wrong
        if not unit:
            raise ValueError(f"time: missing unit in duration {quoted(text)}")
        if unit not in UNITS:
            raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        total += int(whole) * UNITS[unit] + _of_fraction(fraction, UNITS[unit])
        if total > _MOST:
            raise wrong
        rest = rest[found.end() :]
    if total == _MOST and not negative:
        raise wrong
    return -total if negative else total


def _of_fraction(digits: str, unit: int) -> int:
    """What stands behind the point, by way of a float as in Go; digits that an int64 has no room for count as zeros."""
    value, scale = 0, 1.0
    for digit in digits:
        more = value * 10 + int(digit)
        if more > _MOST - 1:
            break
        value, scale = more, scale * 10
    return int(value * (unit / scale))


def text(nanoseconds: int) -> str:
    """time.Duration's own form: `1h0m5s`, `1.5ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign, size = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if size < UNITS["s"]:
        unit = "ns" if size < UNITS["us"] else "µs" if size < UNITS["ms"] else "ms"
        return f"{sign}{_decimal(size, UNITS[unit])}{unit}"
    minutes, rest = divmod(size, UNITS["m"])
    seconds = f"{_decimal(rest, UNITS['s'])}s"
    if not minutes:
        return sign + seconds
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{seconds}" if hours else f"{sign}{minutes}m{seconds}"


def _decimal(value: int, scale: int) -> str:
    whole, fraction = divmod(value, scale)
    return f"{whole}.{fraction:0{len(str(scale)) - 1}d}".rstrip("0") if fraction else str(whole)


def quoted(text: str) -> str:
    """As Go's package time shows what it was given: bytes that are no printed ASCII by their numbers.

    A byte that isn't UTF-8 stands in `text` as Python's "surrogateescape" has it."""
    return f'"{"".join(_shown(char) for char in text)}"'


def _shown(char: str) -> str:
    if " " <= char <= "\x7f":
        return f"\\{char}" if char in '"\\' else char
    escaped = "\udc80" <= char <= "\udcff"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape" if escaped else "surrogatepass"))
