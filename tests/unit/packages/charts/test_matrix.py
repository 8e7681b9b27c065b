"""A chart with all its sets of values against versions of Kubernetes: what is served where, what is refused, how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heeler.cli.helm import run
from heeler.kinds.registry import built_in
from heeler.packages.charts.lint.templates import _deprecations
from heeler.packages.charts.matrix import served
from heeler.packages.charts.matrix.check import Checker


class Chart:
    """`heeler helm test-matrix app` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
        self.file("values.yaml", "type: ClusterIP\nreplicas: 1\n")
        self.file("templates/service.yaml", SERVICE)

    def file(self, name: str, text: str) -> None:
        path = self.folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def __call__(self, *flags: str) -> tuple[int, str, str]:
        return run(["test-matrix", "app", *flags], self.folder)

    def cells(self, *flags: str) -> dict[tuple[str, str], dict[str, object]]:
        _, out, errors = self(*flags, "-o", "json")
        assert out, errors
        return {(row["values"], row["kubeVersion"]): row for row in json.loads(out)}


SERVICE = """apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: "{{ .Values.type }}", ports: [{port: 80}]}
"""
BUDGET = (
    "apiVersion: {0}\nkind: PodDisruptionBudget\nmetadata: {{name: web}}\nspec: {{maxUnavailable: 1, selector: {{}}}}\n"
)


@pytest.fixture
def chart(tmp_path: Path) -> Chart:
    return Chart(tmp_path)


def test_the_newest_versions_are_tried_if_nobody_says_which(chart: Chart) -> None:
    code, out, errors = chart()
    assert (code, errors) == (0, "")
    assert out == "VALUES \t1.35\t1.36\t1.37\ndefault\tok  \tok  \tok  \n\n3 combinations, 3 objects\n"


def test_sets_come_from_ci_and_the_matrix_file(chart: Chart) -> None:
    chart.file(".helmignore", "ci/\n")
    chart.file("ci/node.yaml", "type: NodePort\n")
    chart.file("ci/deep/no.yaml", "type: Foo\n")
    chart.file(
        "values.matrix.yaml", 'sets: {bad: {type: Foo}}\naxes: {type: [A, ClusterIP], r: [1]}\nkubeVersions: ["1.30"]\n'
    )
    found = chart.cells()
    assert {name: row["status"] for (name, _), row in found.items()} == {
        "default": "passed",
        "ci/node.yaml": "passed",
        "bad": "failed",
        "type=A,r=1": "failed",
        "type=ClusterIP,r=1": "passed",
    }
    assert {version for _, version in found} == {"1.30"}
    assert {row["status"] for row in chart.cells("--set", "type=ClusterIP").values()} == {"passed"}
    assert list(chart.cells("--only", "bad")) == [("bad", "1.30")]
    assert "the chart declares no values 'x'" in chart("--only", "x")[2]


def test_versions_that_a_minor_does_not_serve_are_faults(chart: Chart) -> None:
    chart.file("templates/a.yaml", BUDGET.format("policy/v1beta1"))
    chart.file("templates/b.yaml", BUDGET.format("policy/v1"))
    code, out, errors = chart("--kube-versions", "1.20,1.24,v1.25.3")
    assert code == 1 and errors == "Error: 2 of 3 combinations failed\n"
    assert "default\t1 fault\tok, 1 deprecated\t1 fault\n" in out
    text = "app/templates/{0}.yaml: PodDisruptionBudget web: policy/{1} PodDisruptionBudget isn't served "
    assert f"fault: {text.format('b', 'v1')}before 1.21\n  1.20: default\n" in out
    assert f"fault: {text.format('a', 'v1beta1')}since 1.25: use policy/v1\n  1.25: default\n" in out
    assert "deprecated in v1.21+, unavailable in v1.25+" in out
    assert chart("--kube-versions", "1.24", "--strict")[0] == 1 and chart("--kube-versions", "1.24")[0] == 0


def test_templates_see_what_a_version_serves(chart: Chart) -> None:
    text = '{{ if .Capabilities.APIVersions.Has "policy/v1/PodDisruptionBudget" }}%s{{ else }}%s{{ end }}'
    chart.file("templates/a.yaml", text % (BUDGET.format("policy/v1"), BUDGET.format("policy/v1beta1")))
    assert chart("--kube-versions", "1.18,1.20,1.21,1.37")[0] == 0
    chart.file(
        "templates/b.yaml",
        '{{ if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}{{ fail "new" }}{{ end }}',
    )
    found = chart.cells("--kube-versions", "1.29,1.30")
    assert found["default", "1.29"]["status"] == "passed" and "new" in str(found["default", "1.30"]["error"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}", 'unknown field "spec.prots"'),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: A_b}, spec: {ports: [{port: 1}]}}",
            "metadata.name: Invalid value",
        ),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: 1}}", "cannot unmarshal number"),
        ("{apiVersion: v1, kind: ConfigMap, data: {}}", "metadata.name: Required value"),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 0}]}}",
            "spec.ports[0].port: Invalid value",
        ),
        ("{kind: Service, metadata: {name: a}}", "apiVersion and kind must be set"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, name: b}}", 'key "name" already set in map'),
    ],
)
def test_what_the_server_would_refuse_is_a_fault(chart: Chart, text: str, told: str) -> None:
    chart.file("templates/a.yaml", text)
    code, out, _ = chart("--kube-versions", "1.37")
    assert code == 1 and told in out


def test_kinds_of_ones_own_are_held_against_their_definitions(chart: Chart, tmp_path: Path) -> None:
    from tests.in_process.test_openapi import WIDGETS

    definition = json.loads(json.dumps(WIDGETS))
    spec = definition["spec"]
    schema = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 3}}}
    for version in spec["versions"]:
        version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}}
    version = spec["versions"][0]["name"]
    head = f"apiVersion: {spec['group']}/{version}\nkind: {spec['names']['kind']}\n"
    widget = f"{head}metadata: {{name: a}}\nspec: {{size: %s}}\n"
    chart.file("templates/a.yaml", widget % 9)
    code, out, _ = chart("--kube-versions", "1.37")
    assert code == 0 and f"not checked: app/templates/a.yaml: {spec['names']['kind']} a: " in out
    assert chart("--strict")[0] == 1
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "w.yaml").write_text(json.dumps(definition))
    assert "spec.size: Invalid value: 9: " in chart("--crds", "crds")[1]
    chart.file("crds/w.yaml", json.dumps(definition))
    assert "spec.size: Invalid value: 9: " in chart()[1]
    chart.file(
        "templates/a.yaml",
        f'{{{{ if .Capabilities.APIVersions.Has "{spec["group"]}/{version}" }}}}{widget % 3}{{{{ end }}}}',
    )
    assert {row["objects"] for row in chart.cells().values()} == {2} and chart()[0] == 0
    assert "holds no CustomResourceDefinition" in chart("--crds", "app/values.yaml")[2]


def test_a_chart_that_does_not_render_or_is_not_for_a_version(chart: Chart) -> None:
    chart.file("templates/a.yaml", "{{ .Values.a.b }}")
    code, out, _ = chart("--kube-versions", "1.36,1.37")
    assert code == 1 and "default\terror\terror\n" in out and "nil pointer evaluating" in out
    chart.file("templates/a.yaml", "")
    chart.file("Chart.yaml", 'apiVersion: v2\nname: app\nversion: 1.0.0\nkubeVersion: ">=1.30.0-0"\n')
    found = chart.cells("--kube-versions", "1.29,1.30")
    assert [row["status"] for row in found.values()] == ["skipped", "passed"]


def test_templates_that_change_values_do_not_change_them_for_the_next_version(chart: Chart) -> None:
    chart.file("values.yaml", "type: ClusterIP\ninner: {num: 1}\n")
    chart.file(
        "templates/a.yaml",
        '{{ if ne (int .Values.inner.num) 1 }}{{ fail "changed" }}{{ end }}{{ $_ := set .Values.inner "num" 2 }}',
    )
    assert chart()[0] == 0


def test_junit_has_a_suite_a_set_and_a_test_a_version(chart: Chart) -> None:
    chart.file("ci/bad.yaml", "type: Foo\n")
    root = ElementTree.fromstring(chart("-o", "junit", "--kube-versions", "1.36,1.37")[1])
    assert [(s.get("name"), s.get("tests"), s.get("failures")) for s in root] == [
        ("app default values", "2", "0"),
        ("app ci/bad.yaml", "2", "2"),
    ]
    failure = root[1][0].find("failure")
    assert failure is not None and 'spec.type: Unsupported value: "Foo"' in str(failure.get("message"))


def test_processes_find_the_same(chart: Chart) -> None:
    chart.file("values.matrix.yaml", "axes: {type: [A, ClusterIP, NodePort, LoadBalancer], replicas: [1, 2]}\n")
    assert chart("--jobs", "2") == chart("--jobs", "1")


def test_mistakes(chart: Chart) -> None:
    for flags, said in (
        (["--kube-versions", "1.99"], "Kubernetes 1.99 isn't known here: 1.16 to 1.37 are"),
        (["--kube-versions", "two"], "'two' is no version of Kubernetes"),
        (["-o", "yaml"], "must be table, json or junit"),
        (["--jobs", "0"], "--jobs counts processes"),
        (["-f", "nowhere.yaml"], "open nowhere.yaml: no such file or directory"),
    ):
        code, _, errors = chart(*flags)
        assert code == 1 and said in errors
    for text, said in (
        ("sets: []\n", "sets must be a map"),
        ("axes: {a: 1}\n", "axes must be a map"),
        ("kubeVersions: [1.30]\n", "must be in quotes"),
        ("other: 1\n", "'other' is unknown"),
        ("axes: {a..b: [1]}\n", "no path of a value"),
        (f"axes: {{a: {list(range(40))}, b: {list(range(40))}}}\n", "1600 combinations, more than 1000"),
        ("a: [", "values.matrix.yaml: "),
    ):
        chart.file("values.matrix.yaml", text)
        code, _, errors = chart()
        assert code == 1 and said in errors


def test_lint_holds_a_chart_against_several_versions_at_once(chart: Chart) -> None:
    chart.file("templates/a.yaml", BUDGET.format("policy/v1beta1"))
    code, out, _ = run(["lint", "app", "--kube-versions", "1.20,1.22,1.24"], chart.folder)
    told = "[WARNING] templates/a.yaml: policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+; "
    assert code == 0 and f"{told}use policy/v1 PodDisruptionBudget (Kubernetes 1.22, 1.24)\n" in out
    assert "[INFO] Chart.yaml: icon is recommended\n" in out
    assert (
        run(["lint", "app", "--kube-versions", "1.20"], chart.folder)[1]
        == run(["lint", "app", "--kube-version", "1.20"], chart.folder)[1]
    )
    assert (
        "exclude one another"
        in run(["lint", "app", "--kube-versions", "1.20", "--kube-version", "1.2"], chart.folder)[2]
    )
    assert "invalid kube version 'x'" in run(["lint", "app", "--kube-versions", "x"], chart.folder)[2]


# ---- facts -----------------------------------------------------------------------------------------------------------------


def test_every_kind_that_heeler_serves_is_in_the_table_and_served_by_the_newest() -> None:
    for kind in built_in():
        for version in kind.versions:
            assert served.is_served(kind.api_version(version), kind.kind, served.NEWEST), kind


def test_what_the_newest_serves_is_what_heeler_serves() -> None:
    ours = {(kind.api_version(version), kind.kind) for kind in built_in() for version in kind.versions}
    theirs = {name for name in served.table() if served.is_served(*name, served.NEWEST)}
    assert theirs == ours


def test_both_tables_agree_on_when_versions_went() -> None:
    for name, (since, gone) in served.table().items():
        assert gone == 0 or since < gone
        if name in _deprecations():
            assert _deprecations()[name][1] == gone, name


def test_a_kind_may_be_served_in_several_versions() -> None:
    checker = Checker()
    for version, first, last in (
        ("autoscaling/v2", 23, 37),
        ("autoscaling/v2beta2", 12, 25),
        ("autoscaling/v2beta1", 8, 24),
    ):
        obj = {"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}}
        obj |= {
            "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"}}
        }
        for minor in range(served.OLDEST, served.NEWEST + 1):
            assert bool(checker.check(obj, minor, "").faults) is not (first <= minor <= last), (version, minor)
