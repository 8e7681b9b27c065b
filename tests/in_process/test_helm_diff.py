"""`heeler helm diff` in a whole cluster: what an upgrade would change, drift, conflicts, secrets; nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.cli.helm import run
from heeler.testing.cluster import FreshCluster


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


class Helm:
    """Helm's command line against a cluster, in a folder with the chart `app`."""

    def __init__(self, cluster: FreshCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        chart = folder / "app"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.0.0\n")
        (chart / "values.yaml").write_text("colour: red\npassword: secret-one\nreplicas: 1\nextra: false\nhook: one\n")
        self.template("map", "data: {colour: '{{ .Values.colour }}', fixed: x}", "ConfigMap")
        self.template("secret", "stringData: {password: '{{ .Values.password }}', user: me}", "Secret")
        self.template("web", WEB, "Deployment", "apps/v1")
        self.template("extra", "data: {a: b}", "ConfigMap", around="{{ if .Values.extra }}%s{{ end }}")
        note = "annotations: {helm.sh/hook: post-upgrade}"
        self.template("job", "data: {a: '{{ .Values.hook }}'}", "ConfigMap", metadata=note)

    def template(
        self, name: str, rest: str, kind: str, version: str = "v1", around: str = "%s", metadata: str = ""
    ) -> None:
        named = f"metadata:\n  name: {name}\n" + (f"  {metadata}\n" if metadata else "")
        text = f"apiVersion: {version}\nkind: {kind}\n{named}{rest}\n"
        (self.folder / "app" / "templates" / f"{name}.yaml").write_text(around % text)

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        return run(list(argv), self.folder)

    def changes(self, *argv: str) -> dict[str, Any]:
        _, out, errors = self("diff", *argv, "-o", "json")
        assert out, errors
        found: dict[str, Any] = json.loads(out)
        return {f"{row['kind']}/{row['name']}": row for row in found["changes"]}


WEB = """spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1}]}
"""


@pytest.fixture
def helm(shared: FreshCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helm:
    shared.reset()
    for name in ("HELM_DRIVER", "HELM_NAMESPACE", "NO_COLOR", "HELM_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", os.fspath(shared.kubeconfig))
    return Helm(shared, tmp_path)


def test_all_is_new_where_there_is_no_release(helm: Helm) -> None:
    code, out, errors = helm("diff", "web", "app", "--exit-code")
    assert (code, errors) == (2, "")
    assert "+ ConfigMap default/map (v1) is created\n--- before/default/ConfigMap/map" in out
    assert "+  colour: red\n" in out and "secret-one" not in out and "+  password: '***'\n" in out
    assert "+ hook ConfigMap default/job (v1) is created" in out
    assert out.endswith("4 to create, 0 to change, 0 to delete, 0 unchanged\n")
    assert helm.cluster.list("configmaps", labels="app.kubernetes.io/managed-by=Helm") == []
    assert helm("list", "-q")[1] == ""


def test_an_upgrade_is_told_as_the_server_would_make_it(helm: Helm) -> None:
    assert helm("install", "web", "app", "--set", "extra=true")[0] == 0
    same = helm("diff", "web", "app", "--set", "extra=true", "--exit-code")
    assert same == (0, "0 to create, 0 to change, 0 to delete, 5 unchanged\n", "")
    given = ("--set", "colour=blue,password=secret-two,replicas=3,hook=two")
    code, out, errors = helm("diff", "web", "app", *given)
    assert (code, errors) == (0, "")
    assert "-  colour: red\n+  colour: blue\n" in out
    assert "-  replicas: 1\n+  replicas: 3\n" in out and "managedFields" not in out and "resourceVersion" not in out
    assert "-  password: '*** (before)'\n+  password: '*** (after)'\n" in out and "secret-" not in out
    assert "   user: '***'\n" in out
    assert "- ConfigMap default/extra (v1) is deleted\n" in out
    assert "~ hook ConfigMap default/job (v1) changes" in out
    assert (
        "\x1b" not in out
        and "\x1b[32m+  colour: blue\x1b[0m" in helm("diff", "web", "app", *given, "--color=always")[1]
    )
    import base64

    shown = helm("diff", "web", "app", *given, "--show-secrets")[1]
    assert f"+  password: {base64.b64encode(b'secret-two').decode()}\n" in shown
    assert helm.changes("web", "app", *given)["Deployment/web"]["after"]["spec"]["replicas"] == 3
    assert helm.cluster.get("deployments", "web")["spec"]["replicas"] == 1


def test_values_of_the_release_are_used_as_upgrade_uses_them(helm: Helm) -> None:
    assert helm("install", "web", "app", "--set", "colour=green")[0] == 0
    assert helm.changes("web", "app") == {}
    assert helm.changes("web", "app", "--reset-values")["ConfigMap/map"]["after"]["data"]["colour"] == "red"
    assert set(helm.changes("web", "app", "--reuse-values", "--set", "replicas=2")) == {"Deployment/web"}


@pytest.mark.parametrize("how", ["true", "false"])
def test_drift_is_what_differs_from_the_release(helm: Helm, how: str) -> None:
    assert helm("install", "web", "app", f"--server-side={how}")[0] == 0
    assert helm("diff", "web", "--exit-code")[0] == 0
    helm.cluster.patch("configmaps", "map", {"data": {"colour": "pink", "more": "y"}})
    helm.cluster.delete("secrets", "secret")
    found = helm.changes("web")
    assert {name: row["action"] for name, row in found.items()} == {
        "ConfigMap/map": "change",
        "Secret/secret": "create",
    }
    assert "-  colour: pink\n+  colour: red" in found["ConfigMap/map"]["diff"]
    assert found["ConfigMap/map"]["after"]["data"]["more"] == "y"  # nobody's business but its owner's


def test_conflicts_name_the_other_manager(helm: Helm) -> None:
    assert helm("install", "web", "app")[0] == 0
    scaled = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 5},
    }
    client = helm.cluster.client_in_thread()
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    query = {"fieldManager": "scaler", "force": "true"}
    headers = {"content-type": "application/apply-patch+yaml"}
    status, _ = helm.cluster._run(
        client.request("PATCH", path, query=query, body=json.dumps(scaled).encode(), headers=headers)
    )
    assert status == 200
    code, out, errors = helm("diff", "web", "app")
    assert code == 1 and 'conflict: .spec.replicas was set by "scaler"\n' in out
    assert "-  replicas: 5\n+  replicas: 1\n" in out
    assert "an upgrade would fail: 1 object: 1 with fields of other managers" in errors
    assert helm("upgrade", "web", "app")[0] == 1
    row = helm.changes("web", "app")["Deployment/web"]
    assert row["conflicts"] == [{"manager": "scaler", "field": ".spec.replicas"}]
    assert helm("diff", "web", "app", "--force-conflicts", "--exit-code")[0] == 2


def test_what_the_server_refuses_is_told(helm: Helm) -> None:
    assert helm("install", "web", "app")[0] == 0
    helm.template("web", WEB.replace("matchLabels: {app: web}", "matchLabels: {app: other}"), "Deployment", "apps/v1")
    helm.cluster.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n")
    code, out, errors = helm("diff", "web", "app", "--set", "extra=true")
    assert code == 1 and "Error: an upgrade would fail: 2 objects: 2 refused\n" in errors
    assert '~ Deployment default/web (apps/v1) changes\n  refused: Deployment.apps "web" is invalid: ' in out
    assert "refused: exists and cannot be imported into the current release: invalid ownership metadata" in out
    assert "2 refused" not in helm("diff", "web", "app", "--set", "extra=true", "--take-ownership")[2]
    (helm.folder / "app" / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n"
    )
    assert "refused: metadata.name must be set" in helm("diff", "web", "app")[1]


def test_kinds_that_come_with_the_chart_and_namespaces_that_do_not_exist(helm: Helm) -> None:
    from tests.in_process.test_openapi import WIDGETS

    crds = helm.folder / "app" / "crds"
    crds.mkdir()
    (crds / "widgets.yaml").write_text(json.dumps(WIDGETS))
    group, kind = WIDGETS["spec"]["group"], WIDGETS["spec"]["names"]["kind"]
    helm.template("thing", "spec: {}", kind, f"{group}/{WIDGETS['spec']['versions'][0]['name']}")
    code, out, errors = helm("diff", "web", "app", "-n", "elsewhere")
    assert (code, errors) == (0, "")
    assert "note: its kind isn't served yet: shown as the manifest has it\n" in out
    assert 'note: not asked of the server: namespaces "elsewhere" not found\n' in out
    code, _, errors = helm("diff", "web", "app", "--skip-crds")
    assert code == 1 and f'no matches for kind "{kind}"' in errors


def test_kept_objects_and_revisions(helm: Helm) -> None:
    helm.template("extra", "data: {a: b}", "ConfigMap", around="{{ if .Values.extra }}%s{{ end }}",
                  metadata="annotations: {helm.sh/resource-policy: keep}")  # fmt: skip
    assert helm("install", "web", "app", "--set", "extra=true")[0] == 0
    assert "= ConfigMap default/extra (v1) is kept\n  note: stays" in helm("diff", "web", "app", "--set", "colour=x")[1]
    assert helm("upgrade", "web", "app", "--set", "colour=blue")[0] == 0
    code, out, _ = helm("diff", "web", "--against-revision", "1")
    assert code == 0 and "-  colour: red\n+  colour: blue\n" in out
    assert "1 to change, 1 to delete" in out
    found = helm.changes("web", "app", "--reset-values", "--against-revision", "2")
    assert "-  colour: blue\n+  colour: red" in found["ConfigMap/map"]["diff"]
    assert "release: not found" in helm("diff", "web", "--against-revision", "7")[2]


def test_two_manifests_need_no_cluster(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    one = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {one: YQ==, two: Yg==}\n"
    (helm.folder / "one.yaml").write_text(one)
    (helm.folder / "two.yaml").write_text(one.replace("YQ==", "Yw=="))
    code, out, errors = helm("diff", "--manifests", "one.yaml", "two.yaml", "--exit-code")
    assert (code, errors) == (2, "")
    assert "-  one: '*** (before)'\n+  one: '*** (after)'\n   two: '***'\n" in out and "Y" not in out
    assert helm("diff", "--manifests", "one.yaml", "one.yaml", "--exit-code")[0] == 0
    (helm.folder / "two.yaml").write_text("a: [")
    assert helm("diff", "--manifests", "one.yaml", "two.yaml")[2].startswith("Error: a manifest can't be read: ")
    assert "requires 2 arguments" in helm("diff", "--manifests", "one.yaml")[2]


def test_mistakes(helm: Helm) -> None:
    for argv, said in (
        (["diff"], '"helm diff" requires at least 1 argument'),
        (["diff", "web"], "release: not found"),
        (["diff", "web", "nowhere/"], "nowhere"),
        (["diff", "web", "app", "-o", "table"], "must be diff, json or yaml"),
        (["diff", "web", "app", "--color", "blue"], 'invalid color mode "blue"'),
        (["diff", "We b", "app"], "release name is invalid"),
    ):
        code, _, errors = helm(*argv)
        assert code == 1 and errors.startswith("Error: ") and said in errors
