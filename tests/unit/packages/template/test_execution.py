"""Running templates. The words and places are helm 4.3.1's (Go 1.27)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from heeler.packages.template import execution, templates
from heeler.packages.template.execution import ExecError
from heeler.packages.template.parse import ParseError
from heeler.packages.template.templates import Library, Templates
from heeler.packages.template.values import Function, GoError, Int64, Map, Slice, Struct, go
from tests.unit.packages.template.test_parse import PIECES


@go("upper(string) string")
def upper(text: str) -> str:
    return text.upper()


@go("list(...interface {}) []interface {}")
def list_(*values: Any) -> list[Any]:
    return list(values)


@go("dict(...interface {}) map[string]interface {}")
def dict_(*values: Any) -> dict[str, Any]:
    return dict(zip(values[::2], values[1::2]))


@go("until(int) []int")
def until(count: int) -> Slice:
    return Slice("[]int", range(count))


@go("keys(map[string]interface {}) []string")
def keys(values: dict[str, Any]) -> Slice:
    return Slice("[]string", sorted(values))


@go("fault() string")
def fault() -> str:
    raise GoError("it broke")


@go("deep() string")
def deep() -> str:
    return deep.call()  # type: ignore[no-any-return]


@go("strings() map[string]string")
def strings() -> Map:
    return Map("map[string]string", {"k": "v"})


class Box(Struct):
    go_type = "*box.Box"
    go_fields = {"Size": "size", "Inner": "inner"}
    go_methods = {"Add": Function("Add", ("*box.Box", "int"), False, "int", lambda box, more: box.size + more)}

    def __init__(self, size: int) -> None:
        self.size = size
        self.inner: Any = None


class Version(Struct):
    """One whose method is its pointer's: what is printed finds it, and nothing else does."""

    go_type = "box.Version"
    go_fields = {"Text": "text"}
    go_methods = {"String": Function("String", ("box.Version",), False, "string", lambda version: f"v{version.text}")}
    go_by_pointer = True
    text = "1"


LIBRARY = Library({function.name: function for function in (upper, list_, dict_, until, keys, fault, deep, strings)})
DATA = {"s": "text", "f": 3.5, "n": None, "l": ["a", "b"], "m": {"k": "v"}, "i": 7, "t": True, "box": Box(4), "e": []}


def run(text: str, data: Any = DATA) -> str:
    known = Templates(LIBRARY)
    known.parse("t", text)
    return known.execute("t", data)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ .m.k }}{{ $.s }}{{ (.m).k }}", "vtextv"),
        (
            "{{ .n }}|{{ .absent }}|{{ (.n).x.y }}|{{ $v := .n }}{{ $v.x }}",
            "<no value>|<no value>|<no value>|<no value>",
        ),
        ("a {{- 1 -}} b {{ 2 }} {{- /* c */ -}} d", "a1b 2d"),
        ("{{ if .e }}1{{ else if .n }}2{{ else if .s }}3{{ else }}4{{ end }}", "3"),
        ("{{ with .n }}1{{ else with .m }}{{ .k }}{{ end }}", "v"),
        ("{{ range .l }}{{ . }},{{ end }}{{ range $i, $e := .l }}{{ $i }}{{ $e }}{{ end }}", "a,b,0a1b"),
        ("{{ range $k, $v := .m }}{{ $k }}={{ $v }}{{ end }}{{ range .e }}{{ else }}none{{ end }}", "k=vnone"),
        ("{{ range 3 }}{{ . }}{{ end }}{{ range -1 }}{{ else }}e{{ end }}", "012e"),
        (
            "{{ range until 9 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "013",
        ),
        ("{{ $i := 5 }}{{ $e := 6 }}{{ range $i, $e = .e }}{{ end }}{{ $i }}{{ $e }}", "[][]"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}", "2"),
        ("{{ ($x := 1) }}{{ $x }}", "11"),
        ('{{ define "d" }}{{ . }}{{ $ }}{{ end }}{{ template "d" 1 }}{{ template "d" }}', "11<no value><no value>"),
        ('{{ block "b" .m }}{{ .k }}{{ end }}', "v"),
        ("{{ and 1 0 (fault) }}{{ or 0 2 (fault) }}{{ not .n }}{{ 5 | or 0 }}{{ and 1 nil }}", "02true5<no value>"),
        ("{{ .box.Size }}{{ .box.Add 3 }}{{ 5 | .box.Add }}{{ .box }}", "479{4 <nil>}"),
        ('{{ .s | upper | printf "%s-%s" "x" }}', "x-TEXT"),
        ('{{ index .l 1 }}{{ index .m "zz" }}{{ index "abc" 1 }}{{ (strings).zz }}', "b<no value>98"),
        ('{{ slice "abc" 1 }}{{ slice .l 0 1 }}{{ len "é" }}{{ len .m }}', "bc[a]21"),
        (
            '{{ eq 1 2 1 }}{{ ne .s "x" }}{{ lt 1 2 }}{{ ge 1.5 2.5 }}{{ eq .n nil }}{{ eq .n .s }}',
            "truetruetruefalsetruefalse",
        ),
        (
            '{{ html "<a b=\'c\'>" }}{{ js "\'\\n<" }}{{ urlquery "a b&é" }}',
            "&lt;a b=&#39;c&#39;&gt;\\'\\u000A\\u003Ca+b%26%C3%A9",
        ),
        (
            "{{ 0x1F }} {{ 0b11 }} {{ 017 }} {{ 1_000 }} {{ 1e3 }} {{ .5 }} {{ 0x1p4 }} {{ 'a' }} {{ 1+2i }}",
            "31 3 15 1000 1000 0.5 16 97 (1+2i)",
        ),
        ('{{ "\udcff" }}{{ `\udcff` }}{{ "\\xff" }}', "\ufffd\udcff\udcff"),
        ("{{ keys nil }}{{ $n := .n }}{{ keys $n }}", "[][]"),
        ('{{ printf "%T %T" 1 1.0 }}', "int float64"),
    ],
)
def test_output(text: str, wanted: str) -> None:
    assert run(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: {{ .n.x }}", "1:8: .n.x: nil pointer evaluating interface {}.x"),
        ("a: {{ .m.q.r.s }}", "1:8: .m.q.r.s: nil pointer evaluating interface {}.r"),
        ("{{ .s.len }}", "1:5: .s.len: can't evaluate field len in type interface {}"),
        ("{{ $x := .s }}{{ $x.y }}", "1:19: $x.y: can't evaluate field y in type string"),
        ("{{ range .l }}{{ .y }}{{ end }}", "1:17: .y: can't evaluate field y in type interface {}"),
        ("{{ range $e := until 2 }}{{ $e.y }}{{ end }}", "1:30: $e.y: can't evaluate field y in type int"),
        ("{{ with .s }}{{ .y }}{{ end }}", "1:16: .y: can't evaluate field y in type string"),
        ("{{ range list nil }}{{ .y }}{{ end }}", "1:23: .y: nil pointer evaluating interface {}.y"),
        ("{{ (strings)._9.x }}", "1:4: strings: can't evaluate field x in type string"),
        ("{{ .s 1 }}", "1:3: .s: s is not a method but has arguments"),
        ("{{ .box.Nope }}", "1:7: .box.Nope: can't evaluate field Nope in type interface {}"),
        ("{{ .box.Size 1 }}", "1:7: .box.Size: Size has arguments but cannot be invoked as function"),
        ("{{ .box.Add }}", "1:7: .box.Add: wrong number of args for Add: want 1 got 0"),
        ("{{ upper .f }}", "1:9: .f: wrong type for value; expected string; got float64"),
        ("{{ upper .n }}", "1:9: .n: wrong type for value; expected string; got interface {}"),
        ("{{ .n | upper }}", "1:8: upper: invalid value; expected string"),
        ("{{ upper nil }}", "1:9: nil: cannot assign nil to string"),
        ("{{ upper 5 }}", "1:9: 5: expected string; found 5"),
        ('{{ until "x" }}', '1:9: "x": expected integer; found "x"'),
        ("{{ until 1.5 }}", "1:9: 1.5: expected integer; found 1.5"),
        ("{{ keys 5 }}", "1:8: 5: can't handle 5 for arg of type map[string]interface {}"),
        ("{{ upper }}", "1:3: upper: wrong number of args for upper: want 1 got 0"),
        ("{{ or }}", "1:3: or: wrong number of args for or: want at least 1 got 0"),
        ("{{ (len .l) 3 }}", "1:3: (len .l) 3: can't give argument to non-function len .l"),
        ("{{ $v := 1 }}{{ $v 2 }}", "1:16: $v: can't give argument to non-function $v"),
        ("{{ nil }}", "1:3: nil: nil is not a command"),
        ("{{ 18446744073709551615 }}", "1:3: 18446744073709551615: 18446744073709551615 overflows int"),
        ("{{ $v = 1 }}", "1:8: 1: undefined variable: $v"),
        ("{{ $v := $v }}", "1:9: $v: undefined variable: $v"),
        ("{{ or true ($x := 1) }}{{ $x }}", "1:26: $x: undefined variable: $x"),
        ("{{ if false }}{{ $a := 1 }}{{ else }}{{ $a }}{{ end }}", "1:40: $a: undefined variable: $a"),
        ("{{ range .s }}{{ end }}", "1:9: .s: range can't iterate over text"),
        ("{{ range $i, $e := 3 }}{{ end }}", "1:19: 3: can't use 3 to iterate over more than one variable"),
        ('{{ template "zz" . }}', '1:12: {{template "zz" .}}: template "zz" not defined'),
        ("{{ deep }}", "1:3: deep: error calling deep: value nests too deeply"),
        ("{{ fault }}", "1:3: fault: error calling fault: it broke"),
        ("{{ index .l 2 }}", "1:3: index .l 2: error calling index: reflect: slice index out of range"),
        ("{{ index .l 3 }}", "1:3: index .l 3: error calling index: index out of range: 3"),
        ("{{ index .n 1 }}", "1:3: index .n 1: error calling index: index of untyped nil"),
        ("{{ index .m 1 }}", "1:3: index .m 1: error calling index: value has type int; should be string"),
        ("{{ len .n }}", "1:3: len .n: error calling len: len of nil pointer"),
        ("{{ index .box 1 }}", "1:3: index .box 1: error calling index: can't index item of type box.Box"),
        ("{{ len .box }}", "1:3: len .box: error calling len: len of type box.Box"),
        ("{{ len true }}", "1:3: len true: error calling len: len of type bool"),
        ("{{ call .s }}", "1:3: call .s: error calling call: non-function .s of type string"),
        ("{{ 1 | eq }}", "1:7: eq: error calling eq: missing argument for comparison"),
        ('{{ eq "1" 1 }}', '1:3: eq "1" 1: error calling eq: incompatible types for comparison: string and int'),
        ("{{ eq .m .m }}", "1:3: eq .m .m: error calling eq: non-comparable type map[k:v]: map[string]interface {}"),
        (
            "{{ eq .m .l }}",
            "1:3: eq .m .l: error calling eq: non-comparable types map[k:v]: map[string]interface {}, []interface {}: [a b]",
        ),
        ("{{ lt .n 1 }}", "1:3: lt .n 1: error calling lt: invalid type for comparison"),
    ],
)
def test_errors(text: str, wanted: str) -> None:
    with pytest.raises(ExecError) as caught:
        run(text)
    error = caught.value
    assert f"{error.place.removeprefix('t:')}: {error.context}: {error.message}" == wanted
    assert str(error) == f'template: {error.place}: executing "t" at <{error.context}>: {error.message}'


def test_an_error_in_a_definition_tells_its_name_and_the_texts_place() -> None:
    with pytest.raises(ExecError, match=r'^template: t:2:5: executing "d" at <\.x\.y>: nil pointer'):
        run('{{ define "d" }}\n{{ .x.y }}{{ end }}{{ template "d" . }}')


def test_methods_of_a_pointer_are_found_by_what_is_printed_only() -> None:
    assert run('{{ . }} {{ html . }} {{ printf "%v" . }} {{ .String }}', Version()) == "v1 {1} {1} v1"
    with pytest.raises(ExecError, match=r"range can't iterate over \{1\}$"):
        run("{{ range . }}{{ end }}", Version())


def test_a_pointer_is_printed_as_what_it_points_at() -> None:
    assert run('{{ .box }} {{ printf "%v" .box }} {{ html .box }}') == "{4 <nil>} &{4 <nil>} {4 &lt;nil&gt;}"
    with pytest.raises(ExecError, match=r"non-function <\*box.Box Value> of type \*box.Box"):
        run("{{ .box | call }}")


def test_numbers_of_other_types_keep_them() -> None:
    assert run('{{ range . }}{{ printf "%T" . }}{{ end }}', Int64(1)) == "int64"


def test_later_texts_win_unless_they_are_empty() -> None:
    known = Templates(LIBRARY)
    known.parse("a", '{{ define "d" }}first{{ end }}')
    copy = known.clone()
    known.parse("b", '{{ define "d" }}second{{ end }}')
    known.parse("c", '{{ define "d" }} {{ end }}{{ template "d" }}')
    assert known.execute("c", None) == "second"
    assert copy.execute("d", None) == "first"
    with pytest.raises(GoError, match='no template "x" associated'):
        known.execute("x", None)


def test_deep_values_far_down_are_printed_or_refused() -> None:
    value: list[Any] = []
    for _ in range(140):
        value = [value]
    text = '{{ define "r" }}{{ if .n }}{{ template "r" (dict "n" (slice .n 1) "v" .v) }}{{ end }}{{ .v }}{{ end }}'
    try:
        run(text + '{{ template "r" . }}', {"n": "x" * 40, "v": value})
    except ExecError as error:
        assert "too deeply" in error.message


def test_a_library_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "CACHED_CHARACTERS", 100)
    library = Library({})
    first = library.parsed("a", "x" * 60)
    assert library.parsed("a", "x" * 60) is first
    library.parsed("b", "x" * 60)
    assert library.parsed("a", "x" * 60) is not first


def test_templates_nest_far_deeper_than_pythons_stack() -> None:
    text = '{{ define "r" }}{{ if gt (len .) 1 }}{{ template "r" (slice . 1) }}{{ end }}.{{ end }}{{ template "r" .}}'
    assert run(text, "x" * 3000) == "." * 3000


def test_endless_templates_end() -> None:
    with pytest.raises(ExecError, match=r"exceeded maximum template depth \(100000\)"):
        run('{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}')


def test_what_runs_or_writes_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_STEPS", 1000)
    with pytest.raises(ExecError, match="runs too long"):
        run("{{ range 100000 }}{{ end }}")
    monkeypatch.setattr(execution, "MAX_OUTPUT", 1000)
    with pytest.raises(ExecError, match="runs too long"):
        run("{{ range 500 }}text{{ end }}")
    with pytest.raises(ExecError, match="writes too much"):
        run("{{ range 100 }}{{ $.m }}{{ $.m }}{{ end }}")


@settings(max_examples=300)
@given(PIECES)
def test_any_template_runs_or_is_refused(text: str) -> None:
    for around in ("%s", "{{ %s }}", "{{ range $i, $x := .l }}{{ %s }}{{ end }}", "{{ if .m }}{{ len (%s) }}{{ end }}"):
        try:
            assert isinstance(run(around.replace("%s", text)), str)
        except (ParseError, ExecError):
            pass
