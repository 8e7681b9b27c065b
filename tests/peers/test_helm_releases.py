"""Releases of the real helm and of `heeler helm` on one cluster: each sees, changes and takes over what the other made.

The same commands are run by both, and what they print must be the same.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from heeler.testing.cluster import FreshCluster
from tests.peers.helm import real_helm

pytestmark = pytest.mark.timeout(300)

OURS = [sys.executable, "-m", "heeler", "helm"]


class Said(NamedTuple):
    code: int
    out: str
    errors: str


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    real_helm()
    with FreshCluster() as found:
        yield found


Run = Callable[..., Said]


@pytest.fixture
def run(shared: FreshCluster, tmp_path: Path) -> Run:
    shared.reset()

    def call(who: list[str], *words: str, **variables: str) -> Said:
        environment = {
            **os.environ,
            "KUBECONFIG": str(shared.kubeconfig),
            "HOME": str(tmp_path),
            "TZ": "UTC",
            **variables,
        }
        done = subprocess.run(
            [*who, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        return Said(done.returncode, _plain(done.stdout), _plain(done.stderr))

    return call


def _plain(text: str) -> str:
    """Without what differs from moment to moment."""
    text = re.sub(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "<time>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]+(Z| \+0000 UTC)", "<time>", text)
    text = re.sub(r"modifiedAt=\d+", "modifiedAt=N", text)
    return re.sub(r"[ \t]+", " ", text)


def chart(folder: Path, name: str, **templates: str) -> None:
    (folder / name / "templates").mkdir(parents=True, exist_ok=True)
    (folder / name / "Chart.yaml").write_text(f'apiVersion: v2\nname: {name}\nversion: 1.0.0\nappVersion: "1"\n')
    (folder / name / "values.yaml").write_text("a: 1\nb: {c: 2}\n")
    for template, text in templates.items():
        (folder / name / "templates" / f"{template}.yaml").write_text(text)


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-%s'}\ndata: {a: '{{ .Values.a }}'}\n"
HOOK = (
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: '{{ .Release.Name }}-%s'\n  annotations:\n    helm.sh/hook: %s\n"
    "    heeler.dev/exit: '%s'\nspec: {restartPolicy: Never, containers: [{name: a, image: b}]}\n"
)


def both(run: Run, *words: str, **variables: str) -> Said:
    """Ask both the same; what they say must be the same."""
    theirs, ours = run([real_helm()], *words, **variables), run(OURS, *words, **variables)
    assert ours == theirs
    return ours


def test_each_takes_over_the_other_s_releases(run: Run, tmp_path: Path) -> None:
    chart(tmp_path, "app", one=CONFIG % "one", test=HOOK % ("test", "test", "0@1"))
    helm = [real_helm()]
    assert run(helm, "install", "web", "app", "--set", "a=first").code == 0
    both(run, "list")
    both(run, "get", "all", "web")
    assert run(OURS, "upgrade", "web", "app", "--set", "a=second", "--labels", "team=x").code == 0
    both(run, "history", "web")
    both(run, "get", "metadata", "web")
    both(run, "get", "values", "web", "--all")
    assert run(helm, "upgrade", "web", "app", "--reuse-values", "--set", "d=1").code == 0
    both(run, "get", "values", "web")
    assert run(OURS, "rollback", "web", "1").code == 0
    both(run, "get", "manifest", "web")
    assert run(helm, "test", "web", "--timeout", "30s").code == 0
    both(run, "get", "hooks", "web")
    assert run(OURS, "test", "web", "--timeout", "30s").code == 0
    both(run, "status", "web")
    both(run, "status", "web", "-o", "json")
    both(run, "status", "web", "-o", "yaml")
    assert run(helm, "rollback", "web").code == 0
    both(run, "history", "web", "-o", "yaml")
    assert run(OURS, "uninstall", "web", "--keep-history").code == 0
    both(run, "list", "--uninstalled")
    assert run(helm, "uninstall", "web").code == 0
    assert both(run, "list", "-A").out.count("\n") == 1


#: Sessions on a fresh cluster: commands, one after the other. A word `(NAME)` stands for the chart of that name.
SESSIONS: dict[str, list[str]] = {
    "install": [
        "install web app --wait --timeout 30s",
        "install web app",
        "install WEB app",
        "install other app --namespace none",
        "install other app --namespace fresh --create-namespace",
        "list -A",
        "list --filter ^w --short",
        "uninstall web other",
        "uninstall web --ignore-not-found",
        "install web app --dry-run=server",
        "install web app --labels name=x",
        "install g app --generate-name",
    ],
    "upgrade": [
        "upgrade web app",
        "upgrade web app --install --set a=2",
        "upgrade web app --set a=3 --description mine",
        "upgrade web app --reuse-values --set b.d=1",
        "get values web",
        "upgrade web app --reset-then-reuse-values --set b.e=1",
        "get values web -o json",
        "upgrade web app --reset-values",
        "get values web -a",
        "upgrade web app --set a=9 --dry-run=server",
        "upgrade web app --history-max 2",
        "history web",
        "upgrade web app --server-side=false --set a=4",
        "upgrade web app --force-replace",
        "upgrade web app --force-replace --server-side=false --set a=5",
        "upgrade web missing",
        "upgrade web app --timeout 1x",
        "status web --revision 99",
    ],
    "failures": [
        "install stuck stuck --wait --timeout 2s",
        "history stuck",
        "upgrade stuck stuck --wait --timeout 2s",
        "upgrade stuck app --wait --timeout 20s",
        "upgrade stuck stuck --rollback-on-failure --timeout 2s",
        "history stuck",
        "rollback stuck 77",
        "rollback none",
        "install gone stuck --rollback-on-failure --timeout 2s",
        "list --failed",
        "install bad bad",
        "uninstall bad",
        "install strange strange",
    ],
    "refusals": [
        "install two services",
        "upgrade two services --set ip=1.2.3.4",
        "upgrade two services --set ip=1.2.3.4 --server-side=false",
        "upgrade two services --set ip=1.2.3.4",
        "upgrade two services --force-replace --server-side=true",
        "rollback two 1 --force-replace --server-side=true",
        "install replaced services --force-replace",
        "history two",
        "upgrade two services",
        "rollback two",
        "get metadata two",
    ],
    "hooks": [
        "install h hooks --timeout 20s",
        "upgrade h hooks --timeout 20s",
        "get hooks h",
        "upgrade h failing --timeout 20s",
        "history h",
        "test h --timeout 20s",
        "test h --timeout 20s --logs",
        "test h --filter name=none",
        "uninstall h --no-hooks",
    ],
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_looks_the_same(name: str, shared: FreshCluster, run: Run, tmp_path: Path) -> None:
    chart(tmp_path, "app", one=CONFIG % "one")
    chart(tmp_path, "bad", one="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\nspec: {a: b}\n")
    chart(tmp_path, "strange", one="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n")
    nowhere = "spec: {nodeSelector: {no: where}, containers: [{name: a, image: b}]}\n"
    chart(tmp_path, "stuck", one=CONFIG % "one", pod=f"apiVersion: v1\nkind: Pod\nmetadata: {{name: stuck}}\n{nowhere}")
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: '{{ .Release.Name }}-%s'}\n"
    service += 'spec: { {{ with .Values.ip }}clusterIP: "{{ . }}", {{ end }}ports: [{port: 80}]}\n'
    chart(tmp_path, "services", one=service % "one", two=service % "two")
    good = {"before": HOOK % ("before", "pre-install,pre-upgrade", "0@1"), "test": HOOK % ("t", "test", "1@1")}
    chart(tmp_path, "hooks", one=CONFIG % "one", **good)
    chart(tmp_path, "failing", one=CONFIG % "one", before=HOOK % ("before", "pre-upgrade", "1@1"))

    def said(who: list[str]) -> list[tuple[str, Said]]:
        shared.reset()
        return [(line, run(who, *line.split())) for line in SESSIONS[name]]

    theirs, ours = said([real_helm()]), said(OURS)
    for their, our in zip(theirs, ours):
        assert our == their


def test_releases_as_config_maps(run: Run, tmp_path: Path) -> None:
    chart(tmp_path, "app", one=CONFIG % "one")
    assert run(OURS, "install", "web", "app", HELM_DRIVER="configmap").code == 0
    both(run, "list", HELM_DRIVER="configmap")
    assert run([real_helm()], "upgrade", "web", "app", HELM_DRIVER="configmap").code == 0
    both(run, "history", "web", HELM_DRIVER="configmap")


def test_templates_look_things_up(run: Run, tmp_path: Path) -> None:
    look = "{{ $n := lookup `v1` `Namespace` `` `default` }}{{ $all := lookup `v1` `Namespace` `` `` }}"
    shown = (
        "a: {{ $n.metadata.name }} {{ kindOf $n.metadata.generation }} {{ len $all.items | gt 100 }} "
        "{{ lookup `v1` `Secret` `x` `y` }}\n"
    )
    versions = "b: {{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has `apps/v1/Deployment` }}\n"
    chart(tmp_path, "app", one=look + shown + versions + "kind: ConfigMap\nmetadata: {name: x}\napiVersion: v1\n")
    both(run, "template", "r", "app", "--dry-run=server")
    both(run, "template", "r", "app")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_cancelled_fails_and_is_undone_if_asked(
    shared: FreshCluster, run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    def cancelled(program: list[str], *words: str) -> tuple[int, str, str]:
        process = subprocess.Popen(
            [*program, *words, "--wait", "--timeout", "600s"],
            cwd=tmp_path,
            env={**os.environ, "KUBECONFIG": str(shared.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        shared.wait("pods/stuck", "exists", patience=30)
        time.sleep(1)
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
        told = [line for line in errors.splitlines() if not line.startswith("level=")]
        return process.returncode, out.split("\n")[0], "\n".join(told)

    nowhere = "spec: {nodeSelector: {no: where}, containers: [{name: a, image: b}]}\n"
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: stuck}}\n{nowhere}"
    chart(tmp_path, "stuck", pod="{{ if .Values.pod }}" + pod + "{{ end }}")
    for more in ((), ("--rollback-on-failure",)):
        seen = []
        for program in ([real_helm()], OURS):
            installed = cancelled(program, "install", "web", "stuck", "--set", "pod=true", *more)
            history = run([real_helm()], "history", "web")
            run([real_helm()], "uninstall", "web", "--ignore-not-found")
            assert run([real_helm()], "install", "web", "stuck").code == 0
            upgraded = cancelled(program, "upgrade", "web", "stuck", "--set", "pod=true", *more)
            seen.append((installed, history, upgraded, run([real_helm()], "history", "web")))
            run([real_helm()], "uninstall", "web")
        assert seen[0] == seen[1]


def test_a_release_of_patches_goes_on_with_server_side_apply(shared: FreshCluster, run: Run, tmp_path: Path) -> None:
    """What was set by patches is the manager's own: no conflict, and what the manifest no longer has goes."""
    data = "data: {a: '{{ .Values.a }}'{{ if .Values.b }}, b: x{{ end }}}\n"
    chart(tmp_path, "moved", one="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moved}\n" + data)
    seen = []
    for program in ([real_helm()], OURS):
        said = []
        for words in (
            ("install", "web", "moved", "--server-side=false", "--set", "a=1,b=1"),
            ("upgrade", "web", "moved", "--server-side=true", "--set", "a=2,b="),
            ("upgrade", "web", "moved", "--server-side=false", "--set", "a=3,b=1"),
            ("rollback", "web", "2"),
        ):
            said.append(run(program, *words))
            live = json.loads(shared.kubectl("get", "configmap", "moved", "-o", "json", "--show-managed-fields"))
            managers = sorted((row["manager"], row["operation"]) for row in live["metadata"]["managedFields"])
            said.append((live["data"], managers))
        seen.append(said)
        run([real_helm()], "uninstall", "web")
    assert seen[0] == seen[1]
    assert seen[1][3] == ({"a": "2"}, [("helm", "Apply")])
