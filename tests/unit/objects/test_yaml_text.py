"""YAML as Go's reader takes it."""

import pytest

from heeler.objects import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: =", {"a": "="}),  # YAML 1.1's value tag, which nobody has
        ("enum: ['=', '!=', =~]", {"enum": ["=", "!=", "=~"]}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: yes\nb: 0x10\nc: 1e3\nd: 1_000", {"a": True, "b": 16, "c": 1000, "d": 1000}),
        ("a: ~\nb:", {"a": None, "b": None}),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert yaml_text.load(text)[0] == value
