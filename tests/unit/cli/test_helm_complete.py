"""What `heeler helm` completes: answers for shells, and bash's script with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.base.processes import find_program
from tests.helm_home import Home

ROOT = Path(__file__).resolve().parents[3]
REPOSITORIES = """\
apiVersion: ""
generated: "0001-01-01T00:00:00Z"
repositories:
- {name: one, url: "https://one.example.com"}
- {name: other, url: "https://other.example.com"}
"""
INDEX = """\
apiVersion: v1
entries:
  app:
  - {apiVersion: v2, name: app, version: 1.1.0, appVersion: "9", created: "2026-01-02T03:04:05Z", urls: [a.tgz]}
  - {apiVersion: v2, name: app, version: 1.0.0, urls: [b.tgz]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    (made.folder / "config").mkdir()
    (made.folder / "config" / "repositories.yaml").write_text(REPOSITORIES)
    cache = made.folder / "cache" / "repository"
    cache.mkdir(parents=True)
    (cache / "one-index.yaml").write_text(INDEX)
    (cache / "one-charts.txt").write_text("app\n")
    return made


NO_MORE = "_activeHelp_ This command does not take any more arguments (but may accept flags).\n:4\n"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("show", "c"), "chart\tshow the chart's definition\ncrds\tshow the chart's CRDs\n:4\n"),
        (("install", "--time"), "--timeout\ttime to wait for any individual Kubernetes operation"),
        (("list", "-o", ""), "json\tOutput result in JSON format\n"),
        (("list", "--output="), "json\tOutput result in JSON format\n"),
        (("repo", "remove", ""), "one\thttps://one.example.com\nother\thttps://other.example.com\n:4\n"),
        (("repo", "remove", "one", ""), "other\thttps://other.example.com\n:4\n"),
        (("install", "x", "o"), "one/\thttps://one.example.com\nother/\thttps://other.example.com\noci://\t"),
        (("install", "x", "one/a"), "one/app\n:0\n"),
        (("pull", "one/a"), "one/app\n:4\n"),
        (
            ("pull", "one/app", "--version", ""),
            "1.1.0\tApp: 9, Created: January 2, 2026\n1.0.0\n:4\n",
        ),
        (("install", ""), ":4\n"),
        (("package", ""), ":0\n"),
        (("push", "x", ""), "oci://\n:6\n"),
        (("version", ""), NO_MORE),
        (("status", "x", ""), NO_MORE),
        (("status", ""), ":0\n"),  # no cluster to ask
    ],
)
def test_answers(home: Home, words: tuple[str, ...], answer: str) -> None:
    assert home.do("__complete", *words).startswith(answer)


def test_releases_are_completed(home: Home) -> None:
    file = home.folder / "releases.yaml"
    file.write_text("- {name: web, version: 1, namespace: default, info: {status: deployed}}\n")
    home.environment |= {"HELM_DRIVER": "memory", "HELM_MEMORY_DRIVER_DATA": str(file)}
    assert home.do("__complete", "status", "w") == "web\tdeployed\n:4\n"
    assert home.do("__completeNoDesc", "upgrade", "") == "web\n:4\n"


def test_directives_are_told_and_nothing_asked_is_a_fault(home: Home) -> None:
    answer = home.ask("__complete", "push", "x", "")
    assert answer.errors == (
        "Completion ended with directive: ShellCompDirectiveNoSpace, ShellCompDirectiveNoFileComp\n"
    )
    assert home.refused("__complete") == "requires at least 1 arg(s), only received 0"
    assert home.ask("__complete", "nothing", "").errors.startswith("[Debug] [Error] unable to find a command")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_has_a_script(home: Home, shell: str) -> None:
    assert "heeler helm __complete " in home.do("completion", shell)
    assert "heeler helm __completeNoDesc " in home.do("completion", shell, "--no-descriptions")
    program = find_program({"powershell": "pwsh"}.get(shell, shell))
    if program is None or shell == "powershell":
        return
    said = subprocess.run(
        [program, "-n"], input=home.do("completion", shell), text=True, capture_output=True, timeout=20
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_bash_completes(home: Home, tmp_path: Path) -> None:
    bash = find_program("bash")
    if bash is None:
        pytest.skip("needs bash")
    shim = tmp_path / "bin" / "heeler"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m heeler "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "script").write_text(home.do("completion", "bash"))
    ask = """\
source "$1"
asked() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); __heeler_helm_complete; echo "${COMPREPLY[@]}"; }
asked heeler helm show c
asked helm install x one/
asked helm list -o ''
_heeler_completion() { COMPREPLY=(heelers); }
asked heeler u
"""
    environment = {**home.environment, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    call = [bash, "-c", ask, "bash", str(tmp_path / "script")]
    done = subprocess.run(call, env=environment, text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["chart crds", "one/app", "json table yaml", "heelers"]
