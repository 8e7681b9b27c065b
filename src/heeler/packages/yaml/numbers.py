"""Floating-point numbers as Go writes them: the shortest text that reads back as the same number.

Sources: the documentation of Go's strconv.FormatFloat and encoding/json.
"""

from __future__ import annotations

import math
import struct


def general(number: float) -> str:
    """As `%g`: an exponent below 1e-4 and from 1e+06 on, of two digits at least."""
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if number != number:
        return "NaN"
    return _general(*_parts(repr(float(number))))


def general32(number: float) -> str:
    """The same of the number rounded to 32 bits."""
    try:
        narrow = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return "+Inf" if number > 0 else "-Inf"
    for digits in range(9):
        text = f"{narrow:.{digits}e}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == narrow:
            break
    return _general(*_parts(text))


def json_number(number: float) -> str:
    """As encoding/json: an exponent below 1e-6 and from 1e21 on, without a leading zero."""
    if number.is_integer() and -1e15 < number < 1e15:
        return "-0" if number == 0 and math.copysign(1, number) < 0 else str(int(number))
    sign, digits, power = _parts(repr(float(number)))
    if -6 <= power < 21 or digits == "0":
        return sign + _plain(digits, power)
    return sign + _scientific(digits, power, 1)


def _parts(text: str) -> tuple[str, str, int]:
    """A number's text as its sign, its digits without zeros at the ends, and the power of ten of the first digit."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    power = len(whole) - 1 + int(exponent or 0) - (len(whole + fraction) - len(digits))
    return sign, digits.rstrip("0") or "0", power if digits else 0


def _general(sign: str, digits: str, power: int) -> str:
    if power < -4 or power >= 6:
        return sign + _scientific(digits, power, 2)
    return sign + _plain(digits, power)


def _plain(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    if len(digits) <= power + 1:
        return digits + "0" * (power + 1 - len(digits))
    return f"{digits[: power + 1]}.{digits[power + 1 :]}"


def _scientific(digits: str, power: int, width: int) -> str:
    point = "." if len(digits) > 1 else ""
    return f"{digits[0]}{point}{digits[1:]}e{'-' if power < 0 else '+'}{abs(power):0{width}d}"
