"""Helm's engine: order, its own functions and its form of errors. The words are helm 4.3.1's."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.engine import RenderError, Source, render
from heeler.packages.template import execution


def top(**values: Any) -> dict[str, Any]:
    return {"Values": values, "Release": {"Name": "rel"}, "Chart": {"Name": "app"}}


def rendered(files: dict[str, str], dot: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
    dot = top() if dot is None else dot
    return render(
        [Source(f"app/templates/{path}", text, "app/templates", dot) for path, text in files.items()], **options
    )


def output(text: str, dot: dict[str, Any] | None = None, **options: Any) -> str:
    return rendered({"t.yaml": text}, dot, **options)["app/templates/t.yaml"]


def fault(text: str, dot: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(RenderError) as caught:
        output(text, dot, **options)
    return str(caught.value).replace("app/templates/", "")


def test_deep_templates_run_first_and_high_ones_win() -> None:
    files = {
        "a.yaml": '{{ include "d" . }}{{ .seen }}',
        "b/c.yaml": '{{ $_ := set . "seen" "yes" }}',
        "b/_h.tpl": '{{ define "d" }}nested {{ end }}',
        "_h.tpl": '{{ define "d" }}top {{ end }}',
    }
    assert rendered(files) == {"app/templates/b/c.yaml": "", "app/templates/a.yaml": "top yes"}


def test_a_template_knows_its_own_name() -> None:
    assert output("{{ .Template.Name }} {{ .Template.BasePath }}") == "app/templates/t.yaml app/templates"
    assert output('{{ printf "%T" . }} {{ printf "%T" .Template }}') == "common.Values common.Values"


def test_no_value_is_taken_out_of_any_text() -> None:
    assert output('[{{ .Values.absent }}] <no value>[{{ tpl "{{ .x }}<no value>" . | len }}]') == "[] [0]"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ tpl .Values.t . }}", "hi REL"),
        ('{{ tpl "{{ include `d` . }}" . }}{{ define "d" }}D{{ .Chart.Name }}{{ end }}', "Dapp"),
        ('{{ tpl "{{ define `in` }}I{{ end }}{{ include `in` . }}" . }}', "I"),
        ('{{ tpl "{{ tpl `{{ . }}` 5 }}" . }}{{ tpl "" . }}', "5"),
        ('{{ required "m" 0 }}{{ required "m" false }}', "0false"),
        ('{{ lookup "v1" "Pod" "ns" "x" }}{{ getHostByName "localhost" }}', "map[]"),
        ('{{ define "x" }}[{{ .Values }}]{{ end }}{{ include "x" nil }}', "[]"),
    ],
)
def test_functions(text: str, wanted: str) -> None:
    assert output(text, top(t="hi {{ .Release.Name | upper }}")) == wanted


def test_lookup_asks_the_cluster() -> None:
    def lookup(*question: str) -> dict[str, Any]:
        return {"asked": "/".join(question)}

    assert output('{{ (lookup "v1" "Pod" "ns" "x").asked }}', lookup=lookup) == "v1/Pod/ns/x"
    assert output('{{ (lookup "v1" "Pod" "ns" "x").asked }}', lookup=lookup, lint=True) == ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ if }}", "parse error at (t.yaml:1): missing value for if"),
        (
            "a: {{ .Values.n.x }}",
            't.yaml:1:13\n  executing "t.yaml" at <.Values.n.x>:\n    nil pointer evaluating interface {}.x',
        ),
        (
            '{{ define "in" }}{{ upper 5 }}{{ end }}{{ include "in" . }}',
            't.yaml:1:42\n  executing "t.yaml" at <include "in" .>:\n    error calling include:\n'
            't.yaml:1:26\n  executing "in" at <5>:\n    expected string; found 5',
        ),
        (
            '{{ include "no" . }}',
            't.yaml:1:3\n  executing "t.yaml" at <include "no" .>:\n    error calling include:\n'
            'template: no template "no" associated with template "gotpl"',
        ),
        (
            "{{ index 5 1 }}",
            'template: t.yaml:1:3: executing "t.yaml" at <index 5 1>: error calling index: can\'t index item of type int',
        ),
        (
            '{{ tpl "{{ zap }}" . }}',
            'template: t.yaml:1:3: executing "t.yaml" at <tpl "{{ zap }}" .>: error calling tpl: '
            'cannot parse template "{{ zap }}": template: gotpl:1: function "zap" not defined',
        ),
        (
            '{{ tpl "{{ .Values.q.w }}" . }}',
            'template: t.yaml:1:3: executing "t.yaml" at <tpl "{{ .Values.q.w }}" .>: error calling tpl: '
            'error during tpl function execution for "{{ .Values.q.w }}": template: gotpl:1:10: '
            'executing "gotpl" at <.Values.q.w>: nil pointer evaluating interface {}.w',
        ),
        ('{{ define "d" }}{{ fail "a: b" }}{{ end }}{{ include "d" . }}', "execution error at (t.yaml:1:45): a: b"),
        ('{{ tpl "{{ required `need` .x }}" . }}', "execution error at (t.yaml:1:3): need"),
    ],
)
def test_errors(text: str, wanted: str) -> None:
    assert fault(text) == wanted


def test_steps_that_repeat_are_told_once() -> None:
    text = (
        '{{ define "r" }}{{ if .n }}{{ include "r" .n }}{{ else }}{{ upper 5 }}{{ end }}{{ end }}'
        '{{ include "r" (dict "n" (dict "n" (dict "n" (dict)))) }}'
    )
    assert fault(text).count('at <include "r" .n>') == 1


def test_endless_includes_are_refused() -> None:
    message = fault('{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}')
    assert message.count("error calling include") == 1002
    assert message.endswith("rendering template has a nested reference name: r: unable to execute template")


def test_strict_refuses_missing_keys() -> None:
    assert 'map has no entry for key "absent"' in fault("{{ .Values.absent }}", strict=True)
    assert 'nil data; no entry for key "x"' in fault("{{ (.Values.n).x }}", top(n=None), strict=True)


def test_lint_tells_of_what_would_have_failed() -> None:
    lines: list[Any] = []
    text = output(
        '{{ fail "no" }}{{ required "need" nil }}{{ required "more" "" }}a',
        lint=True,
        log=lambda *line: lines.append(line),
    )
    assert text == "a"
    assert lines == [
        ("INFO", "funcMap fail", {"message": "no"}),
        ("WARN", "missing required value", {"message": "need"}),
        ("WARN", "missing required values", {"message": "more"}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{{ range 100000 }}{{ range 100000 }}{{ include `one` $ }}{{ end }}{{ end }}",
        "{{ range 100000 }}{{ tpl `{{ range 100000 }}{{ tpl $.Values.text $ }}{{ end }}` $ }}{{ end }}",
        "{{ $many := until 1000 }}{{ range 1000000 }}{{ $_ := sortAlpha $many }}{{ end }}",
    ],
)
def test_what_takes_too_long_is_stopped(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_SECONDS", 0.1)
    with pytest.raises(RenderError, match="the template runs too long"):
        rendered({"_one.tpl": "{{ define `one` }}x{{ end }}", "a.yaml": text}, top(text="{{ 1 }}"))
