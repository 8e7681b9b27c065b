"""Quantities ("500m", "2Gi", "1e3"): parse, canonical form, compare and add, all exact.

A quantity is a decimal number and the family of suffixes that it was written with. Numbers finer than a billionth are
rounded up, as Kubernetes does. Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Family = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
WRONG_NUMBER = "unable to parse numeric part of quantity"
WRONG_SUFFIX = "unable to parse quantity's suffix"

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_FORM = re.compile(r"([+-]?)([0-9]*)(\.?)([0-9]*)([^0-9.].*)?\Z", re.DOTALL)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)\Z")
_SHAPE = re.compile(r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*\Z")
#: The greatest magnitude; what is above is capped.
_MAX = (2**63 - 1) * 10**9
_NANO = 10**9
_MICRO = 10**6


#: Characters of a quantity. Upstream has no such limit; nobody writes a number of a thousand digits.
MAX_TEXT = 1000


class QuantityError(ValueError):
    """The text is no quantity; the message is Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number, counted in billionths; `family` decides how it is written."""

    nano: int
    family: Family = "DecimalSI"

    def __str__(self) -> str:
        return _canonical(self.nano, self.family)

    def __add__(self, other: Quantity) -> Quantity:
        """The sum, in the family of the first that is not zero."""
        return Quantity(self.nano + other.nano, self.family if self.nano else other.family)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.family if self.nano else other.family)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        return self.nano <= other.nano

    @property
    def value(self) -> Fraction:
        return Fraction(self.nano, _NANO)

    @property
    def ceil(self) -> int:
        """The number in whole units, rounded up (away from zero for negative numbers as Kubernetes' Value does)."""
        return _away_from_zero(self.nano, _NANO)

    @property
    def milli(self) -> int:
        """The number in thousandths, rounded up."""
        return _away_from_zero(self.nano, _MICRO)


def of(number: int, family: Family = "DecimalSI") -> Quantity:
    """The quantity of a whole number."""
    return Quantity(number * _NANO, family)


def of_milli(number: int, family: Family = "DecimalSI") -> Quantity:
    """The quantity of so many thousandths."""
    return Quantity(number * _MICRO, family)


def _away_from_zero(number: int, unit: int) -> int:
    whole = -(-abs(number) // unit)
    return whole if number >= 0 else -whole


@lru_cache(maxsize=4096)
def parse(text: str) -> Quantity:
    """The quantity that a text or number writes. Raises QuantityError."""
    if text == "" or len(text) > MAX_TEXT or not _SHAPE.match(text):
        raise QuantityError(WRONG_FORMAT)
    found = _FORM.match(text)
    if found is None:
        raise QuantityError(WRONG_NUMBER if text.count(".") > 1 else WRONG_FORMAT)
    sign, whole, _, part, suffix = found.groups(default="")
    if not whole and not part:
        raise QuantityError(WRONG_FORMAT)
    number = Fraction(int((whole + part) or "0"), 10 ** len(part))
    family: Family
    if suffix in _BINARY:
        family, number = "BinarySI", number * 2 ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        family, exponent = "DecimalSI", _DECIMAL[suffix]
        number = number * 10**exponent if exponent >= 0 else number / 10**-exponent
    else:
        power = _EXPONENT.match(suffix)
        if power is None or abs(int(power.group(1))) > 1000:
            raise QuantityError(WRONG_SUFFIX)
        family, exponent = "DecimalExponent", int(power.group(1))
        number = number * 10**exponent if exponent >= 0 else number / 10**-exponent
    nano = min(_round_up(number), _MAX)
    if family == "BinarySI" and 0 < nano < _NANO:
        family = "DecimalSI"
    return Quantity(-nano if sign == "-" else nano, family)


def _round_up(number: Fraction) -> int:
    """The number in billionths, rounded up."""
    scaled = number * _NANO
    return -(-scaled.numerator // scaled.denominator)


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The text as Kubernetes writes it back: "0.5Gi" is "512Mi", "1000m" is "1". Raises QuantityError."""
    return str(parse(text))


@lru_cache(maxsize=4096)
def canonical_milli(text: str) -> str:
    """As `canonical`, with what is finer than a thousandth rounded up: amounts of resources. Raises QuantityError."""
    quantity = parse(text)
    return str(quantity) if quantity.nano % _MICRO == 0 else str(of_milli(quantity.milli))


def _canonical(nano: int, family: Family) -> str:
    if nano == 0:
        return "0"
    if family == "BinarySI":
        number, rest = divmod(nano, _NANO)
        if rest == 0:
            steps = 0
            while number % 1024 == 0 and steps < 6:
                number, steps = number // 1024, steps + 1
            return f"{number}{['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'][steps]}"
        family = "DecimalSI"
    number, exponent = nano, -9
    while number % 1000 == 0 and exponent < 18:
        number, exponent = number // 1000, exponent + 3
    if family == "DecimalExponent":
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_SUFFIX[exponent]}"


def total(texts: list[str]) -> Quantity:
    """The sum of quantities given as texts; zero for none. Raises QuantityError."""
    out = Quantity(0)
    for text in texts:
        out = out + parse(text)
    return out
