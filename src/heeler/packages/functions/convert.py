"""How sprig makes numbers, text and lists of anything: `int "0x10"`, `add "3" 4`, `join "," (list 1 2)`.

Nothing here fails: what is no number is 0.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from heeler.packages.template.formatting import text
from heeler.packages.template.values import GoPanic, Sized, Struct, kind_name
from heeler.packages.yaml.scalars import decimal, whole

_WHOLE = re.compile(
    r"[-+]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)\Z"
)
_DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"[-+]?[0-7]+\Z")
_DIGITS = "[0-9](?:_?[0-9])*"
_FLOAT = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?{_DIGITS})?\Z")
_HEX_FLOAT = re.compile(r"[-+]?0[xX](?:_?[0-9a-fA-F])*\.?(?:_?[0-9a-fA-F])*[pP][-+]?[0-9]+\Z")
_NAMED_FLOAT = re.compile(r"(?:[-+]?inf(?:inity)?|nan)\Z", re.IGNORECASE)
_ZERO_FRACTION = re.compile(r"(?<=.)\.0+\Z|\A\.0+\Z")

LEAST: Final = -(1 << 63)
MOST: Final = (1 << 63) - 1


def wrapped(value: int) -> int:
    """As a number of 64 bits overflows."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def to_int(value: Any) -> int:
    """A whole number of 64 bits; fractions are cut off."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return int(value)
    if isinstance(value, float):
        return float_to_int(value)
    if kind is str:
        return _whole_text(value)
    if isinstance(value, Sized) and value.go_type == value.go_kind:
        return wrapped(int(value))
    return 0


def float_to_int(value: float) -> int:
    """As amd64 converts: what doesn't fit is the least number."""
    if not -(2.0**63) <= value < 2.0**63:
        return LEAST
    return int(value)


def _whole_text(value: str) -> int:
    if "." in value:
        value = _ZERO_FRACTION.sub("", value)
    if not _WHOLE.match(value):
        return 0
    number = whole(value.replace("_", ""))
    return number if LEAST <= number <= MOST else 0


def to_float(value: Any) -> float:
    """A floating-point number."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return parse_float(value) or 0.0
    if isinstance(value, Sized) and value.go_type != value.go_kind:
        return 0.0
    if isinstance(value, int):
        return float(value)
    return 0.0


def parse_float(value: str) -> float | None:
    """strconv.ParseFloat; None for what isn't one, or is too large."""
    if _FLOAT.match(value):
        number = float(value.replace("_", ""))
        return None if math.isinf(number) else number
    if _NAMED_FLOAT.match(value):
        return float(value)
    if _HEX_FLOAT.match(value):
        try:
            return float.fromhex(value.replace("_", ""))
        except (ValueError, OverflowError):
            return None
    return None


def atoi(value: str) -> int:
    """strconv.Atoi without its error: what is too large is the largest number."""
    if not _DECIMAL.match(value):
        return 0
    number = decimal(value.lstrip("+-"))
    return max(LEAST, min(MOST, -number if value[0] == "-" else number))


def from_octal(value: str) -> int:
    """strconv.ParseInt in base 8, 0 for an error."""
    if not _OCTAL.match(value):
        return 0
    number = int(value, 8)
    return number if LEAST <= number <= MOST else 0


def strval(value: Any) -> str:
    """Text of anything: bytes are text already."""
    if type(value) is str:
        return value
    if type(value) is bytes:
        return value.decode("utf-8", "surrogateescape")
    return text(value)


def strings(value: Any) -> list[str]:
    """A list of text: the list's items that aren't nil, or the value alone."""
    if isinstance(value, bytes):
        return [str(byte) for byte in value]
    if isinstance(value, list):
        return [item if type(item) is str else strval(item) for item in value if item is not None]
    return [] if value is None else [strval(value)]


def as_list(value: Any, fault: str) -> list[Any]:
    """The items of a list. Raises `GoPanic` with `fault` and the kind for what is none."""
    if isinstance(value, list):
        return value
    if isinstance(value, bytes):
        from heeler.packages.template.values import Uint8

        return [Uint8(byte) for byte in value]
    if value is None:
        raise GoPanic(NIL_POINTER)
    raise GoPanic(f"{fault} {kind_name(value)}")


NIL_POINTER: Final = "runtime error: invalid memory address or nil pointer dereference"


def is_empty(value: Any) -> bool:
    """Whether sprig takes the value for not given: nil, 0, false and what has no length."""
    if value is None:
        return True
    if isinstance(value, Struct):
        return False
    return not value


def data(value: str) -> bytes:
    """Text as its bytes."""
    return value.encode("utf-8", "surrogateescape")


def undata(value: bytes) -> str:
    """Bytes as text."""
    return value.decode("utf-8", "surrogateescape")
