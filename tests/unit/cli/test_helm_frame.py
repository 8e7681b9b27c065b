"""Helm's command line: flags, help, suggestions, numbers of arguments; as helm 4.3.1 answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from heeler.cli.helm import run
from heeler.cli.helm.flags import HelmError, parse_duration, parse_int


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["foo"], 'unknown command "foo" for "helm"\nRun \'helm --help\' for usage.'),
        (["templte"], 'unknown command "templte" for "helm"\n\nDid you mean this?\n\ttemplate\n\nRun \'helm --help\''),
        (["st"], "Did you mean this?\n\tget\n\tlist\n\ttest\n\tstatus\n"),
        (["template"], '"helm template" requires at least 1 argument\n\nUsage:  helm template [NAME] [CHART] [flags]'),
        (["list", "a"], '"helm list" accepts no arguments'),
        (["env", "a", "b"], '"helm env" accepts at most 1 argument'),
        (["repo", "add", "a"], '"helm repo add" requires 2 arguments'),
        (["template", "--foo", "--help"], "unknown flag: --foo"),
        (["template", "-gZ"], "unknown shorthand flag: 'Z' in -Z"),
        (["template", "-n"], "flag needs an argument: 'n' in -n"),
        (["template", "--set"], "flag needs an argument: --set"),
        (["template", "---x"], "bad flag syntax: ---x"),
        (["lint", "--strict=foo", "x"], 'invalid argument "foo" for "--strict" flag: strconv.ParseBool: parsing "foo"'),
        (
            ["upgrade", "a", "b", "--force-replace", "--force-conflicts"],
            "if any flags in the group [force-replace force-conflicts] are set none of the others can be; "
            "[force-conflicts force-replace] were all set",
        ),
        (["list", "-ofoo"], 'invalid argument "foo" for "-o, --output" flag: invalid format type'),
        (
            ["template", "-l", "a", "x"],
            'invalid argument "a" for "-l, --labels" flag: a must be formatted as key=value',
        ),
        (["template", "x", "--timeout=5"], 'for "--timeout" flag: time: missing unit in duration "5"'),
    ],
)
def test_mistakes(argv: list[str], said: str, tmp_path: Path) -> None:
    code, out, errors = run(argv, tmp_path)
    assert (code, out) == (1, "")
    assert errors.startswith("Error: ") and said in errors


def test_help_is_found_by_flag_command_and_alias(tmp_path: Path) -> None:
    wanted = run(["show", "values", "--help"], tmp_path)
    assert wanted[0] == 0 and "helm show values [CHART] [flags]" in wanted[1]
    assert run(["help", "inspect", "values"], tmp_path) == wanted
    assert run(["-n", "x", "show", "values", "x", "-h"], tmp_path) == wanted
    assert run(["repo", "nonsense"], tmp_path) == run(["repo", "--help"], tmp_path)


def test_an_unknown_topic_of_help_is_no_failure(tmp_path: Path) -> None:
    code, out, errors = run(["help", "foo", "bar"], tmp_path)
    assert (code, out) == (0, "")
    assert errors.startswith("Unknown help topic [`foo` `bar`]\nUsage:\n  helm [command]\n")


def test_folders_of_the_caller_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_CACHE_HOME", "/here")
    assert '(default "/here/repository")' in run(["lint", "--help"], tmp_path)[1]


def test_numbers_and_durations() -> None:
    assert [parse_int(text) for text in ("0x1f", "-010", "0b11", "1_000")] == [31, -8, 3, 1000]
    assert [parse_duration(text) for text in ("1h2m3.5s", "-1ms", "0")] == [3723_500_000_000, -1_000_000, 0]
    for text in ("", "5", "1x", ".s"):
        with pytest.raises(HelmError):
            parse_duration(text)


def test_values_that_nest_too_deeply_are_refused_without_a_stack_trace(tmp_path: Path) -> None:
    assert run(["create", "app"], tmp_path)[0] == 0
    for depth in (200, 900, 5000):
        (tmp_path / "deep.yaml").write_text(f"a: {'[' * depth}{']' * depth}\n")
        code, _, errors = run(["template", "app", "-f", "deep.yaml"], tmp_path)
        assert (code, errors) == (0, "") if depth == 200 else (code == 1 and "deep" in errors)


def test_a_chart_is_rendered_from_the_callers_folder(tmp_path: Path) -> None:
    (tmp_path / "app/templates").mkdir(parents=True)
    (tmp_path / "app/Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.0.0\n")
    (tmp_path / "app/templates/t.yaml").write_text("a: {{ .Values.b }}\n")
    assert run(["template", "rel", "app", "--set", "b=1"], tmp_path) == (
        0,
        "---\n# Source: app/templates/t.yaml\na: 1\n",
        "",
    )


def test_a_cluster_that_is_not_there_is_told_after_what_is_wrong_with_the_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: x}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("HELM_DRIVER", raising=False)
    assert run(["create", "web"], tmp_path)[0] == 0
    gone = (
        'kubernetes cluster unreachable: Get "https://127.0.0.1:1/version": '
        "dial tcp 127.0.0.1:1: connect: connection refused"
    )
    assert run(["list"], tmp_path)[2] == f"Error: {gone}\n"
    assert run(["upgrade", "a", "./web"], tmp_path)[2] == f"Error: UPGRADE FAILED: {gone}\n"
    assert run(["upgrade", "a", "./nope"], tmp_path)[2] == 'Error: path "./nope" not found\n'
    assert run(["upgrade", "-i", "a", "./web"], tmp_path)[2] == f"Error: {gone}\n"
    found = run(["install", "a", "./web"], tmp_path)[2].splitlines()
    assert found[0].startswith('level=ERROR msg="cluster reachability check failed: ')
    assert found[1] == f"Error: INSTALLATION FAILED: cluster reachability check failed: {gone}"
