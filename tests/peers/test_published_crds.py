"""The custom resource definitions of well-known projects, as they publish them, by `kubectl apply`.

They come with the projects' Go modules; where these can't be had the test is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from heeler.testing.cluster import FreshCluster
from heeler.testing.manifests import objects_of

pytestmark = [pytest.mark.timeout(200)]


class Project(NamedTuple):
    """`sample`: an object of one of its kinds; `wrong`: a change that its schema refuses, and the words of the refusal."""

    module: str
    path: str
    count: int
    sample: dict[str, Any]
    wrong: dict[str, Any]
    words: str


PROJECTS = (
    Project(
        "github.com/cert-manager/cert-manager@v1.16.2",
        "deploy/crds",
        6,
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "spec": {"secretName": "tls", "dnsNames": ["a.example.com"], "issuerRef": {"name": "ca"}},
        },
        {"secretName": None},
        "spec.secretName: Required value",
    ),
    Project(
        "sigs.k8s.io/gateway-api@v1.2.1",
        "config/crd/standard",
        5,
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "spec": {
                "gatewayClassName": "heeler",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        },
        {
            "listeners": [
                {"name": "a", "port": 80, "protocol": "HTTP"},
                {"name": "b", "port": 80, "protocol": "HTTP"},
            ]
        },
        "Combination of port, protocol and hostname must be unique for each listener",
    ),
    Project(
        "github.com/prometheus-operator/prometheus-operator@v0.78.2",
        "example/prometheus-operator-crd",
        10,
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "endpoints": [{"port": "web", "interval": "30s"}]},
        },
        {"endpoints": [{"port": "web", "interval": "soon"}]},
        "spec.endpoints[0].interval in body should match",
    ),
    Project(
        "istio.io/api@v1.24.2",
        "kubernetes/customresourcedefinitions.gen.yaml",
        14,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]},
        },
        {"http": [{"route": [{"destination": {}}]}]},
        "spec.http[0].route[0].destination.host: Required value",
    ),
    Project(
        "github.com/vmware-tanzu/velero@v1.15.0",
        "config/crd/v1/bases",
        11,
        {"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {"includedNamespaces": ["default"], "ttl": "24h"}},
        {"includedNamespaces": "default"},
        "spec.includedNamespaces: Invalid value",
    ),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


def _module(name: str) -> Path:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip("Go isn't here to fetch the module")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [go, "mod", "download", "-json", name],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} can't be had")
    if done.returncode:
        pytest.skip(f"{name} can't be had: {done.stdout[-200:]}")
    return Path(json.loads(done.stdout)["Dir"])


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.module.partition("@")[0].rpartition("/")[2])
def test_definitions_are_established_and_check_their_objects(
    project: Project, cluster: FreshCluster, kubectl: str, tmp_path: Path
) -> None:
    source = _module(project.module) / project.path
    files = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
    # cert-manager's are a chart's templates: labels with their values' names
    lines = [line for file in files for line in ["---", *file.read_text().splitlines()] if "{{" not in line]
    manifest = tmp_path / "crds.yaml"
    manifest.write_text("\n".join(lines) + "\n")
    cluster._run(cluster._entered.settle())
    environment = {**cluster.environment, "HOME": str(tmp_path)}

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [kubectl, *words], env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    applied = run("apply", "--server-side", "-f", str(manifest))
    assert applied.returncode == 0, applied.stderr
    definitions = [o["metadata"]["name"] for o in objects_of(manifest) if o["kind"] == "CustomResourceDefinition"]
    assert len(definitions) == project.count
    waited = run("wait", "--for=condition=Established", "--timeout=20s", *(f"crd/{name}" for name in definitions))
    assert waited.returncode == 0, waited.stderr
    for name in definitions:
        conditions = {c["type"]: c["status"] for c in cluster.get("crd", name)["status"]["conditions"]}
        approved = {"KubernetesAPIApprovalPolicyConformant": "True"} if name.endswith(".k8s.io") else {}
        assert conditions == {"Established": "True", "NamesAccepted": "True", **approved}, name

    sample = {**project.sample, "metadata": {"name": "sample"}}
    created = run("apply", "-f", "-", stdin=json.dumps(sample))
    assert created.returncode == 0, created.stderr
    read = json.loads(run("get", "-f", "-", "-o", "json", stdin=json.dumps(sample)).stdout)
    read = read["items"][0] if "items" in read else read
    for field, value in project.sample["spec"].items():
        assert isinstance(value, (list, dict)) or read["spec"][field] == value  # lists and objects gain defaults
    wrong = {**sample, "metadata": {"name": "wrong"}, "spec": {**sample["spec"], **project.wrong}}
    refused = run("create", "-f", "-", stdin=json.dumps(wrong))
    assert refused.returncode == 1
    assert project.words in refused.stderr, refused.stderr
    resource = definitions[0].split(".")[0]
    explained = run("explain", f"{resource}.spec", f"--api-version={_version(cluster, definitions[0])}")
    assert "FIELDS:" in explained.stdout, explained.stderr


def _version(cluster: FreshCluster, name: str) -> str:
    spec = cluster.get("crd", name)["spec"]
    return f"{spec['group']}/{next(v['name'] for v in spec['versions'] if v['served'])}"
