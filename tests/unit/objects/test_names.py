"""Names, labels and ports: what passes, and the words for what doesn't."""

from __future__ import annotations

import pytest

from heeler.objects import names


@pytest.mark.parametrize("text", ["a", "a.b", "a-b", "0", "a" * 253])
def test_a_subdomain_passes(text: str) -> None:
    assert names.subdomain(text) == []


@pytest.mark.parametrize("text", ["A", "a_b", "-a", "a-", "a..b", "a/b", "", "a" * 254])
def test_what_is_no_subdomain_is_refused(text: str) -> None:
    assert names.subdomain(text)


def test_a_label_key_may_have_one_prefix() -> None:
    assert names.qualified("example.com/My_key.1") == []
    assert names.qualified("a/b/c")[0].startswith("a valid label key must consist of")
    assert names.qualified("ex.com/")[0] == "name part must be non-empty"
    assert names.qualified("/a") == ["prefix part must be non-empty"]


def test_a_label_value_may_be_empty_but_not_long() -> None:
    assert names.label_value("") == []
    assert names.label_value("a" * 64) == ["must be no more than 63 bytes"]


def test_the_form_of_a_name_ends_with_the_text_and_not_with_the_line() -> None:
    assert names.label("a\n")
    assert names.label_value("a\n")
    assert names.config_key("a\n")


def test_a_path_segment_may_be_anything_but_dots_slashes_and_percent_signs() -> None:
    assert names.path_segment("system:node") == []
    assert names.path_segment("..") == ["may not be '..'"]
    assert names.path_segment("a/%") == ["may not contain '/'", "may not contain '%'"]


def test_a_port_has_a_letter_and_at_most_15_characters() -> None:
    assert names.port_name("http-2") == []
    assert names.port_name("80") == ["must contain at least one letter (a-z)"]
    assert names.port_name("averylongportname") == ["must be no more than 15 characters"]
    assert names.port(0) == [names.PORT]
