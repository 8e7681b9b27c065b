"""kubectl's less common verbs, against a cluster of simulated nodes: what they say and what they leave."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import LocalCluster
from tests.conftest import find_kubectl

pytestmark = [pytest.mark.kubectl, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    program = find_kubectl()
    if program is None:
        pytest.skip("kubectl is not here")
    found = LocalCluster(tmp_path_factory.mktemp("verbs"), "verbs", program)
    found.up("--simulated-nodes", "1")
    yield found
    found.delete()


def test_debug_adds_a_container_or_copies_a_pod(cluster: LocalCluster) -> None:
    cluster.kubectl("run", "web", "--image=i")
    cluster.kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=20s")
    cluster.kubectl(
        "debug", "web", "--image=d", "--target=web", "--attach=false", "--container=dbg", "--profile=general"
    )
    added = json.loads(cluster.kubectl("get", "pod", "web", "-o", "jsonpath={.spec.ephemeralContainers[0]}"))
    assert (added["name"], added["image"], added["targetContainerName"]) == ("dbg", "d", "web")
    cluster.kubectl("debug", "web", "--image=d", "--copy-to=copy", "--attach=false", "--profile=general")
    names = cluster.kubectl("get", "pod", "copy", "-o", "jsonpath={.spec.containers[*].image}")
    assert names.split() == ["i", "d"]
    cluster.kubectl("delete", "pod", "web", "copy")


def test_a_certificate_is_asked_for_approved_and_denied(cluster: LocalCluster, tmp_path: Path) -> None:
    words = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key")]
    done = subprocess.run([*words, "-subj", "/CN=jane/O=devs"], check=True, capture_output=True)
    for name in ("jane", "joe"):
        request = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(done.stdout).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["client auth"],
                "expirationSeconds": 3600,
            },
        }
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(request))
    said = cluster.kubectl("certificate", "approve", "jane")
    assert said.strip() == "certificatesigningrequest.certificates.k8s.io/jane approved"
    assert cluster.kubectl("certificate", "deny", "joe").strip().endswith("/joe denied")
    cluster.kubectl("wait", "csr/jane", "--for=jsonpath={.status.certificate}", "--timeout=20s")
    shown = {line.split()[0]: line.split()[-1] for line in cluster.kubectl("get", "csr").splitlines()[1:]}
    assert (shown["jane"], shown["joe"]) == ("Approved,Issued", "Denied")
    certificate = base64.b64decode(cluster.kubectl("get", "csr", "jane", "-o", "jsonpath={.status.certificate}"))
    (tmp_path / "crt").write_bytes(certificate)
    who = cluster.kubectl(
        *("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}"),
        f"--client-certificate={tmp_path / 'crt'}",
        f"--client-key={tmp_path / 'key'}",
    )
    assert who == 'jane ["devs","system:authenticated"]'


def test_settings_are_changed_in_place(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "deployment", "dep", "--image=i", "--replicas=1")
    for words, said in (
        (("image", "deployment/dep", "i=i:2"), "image updated"),
        (("env", "deployment/dep", "A=b"), "env updated"),
        (("resources", "deployment", "dep", "--limits=cpu=200m"), "resource requirements updated"),
        (("serviceaccount", "deployment", "dep", "default"), "serviceaccount updated"),
    ):
        assert said in cluster.kubectl("set", *words)
    assert cluster.kubectl("rollout", "history", "deployment", "dep").split()[-2:] == ["5", "<none>"]
    shown = json.loads(
        cluster.kubectl("get", "deployment", "dep", "-o", "jsonpath={.spec.template.spec.containers[0]}")
    )
    assert (shown["image"], shown["env"], shown["resources"]["limits"]) == (
        "i:2",
        [{"name": "A", "value": "b"}],
        {"cpu": "200m"},
    )
    assert "scale.autoscaling/dep patched" in cluster.kubectl(
        *("patch", "deployment", "dep", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    )
    lines = cluster.kubectl("get", "deployment", "dep", "--subresource=scale").splitlines()
    assert (lines[0].split(), lines[1].split()[:2]) == (["NAME", "DESIRED", "AVAILABLE", "AGE"], ["dep", "2"])


def test_rights_are_reconciled(cluster: LocalCluster) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "default"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    assert "reconciliation required create" in cluster.kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(role))
    assert "reconciled" in cluster.kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(role))


def test_generators_make_what_they_say(cluster: LocalCluster) -> None:
    for words, said in (
        (("quota", "q", "--hard=pods=100"), "resourcequota/q"),
        (("ingress", "i", "--rule=a.example/x*=web:80"), "ingress.networking.k8s.io/i"),
        (("cronjob", "c", "--image=i", "--schedule=0 0 1 1 *", "--", "true"), "cronjob.batch/c"),
        (("job", "j", "--from=cronjob/c"), "job.batch/j"),
        (("clusterrole", "cr", "--verb=get", "--resource=pods"), "clusterrole.rbac.authorization.k8s.io/cr"),
        (
            ("secret", "docker-registry", "d", "--docker-server=r", "--docker-username=u", "--docker-password=p"),
            "secret/d",
        ),
        (("priorityclass", "p", "--value=10"), "priorityclass.scheduling.k8s.io/p"),
        (("poddisruptionbudget", "b", "--selector=a=b", "--min-available=1"), "poddisruptionbudget.policy/b"),
    ):
        assert cluster.kubectl("create", *words).strip() == f"{said} created"


def test_the_cluster_tells_of_itself(cluster: LocalCluster) -> None:
    assert "Kubernetes control plane" in cluster.kubectl("cluster-info")
    assert "apps/v1" in cluster.kubectl("api-versions").split()
    assert "deployments.apps" in cluster.kubectl("api-resources", "--categories=all", "-o", "name").split()
    assert cluster.kubectl("get", "--raw", "/readyz?verbose").strip().endswith("readyz check passed")
    assert "v1.37" in cluster.kubectl("version")
    told = cluster.kubectl("events", "--types=Normal")
    assert told.splitlines()[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
