"""JSON values as Go's fmt package prints them (%v, %s): some of upstream's messages show values in that form."""

from __future__ import annotations

from typing import Any


def kind(value: Any) -> str:
    """The Go type of a decoded JSON value."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float64"
        case str():
            return "string"
        case list():
            return "[]interface {}"
        case _:
            return "map[string]interface {}"


def decoded(value: Any) -> Any:
    """A number as Go decodes it: one that an int64 can't hold is a float64. Anything else as it is."""
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        return float(value)
    return value


def json_kind(value: Any) -> str:
    """What encoding/json calls it in its errors."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def reflect_kind(value: Any) -> str:
    """What reflect.Kind calls it."""
    match value:
        case list():
            return "slice"
        case dict():
            return "map"
        case _:
            return kind(value)


def plain(value: Any) -> str:
    """%v"""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case list():
            return "[" + " ".join(plain(item) for item in value) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
        case _:
            return str(value)


def text(value: Any) -> str:
    """%s, which tells of a value that is not text."""
    match value:
        case str():
            return value
        case None:
            return "%!s(<nil>)"
        case list():
            return "[" + " ".join(text(item) for item in value) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{text(value[key])}" for key in sorted(value)) + "]"
        case _:
            return f"%!s({kind(value)}={plain(value)})"


def _float(value: float) -> str:
    """Go's %v: the shortest form, with an exponent of two digits below 1e-4 and from 1e6 on."""
    from decimal import Decimal  # one faulty number in a message needs it, not every start of a command line

    shortest = Decimal(repr(value)).normalize()
    exponent = shortest.adjusted()
    if not value or -4 <= exponent < 6:
        return f"{shortest:f}"
    return f"{shortest.scaleb(-exponent):f}e{exponent:+03d}"
