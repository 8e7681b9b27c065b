"""What a plain scalar means in YAML 1.1 as Go's yaml library (v2) has it: the types of https://yaml.org/type/, with
its own departures: no sexagesimal numbers, no underscores in exponents' place, octal as `010` and `0o10`, dates stay text.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

Scalar = str | int | float | bool | None

#: Texts that stand for one value, by YAML's tag. Not every case of the letters counts: `nO` is text.
CONSTANTS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

#: A text that begins otherwise is text.
FIRST_OF_OTHERS: Final = frozenset("+-.0123456789yYnNtTfFoO~")

_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_POINT_FIRST = re.compile(r"\.[0-9]+(?:[eE][-+]?[0-9]+)?\Z")
_STAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+](\d\d):(\d\d))| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?\Z"
)
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def resolve(text: str) -> Scalar:
    """The value of a plain scalar: whole numbers of up to 64 bits as int, others as float."""
    if text and text[0] not in FIRST_OF_OTHERS:
        return text
    return _resolve(text)


@lru_cache(maxsize=4096)
def _resolve(text: str) -> Scalar:
    if text in CONSTANTS:
        return CONSTANTS[text]
    first = text[0]
    if first == ".":
        # an underscore may stand between digits
        plain = text.replace("_", "")
        return _finite(plain, text) if _POINT_FIRST.match(plain) and text[1] != "_" else text
    if not (first.isdigit() or first in "+-"):
        return text
    plain = text.replace("_", "")
    if _INTEGER.match(plain):
        number = whole(plain)
        if -(1 << 63) <= number < (1 << 64) and not (number >= 1 << 63 and first in "+-"):
            return number
    if _FLOAT.match(plain):
        return _finite(plain, text)
    return text


def _finite(plain: str, text: str) -> float | str:
    value = float(plain)
    return text if math.isinf(value) else value


#: More digits than any whole number that is looked at; Python counts time for more, and refuses some thousands.
MOST_DIGITS: Final = 100


def decimal(digits: str) -> int:
    """The number that decimal digits stand for; of too many, one that is too large for any type as well."""
    return int(digits) if len(digits) <= MOST_DIGITS else int(digits.lstrip("0")[: MOST_DIGITS + 1] or "0")


def whole(plain: str) -> int:
    """A whole number by Go's prefixes: `0x`, `0b`, `0o`, and `0` for octal."""
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-").lower()
    match digits[:2]:
        case "0x":
            return sign * int(digits[2:], 16)
        case "0b":
            return sign * int(digits[2:], 2)
        case "0o":
            return sign * int(digits[2:], 8)
    return sign * (int(digits, 8) if len(digits) > 1 and digits[0] == "0" else decimal(digits))


def is_stamp(text: str) -> bool:
    """Whether the text is a date or a moment, which a writer has to quote."""
    found = _STAMP.match(text)
    if not found:
        return False
    year, month, day, *clock = (int(part or 0) for part in found.groups())
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1]):
        return False
    if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
        return False
    return all(map(int.__le__, clock, (23, 59, 59, 24, 60, 23, 59, 59)))
