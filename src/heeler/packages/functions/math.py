"""sprig's arithmetic: whole numbers of 64 bits that overflow silently, and decimal numbers of any size for those with an f."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from heeler.packages.functions.convert import atoi, from_octal, to_float, to_int, wrapped
from heeler.packages.template.formatting import text
from heeler.packages.template.values import Function, GoPanic, Int64, go

if TYPE_CHECKING:
    from fractions import Fraction

#: Digits behind the point of a quotient that doesn't end.
QUOTIENT_DIGITS: Final = 16


def _wrap(value: int) -> Int64:
    return Int64(wrapped(value))


def added(*values: Any) -> Int64:
    return _wrap(sum(to_int(value) for value in values))


def multiplied(first: Any, *values: Any) -> Int64:
    product = to_int(first)
    for value in values:
        product = wrapped(product * to_int(value))
    return _wrap(product)


def divided(one: Any, other: Any) -> Int64:
    """The quotient, cut off towards zero."""
    top, bottom = to_int(one), to_int(other)
    if bottom == 0:
        raise GoPanic("runtime error: integer divide by zero")
    quotient = abs(top) // abs(bottom)
    return _wrap(quotient if (top < 0) == (bottom < 0) else -quotient)


def remainder(one: Any, other: Any) -> Int64:
    """The remainder, of the dividend's sign."""
    top, bottom = to_int(one), to_int(other)
    if bottom == 0:
        raise GoPanic("runtime error: integer divide by zero")
    rest = abs(top) % abs(bottom)
    return _wrap(-rest if top < 0 else rest)


def greatest_float(first: Any, *values: Any) -> float:
    return _extreme(max, [to_float(value) for value in (first, *values)])


def least_float(first: Any, *values: Any) -> float:
    return _extreme(min, [to_float(value) for value in (first, *values)])


def _extreme(choose: Any, numbers: list[float]) -> float:
    # an infinity wins over what is no number
    limit = math.inf if choose is max else -math.inf
    if limit in numbers:
        return limit
    return math.nan if any(number != number for number in numbers) else float(choose(numbers))


def floored(value: Any) -> float:
    number = to_float(value)
    return float(math.floor(number)) if math.isfinite(number) else number


def ceiled(value: Any) -> float:
    number = to_float(value)
    if not math.isfinite(number):
        return number
    return math.copysign(float(math.ceil(number)), number)


def rounded(value: Any, places: int, *round_on: float) -> float:
    """The value to so many places; from `round_on` (a half) on upwards."""
    limit = round_on[0] if round_on else 0.5
    try:
        power = math.pow(10, places)
    except OverflowError:
        power = math.inf
    digit = power * to_float(value)
    if not math.isfinite(digit):
        return digit / power if power and math.isfinite(power) else math.nan
    rest = math.fmod(digit, 1.0)
    whole = math.ceil(digit) if rest >= limit else math.floor(digit)
    if power == 0:
        return math.nan if whole == 0 else math.copysign(math.inf, whole)
    return whole / power if whole else math.copysign(0.0, digit)


# ---- decimal numbers -------------------------------------------------------------------------------------------------


def _decimal(value: Any) -> Fraction:
    from fractions import Fraction

    number = to_float(value)
    if not math.isfinite(number):
        raise GoPanic(f"Cannot create a Decimal from {text(number)}")
    return Fraction(repr(number))


def _as_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _quotient(top: Fraction, bottom: Fraction) -> Fraction:
    """Top by bottom to 16 places, halves away from zero."""
    from fractions import Fraction

    if bottom == 0:
        raise GoPanic("decimal division by 0")
    scaled = abs(top / bottom) * 10**QUOTIENT_DIGITS
    digits = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    result = Fraction(digits, 10**QUOTIENT_DIGITS)
    return result if (top < 0) == (bottom < 0) else -result


def _folded(first: Any, values: tuple[Any, ...], combine: Any) -> float:
    result = _decimal(first)
    for value in values:
        result = combine(result, _decimal(value))
    return _as_float(result)


def random_between(least: int, most: int) -> int:
    """A whole number from `least` up to and without `most`. Raises `GoPanic` if there is none."""
    from heeler.base.random import SystemRandom

    if most <= least:
        raise GoPanic("invalid argument to Intn")
    return least + SystemRandom().below(most - least)


FUNCTIONS: Final[list[Function]] = [
    go("atoi(string) int")(atoi),
    go("int(interface {}) int")(to_int),
    go("int64(interface {}) int64")(lambda value: Int64(to_int(value))),
    go("float64(interface {}) float64")(to_float),
    go("toDecimal(interface {}) int64")(lambda value: Int64(from_octal(text(value)))),
    go("add1(interface {}) int64")(lambda value: _wrap(to_int(value) + 1)),
    go("add(...interface {}) int64")(added),
    go("sub(interface {}, interface {}) int64")(lambda one, other: _wrap(to_int(one) - to_int(other))),
    go("div(interface {}, interface {}) int64")(divided),
    go("mod(interface {}, interface {}) int64")(remainder),
    go("mul(interface {}, ...interface {}) int64")(multiplied),
    go("randInt(int, int) int")(random_between),
    go("max(interface {}, ...interface {}) int64")(lambda first, *rest: Int64(max(map(to_int, (first, *rest))))),
    go("biggest(interface {}, ...interface {}) int64")(lambda first, *rest: Int64(max(map(to_int, (first, *rest))))),
    go("min(interface {}, ...interface {}) int64")(lambda first, *rest: Int64(min(map(to_int, (first, *rest))))),
    go("maxf(interface {}, ...interface {}) float64")(greatest_float),
    go("minf(interface {}, ...interface {}) float64")(least_float),
    go("ceil(interface {}) float64")(ceiled),
    go("floor(interface {}) float64")(floored),
    go("round(interface {}, int, ...float64) float64")(rounded),
    go("add1f(interface {}) float64")(lambda value: _folded(value, (1.0,), lambda a, b: a + b)),
    go("addf(...interface {}) float64")(lambda *values: _folded(0.0, values, lambda a, b: a + b)),
    go("subf(interface {}, ...interface {}) float64")(lambda first, *rest: _folded(first, rest, lambda a, b: a - b)),
    go("mulf(interface {}, ...interface {}) float64")(lambda first, *rest: _folded(first, rest, lambda a, b: a * b)),
    go("divf(interface {}, ...interface {}) float64")(lambda first, *rest: _folded(first, rest, _quotient)),
]
