"""Faults found in a field of an object, in Kubernetes' words (apimachinery's `field.Error` forms).

A fault is data: validation yields faults, `heeler.objects.status.invalid` makes the 422 answer of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause: `reason` is the machine's word (FieldValueRequired…), `message` the person's, `field` the path."""

    reason: str
    message: str
    field: str


def quote(text: str) -> str:
    """Text as Go's %q writes it."""
    out = ['"']
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\t":
            out.append("\\t")
        elif char == "\r":
            out.append("\\r")
        elif char.isprintable():
            out.append(char)
        elif ord(char) < 0x20 or ord(char) == 0x7F:
            out.append({"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}.get(char) or f"\\x{ord(char):02x}")
        elif ord(char) < 0x10000:
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(f"\\U{ord(char):08x}")
    out.append('"')
    return "".join(out)


def shown(value: Any) -> str:
    """A bad value as a message shows it: text quoted, everything else as JSON."""
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    return orjson.dumps(value).decode()


def mark(value: Any) -> object:
    """What is the same for equal values and can be in a set: to look for what comes twice in linear time."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if isinstance(value, (dict, list)) else value


def required(path: str, detail: str = "") -> Fault:
    return Fault("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), path)


def invalid(path: str, value: Any, detail: str) -> Fault:
    return Fault("FieldValueInvalid", f"Invalid value: {shown(value)}" + (f": {detail}" if detail else ""), path)


def type_invalid(path: str, value: Any, detail: str) -> Fault:
    return Fault("FieldValueTypeInvalid", f"Invalid value: {shown(value)}" + (f": {detail}" if detail else ""), path)


def not_supported(path: str, value: Any, allowed: tuple[str, ...]) -> Fault:
    """`allowed` in the order in which upstream names them."""
    text = f"Unsupported value: {shown(value)}"
    if allowed:
        text += ": supported values: " + ", ".join(quote(a) for a in allowed)
    return Fault("FieldValueNotSupported", text, path)


def duplicate(path: str, value: Any) -> Fault:
    return Fault("FieldValueDuplicate", f"Duplicate value: {shown(value)}", path)


def forbidden(path: str, detail: str) -> Fault:
    return Fault("FieldValueForbidden", f"Forbidden: {detail}", path)


def not_found(path: str, value: Any) -> Fault:
    return Fault("FieldValueNotFound", f"Not found: {shown(value)}", path)


def too_long(path: str, limit: int, unit: str = "bytes") -> Fault:
    """A text over `limit` bytes (or characters)."""
    return Fault("FieldValueTooLong", f"Too long: may not be more than {limit} {unit}", path)


def too_many(path: str, count: int, limit: int) -> Fault:
    return Fault("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", path)


def internal(path: str, detail: str) -> Fault:
    return Fault("InternalError", f"Internal error: {detail}", path)
