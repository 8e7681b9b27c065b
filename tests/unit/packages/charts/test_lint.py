"""Helm's lint rules; the messages are helm 4.3.1's."""

from __future__ import annotations

from pathlib import Path

import pytest

from heeler.packages.charts.lint import Options, lint
from heeler.packages.charts.lint.templates import deprecation
from heeler.packages.charts.load import silent

CHART = "apiVersion: v2\nname: app\nversion: 1.0.0\nicon: https://e.com/i\n"


def said(top: Path, files: dict[str, str], kube_version: str = "") -> list[str]:
    for name, text in {"Chart.yaml": CHART, "values.yaml": "k: v\n", "templates/_x.tpl": "", **files}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return [
        str(message).replace(str(top), "<dir>") for message in lint(top, Options({}, "default", kube_version), silent)
    ]


@pytest.mark.parametrize(
    ("chart", "messages"),
    [
        (CHART, []),
        (CHART.replace("1.0.0", "v1.0.0"), ["[WARNING] Chart.yaml: version 'v1.0.0' is not a valid SemVerV2"]),
        (
            CHART.replace("1.0.0", "1.5"),
            [
                "[ERROR] Chart.yaml: version should be of type string but it's of type float64",
                "[WARNING] Chart.yaml: version '1.5' is not a valid SemVerV2",
            ],
        ),
        (
            CHART + "maintainers: [{name: b, email: x@}]\n",
            ["[ERROR] Chart.yaml: invalid email 'x@' for maintainer 'b'"],
        ),
        (
            CHART + "unknown: 1\n",
            [
                "[WARNING] Chart.yaml: failed to strictly parse chart metadata file\n"
                '\terror unmarshaling JSON: while decoding JSON: json: unknown field "unknown"'
            ],
        ),
    ],
)
def test_chart_yaml(tmp_path: Path, chart: str, messages: list[str]) -> None:
    assert said(tmp_path, {"Chart.yaml": chart}) == messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service\nmetadata: {name: 1a}\n", "a DNS-1035 label must consist of"),
        ("kind: Namespace\nmetadata: {name: a.b}\n", "must not contain dots"),
        ("kind: ClusterRole\nmetadata: {name: '..'}\n", "may not be '..'"),
        ("kind: DaemonSet\nmetadata: {name: d}\n", "a DaemonSet must contain matchLabels or matchExpressions"),
        ("  kind: X\n  metadata: {name: x}\n", 'document starts with an illegal indent: "  kind: X"'),
        ("- a\n", "cannot unmarshal array into Go value of type rules.k8sYamlStruct"),
        ('{"a" 1}', "unable to parse YAML: json: offset 6: invalid character '1' after object key"),
        ('{"kind": "X", "metadata": {"name": "x"}}\nkind: Y\n', "json: offset 42: invalid character 'k'"),
    ],
)
def test_objects(tmp_path: Path, text: str, message: str) -> None:
    (found,) = said(tmp_path, {"templates/t.yaml": text})
    assert message in found


def test_names_that_are_free_and_flow_mappings(tmp_path: Path) -> None:
    text = "kind: CertificateSigningRequest\nmetadata: {name: A/B}\n"
    assert said(tmp_path, {"templates/t.yaml": text, "templates/u.yaml": "{kind: X, metadata: {name: x}}"}) == []


def test_nothing_is_looked_at_after_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    found = said(tmp_path, {"templates/a.yaml": "a: [\n", "templates/b.yaml": "kind: X\nmetadata: {name: B_}\n"})
    assert [one.partition(":")[0] for one in found] == ["[ERROR] templates/a.yaml"]


def test_dependencies_are_named_on_both_sides(tmp_path: Path) -> None:
    files = {"Chart.yaml": CHART + "dependencies: [{name: other, version: 1.0.0}]\n", "charts/sub/Chart.yaml": CHART}
    assert said(tmp_path, files) == [
        "[ERROR] <dir>: chart metadata is missing these dependencies: app",
        "[WARNING] <dir>: chart directory is missing these dependencies: other",
    ]


def test_deprecated_versions_by_the_cluster_they_are_meant_for() -> None:
    assert deprecation("policy/v1beta1", "PodDisruptionBudget", "") == (
        "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+; use policy/v1 PodDisruptionBudget"
    )
    assert deprecation("policy/v1beta1", "PodDisruptionBudget", "1.20.0") == ""
    assert deprecation("v1", "ComponentStatus", "") == "v1 ComponentStatus is deprecated in v1.19+"
    assert deprecation("apps/v1", "Deployment", "") == ""
