"""Versions and ranges of charts: what counts as one, what is allowed, in which order they come."""

from __future__ import annotations

import pytest

from heeler.packages.charts.versions import Version, check_range, compatible, in_range, is_strict_version, is_version


@pytest.mark.parametrize("text", ["1.2.3", "1.2", "1", "v1.2.3", "01.2.3", "1.2.3-a.1+b"])
def test_versions(text: str) -> None:
    assert is_version(text)


@pytest.mark.parametrize("text", ["", "x", "1.2.3.4", "1.2.3-01", "1.2.3-a..b", "1.2.3 ", "1.2.3-é"])
def test_what_is_no_version(text: str) -> None:
    assert not is_version(text)
    with pytest.raises(ValueError, match="version"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("text", "strict"), [("1.2.3", True), ("1.2.3-a", True), ("1.2", False), ("v1.2.3", False), ("01.2.3", False)]
)
def test_strict_versions_have_three_plain_numbers(text: str, strict: bool) -> None:
    assert is_strict_version(text) == strict


def test_versions_sort_by_numbers_then_prereleases() -> None:
    texts = ["10.0.0", "1.2.0", "1.2.0-rc.10", "1.2.0-rc.9", "1.2.0-alpha"]
    assert sorted(texts, key=Version.parse) == list(reversed(texts))
    assert Version.parse("1.2.0+a") == Version.parse("1.2+b")


@pytest.mark.parametrize(
    ("range_", "version", "allowed"),
    [
        ("^1", "1.9.0", True),
        ("^1", "2.0.0", False),
        ("^1", "1.9.0-rc1", False),
        (">=1.0.0-0", "1.9.0-rc1", True),
        ("1.2 - 1.4", "1.4.9", True),
        (">=1.2 <2 || ^3", "3.1.0", True),
        ("", "1.0.0", False),
        ("*", "nonsense", False),
    ],
)
def test_ranges(range_: str, version: str, allowed: bool) -> None:
    assert in_range(range_, version) == allowed


def test_a_range_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match='improper constraint: "foo"'):
        check_range("foo")


def test_kubernetes_versions_match_without_what_follows_their_numbers() -> None:
    assert compatible(">=1.30", "v1.37.2-eks-1+heeler")
    assert not compatible("<1.30", "v1.37.2+heeler")
