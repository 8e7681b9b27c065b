"""Values as Go prints them."""

from __future__ import annotations

import pytest

from heeler.objects import go_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e5, "100000"),
        (1e6, "1e+06"),
        (12345678.5, "1.23456785e+07"),
        (1e19, "1e+19"),
        (0.0001, "0.0001"),
        (-2.5e-7, "-2.5e-07"),
        (1.5, "1.5"),
        (0.0, "0"),
        ({"b": [1e8, None], "a": True}, "map[a:true b:[1e+08 <nil>]]"),
    ],
)
def test_values_as_go_prints_them(value: object, text: str) -> None:
    assert go_text.plain(value) == text


def test_a_number_that_fits_no_int64_is_a_float64() -> None:
    assert go_text.kind(go_text.decoded(2**63 - 1)) == "int64"
    assert go_text.kind(go_text.decoded(2**63)) == "float64"
    assert go_text.decoded(True) is True
