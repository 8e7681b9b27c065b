"""`heeler doctor`, `export`, `completion`, and what supervises a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import HEELER

pytestmark = [pytest.mark.timeout(120)]


class Cluster:
    def __init__(self, folder: Path, kubectl: str) -> None:
        self.folder, self.data, self._kubectl = folder, folder / "data", kubectl
        (folder / "home").mkdir()
        self.environment = {**os.environ, "HOME": str(folder / "home"), "KUBECONFIG": str(folder / "kubeconfig")}
        self.where = ["--name", "helped", "--data-dir", str(self.data)]

    def heeler(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [*HEELER, *words, *self.where],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            check=False,
        )
        return done.returncode, done.stdout

    def kubectl(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [self._kubectl, *words], env=self.environment, input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout

    def pid(self, component: str = "control-plane") -> int:
        return int((self.data / "run" / f"{component}.pid").read_text())

    def comes_back(self) -> None:
        """Kill the control plane, and wait for what was kept."""
        before = self.pid()
        os.kill(before, signal.SIGKILL)
        for _ in range(200):
            with contextlib.suppress(subprocess.CalledProcessError):
                if "kept" in self.kubectl("get", "configmaps"):
                    break
            time.sleep(0.1)
        assert self.pid() != before
        assert "kept" in self.kubectl("get", "configmaps")


@pytest.fixture
def cluster(tmp_path: Path, kubectl: str) -> Iterator[Cluster]:
    found = Cluster(tmp_path, kubectl)
    yield found
    found.heeler("delete")


def test_doctor_says_what_is_wrong_and_what_to_do(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    cluster.kubectl("create", "deployment", "big", "--image=x", "--replicas=1")
    cluster.kubectl("set", "resources", "deployment", "big", "--requests=cpu=100")
    for _ in range(100):
        _, said = cluster.heeler("doctor")
        if "no node:" in said:
            break
        time.sleep(0.1)
    assert "ok    control plane: runs (pid " in said
    assert "no node: 0/1 nodes are available: 1 Insufficient cpu." in said
    assert "→ kubectl -n default describe pod big-" in said
    (cluster.data / "pki" / "admin.key").chmod(0o644)
    code, said = cluster.heeler("doctor", "-o", "json")
    findings = {one["check"]: one for one in json.loads(said)["findings"]}
    assert code == 1
    assert findings["keys"]["status"] == "fail"
    assert findings["keys"]["fix"].startswith("chmod 600 ")
    assert cluster.heeler("down")[0] == 0
    code, said = cluster.heeler("doctor")
    assert code == 1
    assert "FAIL  control plane: it doesn't run" in said


def test_export_has_state_and_logs_and_no_secret(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    cluster.kubectl("create", "secret", "generic", "deep", "--from-literal=password=hunter2-in-secret")
    cluster.kubectl("create", "configmap", "shown", "--from-literal=url=postgres://app:hunter2-in-url@db/")
    code, said = cluster.heeler("export", "report.tar.gz")
    assert code == 0, said
    with tarfile.open(cluster.folder / "report.tar.gz") as archive:
        files = {m.name.partition("/")[2]: archive.extractfile(m).read().decode() for m in archive}  # type: ignore[union-attr]
    everything = "\n".join(files.values())
    assert "hunter2" not in everything
    assert (cluster.data / "pki" / "admin.key").read_text().splitlines()[1] not in everything
    assert "PRIVATE KEY" not in everything
    assert "password: <removed>" in files["objects/core/secrets.yaml"]
    assert "postgres://app:<removed>@db/" in files["objects/core/configmaps.yaml"]
    assert "RegisteredNode" in files["events.txt"]
    summary = json.loads(files["summary.json"])
    assert summary["status"]["running"] is True
    assert {one["check"] for one in summary["doctor"]} >= {"control plane", "disk"}
    code, said = cluster.heeler("export", "report.tar.gz")
    assert (code, "is there already" in said) == (1, True)
    cluster.heeler("down")
    code, said = cluster.heeler("export", "stopped.tar.gz")
    assert code == 0
    assert "the API server doesn't answer" in said


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef heeler"), ("fish", "complete")]
)
def test_completion_scripts(shell: str, mark: str, tmp_path: Path) -> None:
    done = subprocess.run([*HEELER, "completion", shell], capture_output=True, text=True, check=True)
    assert mark in done.stdout
    asked = {**os.environ, "_HEELER_COMPLETE": "bash_complete", "COMP_WORDS": "heeler do", "COMP_CWORD": "1"}
    done = subprocess.run(HEELER, env=asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,down", "plain,doctor"]


def test_in_the_foreground_what_ends_is_started_again(cluster: Cluster) -> None:
    process = subprocess.Popen(
        [*HEELER, "up", "--foreground", "--simulated-nodes", "1", *cluster.where],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    while "Ctrl-C stops" not in process.stdout.readline():
        assert process.poll() is None
    cluster.kubectl("create", "configmap", "kept")
    os.kill(cluster.pid("supervisor"), signal.SIGKILL)
    cluster.comes_back()
    assert cluster.heeler("down")[0] == 0, "somebody stops it: that counts"
    assert process.wait(30) == 0
    process.stdout.close()


def test_what_ends_is_started_again_and_what_is_stopped_is_not(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    cluster.kubectl("create", "configmap", "kept")
    supervisor, written = cluster.pid("supervisor"), (cluster.folder / "kubeconfig").stat().st_mtime_ns
    cluster.comes_back()
    assert (cluster.folder / "kubeconfig").stat().st_mtime_ns == written, "it may be unreadable, or changed on purpose"
    assert "control-plane ended: started again in 0.2 s" in cluster.heeler("logs", "supervisor")[1]
    assert cluster.heeler("up")[0] == 0
    assert cluster.pid("supervisor") == supervisor
    os.kill(supervisor, signal.SIGSTOP)  # it hears of the end while the cluster is being stopped
    os.kill(cluster.pid(), signal.SIGKILL)
    (cluster.data / "run" / "stopped").touch()
    os.kill(supervisor, signal.SIGCONT)
    while Path(f"/proc/{supervisor}/cmdline").exists() and Path(f"/proc/{supervisor}/cmdline").read_bytes():
        time.sleep(0.05)
    assert "supervisor: nothing that ends" not in cluster.heeler("doctor")[1]
    assert "stopped" in cluster.heeler("status")[1]
    assert cluster.heeler("up")[0] == 0
    os.kill(cluster.pid("supervisor"), signal.SIGKILL)
    assert "supervisor: nothing that ends is started again" in cluster.heeler("doctor")[1]
    assert cluster.heeler("down")[0] == 0
    assert not list((cluster.data / "run").glob("*.pid"))


def test_up_replaces_what_another_version_runs(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    before = cluster.pid()
    assert cluster.heeler("up")[0] == 0
    assert cluster.pid() == before
    (cluster.data / "run" / "control-plane.version").write_text("0.0.1\n")
    assert cluster.heeler("up")[0] == 0
    assert cluster.pid() != before


def test_a_folder_of_an_unknown_older_layout_is_left_alone(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    cluster.heeler("down")
    file = cluster.data / "cluster.json"
    file.write_text(file.read_text().replace('"layout": 1', '"layout": 0'))
    code, said = cluster.heeler("up")
    assert code == 1
    assert "has layout 0, and this Heeler knows no way from there to 1" in said


def test_simulated_nodes_that_are_no_longer_wanted_go_with_their_pods(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "3")[0] == 0
    cluster.kubectl("create", "deployment", "web", "--image=x", "--replicas=6")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    code, said = cluster.heeler("up", "--simulated-nodes", "1")
    assert code == 0
    assert "nodes ready" in said
    assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/simulated-0"]
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    found = json.loads(cluster.kubectl("get", "pods", "-o", "json"))["items"]
    assert {pod["spec"]["nodeName"] for pod in found} == {"simulated-0"}


def test_a_cluster_that_is_not_there_is_named_with_those_that_are(cluster: Cluster) -> None:
    for words in (["logs"], ["status"], ["export"], ["kubeconfig"], ["image", "list"], ["doctor"], ["expose"]):
        code, said = cluster.heeler(*words)
        assert code == 1, words
        assert 'there is no cluster "helped"' in said, words
        assert "heeler up makes one" in said, words


def test_an_exit_annotation_that_cannot_be_read_is_seen(cluster: Cluster) -> None:
    assert cluster.heeler("up", "--simulated-nodes", "1")[0] == 0
    cluster.kubectl("run", "wrong", "--image=x", "--annotations=heeler.dev/exit=bogus")
    for _ in range(100):
        if "CreateContainerConfigError" in cluster.kubectl("get", "pods"):
            break
        time.sleep(0.1)
    for _ in range(50):
        if "write CODE@SECONDS" in cluster.kubectl("describe", "pod", "wrong"):
            return
        time.sleep(0.1)
    raise AssertionError(cluster.kubectl("describe", "pod", "wrong"))
