"""The string formats that a schema may ask for (`format: email`), and whether a text has one.

A format that is not known here asks for nothing, as upstream: `is_known` tells, for the warning.
Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from heeler.objects import names

_UUID = r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_HOST = r"([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?"
_RGB = r"rgb\(\s*(%s)\s*,\s*(%s)\s*,\s*(%s)\s*\)" % (("25[0-5]|2[0-4]\\d|1?\\d?\\d",) * 3)
_UNITS = "ns|us|µs|ms|s|m|h|d|w|nanoseconds?|nanos?|microseconds?|micros?|milliseconds?|millis?|seconds?|secs?"
_UNITS += "|minutes?|mins?|hours?|hrs?|days?|weeks?|wks?"


def _whole(pattern: str) -> Callable[[str], bool]:
    found = re.compile(pattern)
    return lambda text: found.fullmatch(text) is not None


def _address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _cidr(text: str) -> bool:
    if "/" not in text:
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _date(text: str) -> bool:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is None:
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _date_time(text: str) -> bool:
    found = re.fullmatch(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})?", text)
    return found is not None and _date(found[1]) and int(found[2]) < 24 and int(found[3]) < 60 and int(found[4]) < 61


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri(text: str) -> bool:
    """An absolute URI, or an absolute path."""
    if not text or text.startswith("//") or any(char <= " " for char in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    return bool(local and at and host) and " " not in text and not host.startswith(".")


def _duration(text: str) -> bool:
    text = text.strip()
    if re.fullmatch(r"[-+]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+", text):
        return True
    return re.fullmatch(rf"(\s*\d+\s*({_UNITS})\s*)+", text) is not None


def _isbn(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if len(digits) == 10 and re.fullmatch(r"\d{9}[\dX]", digits):
        return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0
    if len(digits) == 13 and digits.isdigit():
        return sum((1, 3)[i % 2] * int(c) for i, c in enumerate(digits)) % 10 == 0
    return False


def _card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not 13 <= len(digits) <= 16:
        return False
    total = sum(sum(divmod(int(c) * 2, 10)) if i % 2 else int(c) for i, c in enumerate(reversed(digits)))
    return total % 10 == 0


_FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _whole("[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": _email,
    "hostname": lambda text: len(text) <= 255 and _whole(_HOST)(text),
    "ipv4": lambda text: _address(text, 4),
    "ipv6": lambda text: _address(text, 6),
    "cidr": _cidr,
    "mac": _whole(
        r"([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2}[:-]){0,2}[0-9A-Fa-f]{0,2}|([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
    ),
    "uuid": _whole(_UUID % ("[0-9a-f]", "[0-9a-f]")),
    "uuid3": _whole(_UUID % ("3", "[0-9a-f]")),
    "uuid4": _whole(_UUID % ("4", "[89ab]")),
    "uuid5": _whole(_UUID % ("5", "[89ab]")),
    "isbn": _isbn,
    "isbn10": lambda text: len(re.sub(r"[\s-]", "", text)) == 10 and _isbn(text),
    "isbn13": lambda text: len(re.sub(r"[\s-]", "", text)) == 13 and _isbn(text),
    "creditcard": _card,
    "ssn": _whole(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _whole("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _whole(_RGB),
    "byte": _byte,
    "password": lambda text: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "date-time": _date_time,
    "k8s-short-name": lambda text: not names.label(text),
    "k8s-long-name": lambda text: not names.subdomain(text),
}
#: Formats of numbers, checked with the number's range.
_OF_NUMBERS = ("int32", "int64", "float", "double")


def matches(form: str, text: str) -> bool:
    """Has the text the format? True for formats that are not known."""
    check = _FORMATS.get(form)
    return check is None or check(text)


def is_known(form: str) -> bool:
    """Is it a format that the server checks?"""
    return form in _FORMATS or form in _OF_NUMBERS
