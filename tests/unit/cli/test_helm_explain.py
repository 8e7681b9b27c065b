"""What `heeler helm` says of values behind errors and by `--explain-value`; and that Helm's own words stay as they are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from heeler.cli.helm import run
from heeler.cli.helm.frame import run_command
from heeler.packages import engine
from heeler.packages.charts import render
from heeler.packages.charts.watching import Watch
from tests.conftest import ROOT
from tests.reference import helm_replay


class Helm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
        self.file("app/values.yaml", "image:\n  name: web\n  tag: ''\nport: 80\nsub:\n  level: 1\n")
        self.file("app/charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n")
        self.file("app/charts/sub/values.yaml", "level: 0\nhosts: [{name: a}, {name: b}]\n")

    def file(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        return run(list(argv), self.folder)

    def failing(self, template: str, *flags: str, path: str = "app/templates/a.yaml") -> list[str]:
        """Our lines about the failure of a template; Helm's own, before them, are those without --explain."""
        self.file(path, template)
        plain = self("template", "app", *flags)
        explained = self("template", "app", "--explain", *flags)
        assert plain[0] == 1 and explained[:2] == plain[:2] and explained[2].startswith(plain[2])
        return explained[2].removeprefix(plain[2]).splitlines()


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helm:
    monkeypatch.delenv("HEELER_EXPLAIN", raising=False)
    return Helm(tmp_path)


def test_a_value_that_nobody_sets(helm: Helm) -> None:
    assert helm.failing("a: {{ .Values.image.registry.host }}") == [
        "The values behind this:",
        "  image.registry (read at app/templates/a.yaml:1:13) is not set",
        "    no values file, flag or default sets it",
        "    a default could stand in app/values.yaml:1, below image",
    ]


def test_the_file_and_line_or_the_flag_that_set_it(helm: Helm) -> None:
    template = '\na: {{ required "a tag" .Values.image.tag }}'
    told = "  image.tag (read at app/templates/a.yaml:2:30) is an empty text"
    assert helm.failing(template) == ["The values behind this:", told, "    set by app/values.yaml:3"]
    helm.file("prod.yaml", "# ours\nimage: {tag: ''}\n")
    assert helm.failing(template, "-f", "prod.yaml")[-1] == "    set by prod.yaml:2"
    assert (
        helm.failing(template, "-f", "prod.yaml", "--set", "a=b", "--set", "image.tag=")[-1]
        == "    set by --set number 2"
    )
    assert helm.failing(template, "--set-json", '{"image": {"tag": ""}}')[-1] == "    set by --set-json"
    assert "    --set takes it away: image.tag is null there" in helm.failing(template, "--set", "image.tag=null")
    assert "    --set takes it away: image is null there" in helm.failing(
        "{{ .Values.image.tag.x }}", "--set", "image=null"
    )


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ('{{ fail (printf "bad %v" .Values.port) }}', "  port (read at app/templates/a.yaml:1:32) is 80"),
        ("{{ .Values.port | b64dec }}", "  port (read at app/templates/a.yaml:1:10) is 80"),
        ('{{ index .Values.image "tag" "x" }}', "  image.tag (read at app/templates/a.yaml:1:16) is an empty text"),
        ('{{ (get .Values "image") | trunc 3 }}', "  image (read at app/templates/a.yaml:1:8) is a map"),
        (
            "{{ with .Values.image }}{{ .name.x }}{{ end }}",
            "  image.name (read at app/templates/a.yaml:1:32) is a text",
        ),
        ('{{ if .Values.port }}\n{{ fail "no" }}\n{{ end }}', "  port (read at app/templates/a.yaml:1:13) is 80"),
    ],
)
def test_values_are_found_behind_all_sorts_of_failures(helm: Helm, template: str, told: str) -> None:
    assert told in helm.failing(template)


def test_charts_below_see_values_by_another_path(helm: Helm) -> None:
    path = "app/charts/sub/templates/a.yaml"
    assert helm.failing("{{ .Values.level.x }}", path=path)[1:] == [
        "  sub.level (.Values.level of its chart, read at app/charts/sub/templates/a.yaml:1:10) is 1",
        "    set by app/values.yaml:6",
    ]
    found = helm.failing("{{ range .Values.hosts }}{{ .name.x }}{{ end }}", path=path)
    assert "sub.hosts[0].name (" in found[1] and found[2] == "    set by app/charts/sub/values.yaml:2"


def test_texts_are_not_shown_with_errors(helm: Helm) -> None:
    assert "hunter2" not in "".join(helm.failing("{{ .Values.password.x }}", "--set", "password=hunter2"))


def test_schemas_name_values_too(helm: Helm) -> None:
    schema = {
        "properties": {"port": {"type": "string"}, "image": {"additionalProperties": False, "properties": {"tag": {}}}},
        "required": ["size"],
    }
    helm.file("app/values.schema.json", json.dumps(schema))
    helm.file("app/charts/sub/values.schema.json", json.dumps({"properties": {"level": {"maximum": 0}}}))
    found = helm.failing("", "--set", "port=1")
    for told in (
        "  port is 1\n    set by --set",
        "  size is not set\n",
        "  image.name is a text\n    set by app/values.yaml:2",
        "  sub.level (.Values.level of its chart) is 1\n    set by app/values.yaml:6",
    ):
        assert told in "\n".join(found)


def test_rendered_text_that_is_no_yaml_is_shown_but_not_that_of_secrets(helm: Helm) -> None:
    text = "apiVersion: v1\nkind: {0}\ndata:\n  a: b\n c: {{{{ .Values.port }}}}\n"
    assert helm.failing(text.format("ConfigMap")) == [
        "What app/templates/a.yaml has rendered there:",
        "      1 apiVersion: v1",
        "      2 kind: ConfigMap",
        "      3 data:",
        "      4   a: b",
        "      5  c: 80",
    ]
    assert helm.failing(text.format("Secret")) == []


def test_explain_value_tells_layers_and_readers(helm: Helm) -> None:
    helm.file("prod.yaml", "image:\n  tag: 2\n")
    helm.file("app/templates/a.yaml", "a: {{ .Values.image.tag }}\nb: {{ toJson .Values.image }}\n")
    flags = ("-f", "prod.yaml", "--set", "image.tag=3")
    plain = helm("template", "app", *flags)
    code, out, errors = helm("template", "app", *flags, "--explain-value", "image.tag")
    assert (code, out) == plain[:2]
    assert errors.splitlines() == [
        "image.tag: 3",
        "  set by --set: 3",
        "  over prod.yaml:2: 2",
        '  over app/values.yaml:3: ""',
        "  read at app/templates/a.yaml:1:13 by .Values.image.tag",
        "  read at app/templates/a.yaml:2:20 by .Values.image",
    ]
    item = helm("template", "app", "--explain-value", "sub.hosts[1].name")[2]
    assert item.startswith('sub.hosts[1].name: "b"\n  set by app/charts/sub/values.yaml:2')
    helm.file("app/charts/sub/templates/a.yaml", "# {{ .Values.global.zone }}\n")
    found = helm("template", "app", "--set", "global.zone=z", "--explain-value", "global.zone")[2]
    assert "  read at app/charts/sub/templates/a.yaml:1:12 by .Values.global.zone\n" in found
    assert "  no template reads it" in helm("template", "app", "--explain-value", "port")[2]
    assert "port: 80\n  set by app/values.yaml:4: 80\n" in helm("lint", "app", "--explain-value", "port")[2]
    assert "is no path of a value" in helm("template", "app", "--explain-value", "a..b")[2]


def test_errors_are_explained_where_that_is_wanted(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    helm.file("app/templates/a.yaml", "{{ .Values.a.b }}")
    argv = ["template", "app"]
    assert "behind" not in helm(*argv)[2] and "behind" in helm("lint", "app", "--explain")[2]
    assert "behind" in run_command(argv, helm.folder, errors_terminal=True)[2]
    monkeypatch.setenv("HEELER_EXPLAIN", "1")
    assert "behind" in helm(*argv)[2] and "behind" in helm("install", "x", "app", "--dry-run=client")[2]
    monkeypatch.setenv("HEELER_EXPLAIN", "0")
    assert "behind" not in run_command(argv, helm.folder, errors_terminal=True)[2]


@pytest.mark.parametrize(
    "area", ["dicts", "exec-errors", "lists", "render", "subchart-values", "tpl", "types", "yaml-out"]
)
def test_recorded_cases_are_the_same_while_they_are_watched(area: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watching what templates read changes neither what they write nor how they fail."""
    text = gzip.decompress((ROOT / "tests" / "reference" / "helm" / f"{area}.jsonl.gz").read_bytes()).decode()
    cases = [json.loads(line) for line in text.split("\n") if line]
    helm = helm_replay.python_runner("heeler.cli.helm:run")
    plain = [helm_replay.run_case(case, helm) for case in cases]
    sources, engine_render, watches = render.sources, engine.render, []

    def watched(*arguments: Any) -> Any:
        watches.append(Watch())
        return sources(*arguments, watches[-1].values)

    monkeypatch.setattr(render, "sources", watched)
    monkeypatch.setattr(engine, "render", lambda *one, **more: engine_render(*one, **more, watch=watches[-1]))
    assert [helm_replay.run_case(case, helm) for case in cases] == plain
    assert any(watch.recent for watch in watches)
