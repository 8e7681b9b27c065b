"""Whole commands on charts as they are found: what comparing public charts with helm itself has shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from heeler.cli.helm import run

UNMET = (
    "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' "
    "to fetch missing dependencies"
)


def lay(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def chart_yaml(name: str = "app", more: str = "", version: str = "v2") -> str:
    return f"apiVersion: {version}\nname: {name}\nversion: 1.0.0\n{more}"


@pytest.mark.parametrize(
    ("more", "subs", "errors"),
    [
        ("", (), "Error: invalid chart apiVersion\n"),
        ("type: library\n", (), "Error: library charts are not installable\n"),
        (
            "deprecated: true\n",
            (),
            'level=WARN msg="this chart is deprecated"\nError: invalid chart apiVersion\n',
        ),
        ("dependencies: [{name: a, version: 1.0.0}]\n", ("a",), "Error: invalid chart apiVersion\n"),
        (
            "dependencies: [{name: a, version: 1.0.0}]\n",
            ("a", "b"),
            f"Error: {UNMET}: unsupported chart dependency type\n",
        ),
        (
            "dependencies: [{name: a, version: 1.0.0}]\n",
            ("b",),
            f"Error: {UNMET}: found in Chart.yaml, but missing in charts/ directory: a\n",
        ),
    ],
)
def test_charts_of_version_3_are_refused_late(tmp_path: Path, more: str, subs: tuple[str, ...], errors: str) -> None:
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(more=more, version="v3")})
    lay(tmp_path, {f"app/charts/{name}/Chart.yaml": chart_yaml(name) for name in subs})
    assert run(["template", "rel", "app"], tmp_path) == (1, "", errors)
    assert run(["package", "app"], tmp_path) == (1, "", "Error: invalid chart apiVersion\n")


def test_lint_brings_values_together_twice(tmp_path: Path) -> None:
    """A default that the caller took away with a null is back for the templates; `helm template` keeps it away."""
    schema = '{"required": ["a"], "properties": {"n": {"type": "string"}}}'
    lay(
        tmp_path,
        {
            "app/Chart.yaml": chart_yaml(more="icon: https://example.com/i.png\n"),
            "app/values.yaml": "a: 1\n",
            "app/values.schema.json": schema,
            "app/templates/t.yaml": "kind: X\nmetadata: {name: x}\na: {{ .Values.a }}\n",
            "null.yaml": "a: null\n",
        },
    )
    code, out, _ = run(["lint", "app", "-f", "null.yaml"], tmp_path)
    assert (code, out) == (1, "==> Linting app\n[ERROR] values.yaml: - at '': missing property 'a'\n\n\n")
    code, _, errors = run(["template", "app", "-f", "null.yaml"], tmp_path)
    assert code == 1
    assert "- at '': missing property 'a'" in errors


def test_helmignore_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(), "app/.helmignore": "\ufeffhidden/\n"})
    lay(
        tmp_path, {"app/hidden/x.yaml": "a: 1\n", "app/templates/t.yaml": 'x: {{ .Files.Get "hidden/x.yaml" | quote }}'}
    )
    assert run(["template", "rel", "app"], tmp_path) == (0, '---\n# Source: app/templates/t.yaml\nx: ""\n', "")


def test_an_empty_list_of_dependencies_is_a_list(tmp_path: Path) -> None:
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(more="dependencies: []\n"), "none/Chart.yaml": chart_yaml("none")})
    heads = "NAME\tVERSION\tREPOSITORY\tSTATUS\n\n"
    assert run(["dependency", "list", "app"], tmp_path) == (0, heads, "")
    assert run(["dependency", "list", "none"], tmp_path) == (0, "WARNING: no dependencies at none/charts\n", "")


def test_lint_tells_of_values_that_dont_fit_without_a_schema_too(tmp_path: Path) -> None:
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(), "app/values.yaml": "a: {b: 1}\n", "v.yaml": "a: [1]\n"})
    code, _, errors = run(["lint", "app", "-f", "v.yaml"], tmp_path)
    warning = 'level=INFO msg="warning: cannot overwrite table with non table for a (map[b:1])"\n'
    assert (code, errors) == (0, warning)


def test_an_archives_dependencies_of_another_version(tmp_path: Path) -> None:
    needs = "dependencies: [{name: sub, version: 2.0.0}]\n"
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(more=needs), "app/charts/sub/Chart.yaml": chart_yaml("sub")})
    assert run(["package", "app"], tmp_path)[0] == 0
    code, out, _ = run(["dependency", "list", "app-1.0.0.tgz"], tmp_path)
    assert (code, out.split()[-4:]) == (0, ["sub", "2.0.0", "wrong", "version"])


def test_lint_is_silent_about_templates_whose_values_dont_fit(tmp_path: Path) -> None:
    needs = "dependencies: [{name: sub, version: 1.0.0}]\n"
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(more=needs), "app/values.yaml": "sub: 5\n"})
    lay(tmp_path, {"app/charts/sub/Chart.yaml": chart_yaml("sub"), "app/templates/t.yaml": "{{ fail `x` }}"})
    code, out, errors = run(["lint", "app"], tmp_path)
    said = "==> Linting app\n[INFO] Chart.yaml: icon is recommended\n\n1 chart(s) linted, 0 chart(s) failed\n"
    assert (code, out, errors) == (0, said, "")


def test_nulls_of_values_yaml_count_for_the_rule_about_it(tmp_path: Path) -> None:
    schema = '{"properties": {"a": {"type": "string"}}}'
    lay(tmp_path, {"app/Chart.yaml": chart_yaml(), "app/values.yaml": "a: null\n", "app/values.schema.json": schema})
    code, out, _ = run(["lint", "app"], tmp_path)
    assert code == 1
    assert "[ERROR] values.yaml: - at '/a': got null, want string\n" in out
