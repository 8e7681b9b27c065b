"""Quantities: canonical forms and refusals, as the API reference's page on Quantity has them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.objects.quantities import Quantity, QuantityError, canonical, parse, total


@pytest.mark.parametrize(
    ("written", "canonical_form"),
    [
        ("0.5Gi", "512Mi"),
        ("1000m", "1"),
        ("1.5", "1500m"),
        ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"),
        ("100", "100"),
        ("1e3", "1e3"),
        ("1000e0", "1e3"),
        ("12E6", "12e6"),
        ("0", "0"),
        ("0Gi", "0"),
        ("-1000m", "-1"),
        ("+5", "5"),
        (".5", "500m"),
        ("5.", "5"),
        ("1000k", "1M"),
        ("0.1n", "1n"),
        ("1023Ki", "1023Ki"),
        ("1000Ki", "1000Ki"),
    ],
)
def test_a_quantity_is_written_back_in_its_canonical_form(written: str, canonical_form: str) -> None:
    assert canonical(written) == canonical_form


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "Gi", ".", "1.2.3", "--1", "1Kii"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["", "k", "M", "m", "Ki", "Mi"]))
def test_a_canonical_form_is_its_own_canonical_form_and_keeps_the_value(number: int, suffix: str) -> None:
    first = canonical(f"{number}{suffix}")
    assert canonical(first) == first
    assert parse(first).value == parse(f"{number}{suffix}").value


def test_sums_are_exact_and_keep_the_family_of_the_first() -> None:
    assert str(total(["0.1", "0.2"])) == "300m"
    assert str(parse("1Gi") + parse("1")) == "1073741825"
    assert Quantity(1).ceil == 1 and Quantity(-1).ceil == -1
    assert parse("1.5").value == Fraction(3, 2)
    assert parse("1500m").milli == 1500
