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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "yaml: line 1: did not find expected node content"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: 1\nb: c: d", "yaml: line 2: mapping values are not allowed in this context"),
        ("a:\n\t- b", "yaml: line 2: found character that cannot start any token"),
        ("- a\nb: c", "yaml: line 1: did not find expected '-' indicator"),
        ("a: 'x", "yaml: found unexpected end of stream"),
        ("é: *x", "yaml: unknown anchor 'x' referenced"),
    ],
)
def test_faults_are_told_as_gos_parser_tells_them(text: str, said: str) -> None:
    with pytest.raises(yaml_text.YamlError) as fault:
        yaml_text.load(text.encode())
    assert str(fault.value) == said
