"""String formats and Go's regular expressions."""

from __future__ import annotations

import pytest

from heeler.kinds.custom.formats import is_known, matches
from heeler.kinds.custom.patterns import matcher, problem


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date", "2020-02-29", "2021-02-29"),
        ("date-time", "2020-01-01T00:00:00Z", "2020-01-01"),
        ("duration", "1h30m", "5 apples"),
        ("email", "a@example.com", "nope"),
        ("ipv4", "10.0.0.1", "::1"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("byte", "aGk=", "!"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("hostname", "a.example.com", "-a"),
        ("uri", "https://example.com/a", "no uri"),
        ("isbn", "0-306-40615-2", "0-306-40615-1"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("k8s-short-name", "a-b", "a.b"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
    ],
)
def test_a_format_takes_its_texts_only(form: str, good: str, bad: str) -> None:
    assert matches(form, good) and not matches(form, bad) and is_known(form)


def test_an_unknown_format_takes_everything() -> None:
    assert matches("own", "x") and not is_known("own")


def test_patterns_match_anywhere() -> None:
    assert matcher("b+")("abc") and not matcher("^b+$")("abc")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing closing ): `(`"),
        ("a)", "unexpected ): `a)`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("[a", "missing closing ]: `[a`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("\\y", "invalid escape sequence: `\\y`"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_told_in_gos_words(pattern: str, words: str) -> None:
    assert problem(pattern) == f"error parsing regexp: {words}"
