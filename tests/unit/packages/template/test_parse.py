"""The template language's text: trees and faults. The words are helm 4.3.1's (Go 1.27)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.packages.template.builtins import BUILTINS
from heeler.packages.template.lex import tokens
from heeler.packages.template.parse import MAX_NESTING, ParseError, parse


def fault(text: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse("t", text, BUILTINS)
    return str(caught.value).removeprefix("template: t:")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: {{\n", "2: unclosed action started at t:1"),
        ("a: {{ .x \nb: 1\n", '2: function "b" not defined'),
        ("{{ .x }", '1: unexpected "}" in operand'),
        ("{{ else }}", "1: unexpected {{else}}"),
        ("{{ end }}", "1: unexpected {{end}}"),
        ("{{ if 1 }}\n\nx", "3: unexpected EOF"),
        ('{{ define "x" }}', "1: unexpected EOF"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "1: expected end; found {{else}}"),
        ("{{ if 1 }}{{ else with 1 }}{{ end }}{{ end }}", "1: unexpected <with> in input"),
        ("{{ if 1 }}{{ else foo }}{{ end }}", '1: unexpected "foo" in else'),
        ("{{ shout 1 }}", '1: function "shout" not defined'),
        ("{{ to-yaml }}", "1: bad character U+002D '-'"),
        ("{{ .x# }}", "1: bad character U+0023 '#'"),
        ("{{ $v=1 }}", "1: bad character U+003D '='"),
        ("{{ $v }}", '1: undefined variable "$v"'),
        ('{{ $v := 1 }}{{ define "x" }}{{ $v }}{{ end }}', '1: undefined variable "$v"'),
        ("{{ ¿ }}", "1: unrecognized character in action: U+00BF '¿'"),
        ("{{ x² }}", "1: bad character U+00B2 '²'"),
        ("{{ `a }}", "1: unterminated raw quoted string"),
        ('{{ "a\n" }}', "1: unterminated quoted string"),
        ("{{ 'a }}", "1: unterminated character constant"),
        ("{{ 'ab' }}", "1: malformed character constant: 'ab'"),
        ("{{ '' }}", "1: invalid syntax"),
        ('{{ "\\q" }}', "1: invalid syntax"),
        ("{{/* a", "1: unclosed comment"),
        ("\n{{/* a */ }}", "2: comment ends before closing delimiter"),
        ("{{ (len 1 }}", "1: unclosed left paren"),
        ("{{ len 1) }}", "1: unexpected right paren"),
        ("{{ () }}", "1: missing value for parenthesized pipeline"),
        ("{{ }}", "1: missing value for command"),
        ("{{ if }}{{ end }}", "1: missing value for if"),
        ("{{ 1 | 3 }}", "1: non executable command in pipeline stage 2"),
        ("{{ 1 | | len }}", '1: unexpected "|" in command'),
        ("{{ range $a, $b, $c := 1 }}{{ end }}", "1: too many declarations in range"),
        ("{{ range $a, 1 }}{{ end }}", "1: range can only initialize variables"),
        ("{{ $a, $b := 1 }}", "1: too many declarations in command"),
        ("{{ break }}", "1: {{break}} outside {{range}}"),
        ("{{ range 1 }}{{ continue 2 }}{{ end }}", '1: unexpected "2" in {{continue}}'),
        ("{{ define }}", '1: unexpected "}}" in define clause'),
        ('{{ define "x" "y" }}', '1: unexpected "\\"y\\"" in define clause'),
        ('{{ if 1 }}{{ define "x" }}{{ end }}{{ end }}', "1: unexpected <define> in command"),
        ('{{ block "x" }}{{ end }}', "1: missing value for block clause"),
        ("{{ template x }}", '1: unexpected "x" in template clause'),
        (
            '{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}',
            '1: template: multiple definition of template "a"',
        ),
        ("{{ -² }}", '1: illegal number syntax: "-"'),
        ("{{ 1__0 }}", '1: illegal number syntax: "1__0"'),
        ("{{ 12abc }}", '1: bad number syntax: "12a"'),
        ("{{ 0xZZ }}", '1: bad number syntax: "0xZ"'),
        ("{{ 08 }}", '1: integer overflow: "08"'),
        ("{{ 99999999999999999999 }}", '1: integer overflow: "99999999999999999999"'),
        ('{{ "a".x }}', '1: unexpected . after term "\\"a\\""'),
        ("{{ ..x }}", '1: unexpected . after term "."'),
        ("{{ = }}", '1: unexpected "=" in command'),
        ("{{ : }}", "1: expected :="),
        ("{{ 1 aaaaaaaaaaaaaaaa }}", '1: function "aaaaaaaaaaaaaaaa" not defined'),
        ("{{ template aaaaaaaaaaaaaaaa }}", '1: unexpected "aaaaaaaaaa"... in template clause'),
        ("{{ " + "(" * (MAX_NESTING + 1), "1: max expression depth exceeded"),
    ],
)
def test_faults(text: str, wanted: str) -> None:
    assert fault(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "{{.a.b | printf \"%s\" 'x' | len}}",
        "{{if not .x}}a{{else}}{{if $.y}}b{{end}}{{end}}",
        "{{range $i, $e := .x}}{{$i = 1}}{{break}}{{end}}",
        '{{template "x" (len .a).b}}',
        "{{with 1}}{{continue}}{{end}}".replace("{{continue}}", "c"),
    ],
)
def test_a_tree_is_written_as_go_writes_it(text: str) -> None:
    assert str(parse("t", text, BUILTINS)[-1].root) == text


def test_definitions_stand_before_the_text_itself() -> None:
    trees = parse("t", '{{ define "a" }}1{{ end }}x{{ block "b" . }}2{{ end }}', BUILTINS)
    assert [tree.name for tree in trees] == ["a", "b", "t"]
    assert str(trees[-1].root) == 'x{{template "b" .}}'


def test_an_empty_definition_gives_way() -> None:
    for text in (
        '{{ define "a" }} {{ end }}{{ define "a" }}x{{ end }}',
        '{{ define "a" }}x{{ end }}{{ define "a" }} {{ end }}',
    ):
        assert str({tree.name: tree for tree in parse("t", text, BUILTINS)}["a"].root) == "x"


def test_lines_and_columns_count_bytes() -> None:
    tree = parse("t", "é\n日{{ .x }}", BUILTINS)[0]
    assert tree.source.place(tree.root.nodes[1].at) == "t:2:6"


def test_long_chains_of_else_are_no_nesting() -> None:
    text = "{{ if 0 }}" + "{{ else if 0 }}" * 2000 + "{{ end }}"
    tree = parse("t", text, BUILTINS)[0]
    assert tree.depth < 5
    assert str(tree.root).endswith("{{end}}" * 2001)


WORDS = """{{ }} {{- -}} .a $x := = | ( ) , "s" `r` 'c' 1 1.5 if else end range with define block template break nil true len
/* */ é text " ' ` \\""".split()
SNIPPETS = [" ", "\n", "\x00", "\udcff", "{{ if 1 }}", "{{ end }}", '{{ define "d" }}', "{{ $x := 1 }}"]
PIECES = st.lists(st.sampled_from(WORDS + SNIPPETS), max_size=40).map("".join)


@given(st.one_of(st.text(), PIECES))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert tokens(text)
    try:
        trees = parse("t", text, BUILTINS)
    except ParseError as error:
        assert str(error).startswith("template: t:")
    else:
        assert str(trees[-1].root) is not None
