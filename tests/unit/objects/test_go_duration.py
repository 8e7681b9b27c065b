"""Durations: what Go 1.26's time.ParseDuration and Duration.String answer."""

import pytest

from heeler.objects import go_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds", "shown"),
    [
        ("0", 0, "0s"),
        ("-0", 0, "0s"),
        ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
        ("1.s", 1_000_000_000, "1s"),
        (".5s", 500_000_000, "500ms"),
        ("1µs", 1_000, "1µs"),
        ("1μs", 1_000, "1µs"),
        ("-1m", -60_000_000_000, "-1m0s"),
        ("1ns", 1, "1ns"),
        ("-1.000000001s", -1_000_000_001, "-1.000000001s"),
        ("3600s", 3_600_000_000_000, "1h0m0s"),
        ("9223372036854775807ns", (1 << 63) - 1, "2562047h47m16.854775807s"),
        ("2562047h47m16.854775807s", (1 << 63) - 1, "2562047h47m16.854775807s"),
        ("-9223372036854775808ns", -(1 << 63), "-2562047h47m16.854775808s"),
        ("1.23456789012345678901234567890ns", 1, "1ns"),
        ("0.1234567890123456789s", 123_456_789, "123.456789ms"),
        ("0.9999999999999999999999s", 1_000_000_000, "1s"),
        ("3.00000000000000000000001s", 3_000_000_000, "3s"),
        ("0.000000001h", 3_600, "3.6µs"),
        ("1.1m", 66_000_000_000, "1m6s"),
        ("00000000000000000000000000001s", 1_000_000_000, "1s"),
    ],
)
def test_a_duration_is_read_and_written(text, nanoseconds, shown):
    assert go_duration.parse(text) == nanoseconds
    assert go_duration.text(nanoseconds) == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'invalid duration ""'),
        ("+", 'invalid duration "+"'),
        (".s", 'invalid duration ".s"'),
        ("1", 'missing unit in duration "1"'),
        ("1.", 'missing unit in duration "1."'),
        ("1x", 'unknown unit "x" in duration "1x"'),
        ("1d", 'unknown unit "d" in duration "1d"'),
        ("1s ", 'unknown unit "s " in duration "1s "'),
        ("1e3s", 'unknown unit "e" in duration "1e3s"'),
        ("1h-1m", 'unknown unit "h-" in duration "1h-1m"'),
        ("1ü", 'unknown unit "\\xc3\\xbc" in duration "1\\xc3\\xbc"'),
        ("1\udcff", 'unknown unit "\\xff" in duration "1\\xff"'),
        ('"x', 'invalid duration "\\"x"'),
        ("1\\", 'unknown unit "\\\\" in duration "1\\\\"'),
        ("1\n", 'unknown unit "\\x0a" in duration "1\\x0a"'),
        ("1\x7f", 'unknown unit "\x7f" in duration "1\x7f"'),
        ("١s", 'invalid duration "\\xd9\\xa1s"'),
        ("9223372036854775808ns", 'invalid duration "9223372036854775808ns"'),
        ("-9223372036854775809ns", 'invalid duration "-9223372036854775809ns"'),
        ("2562047h47m16.854775808s", 'invalid duration "2562047h47m16.854775808s"'),
        ("99999999999999999999x", 'invalid duration "99999999999999999999x"'),
    ],
)
def test_what_is_no_duration_is_refused_in_gos_words(text, why):
    with pytest.raises(ValueError) as refused:
        go_duration.parse(text)
    assert str(refused.value) == f"time: {why}"
