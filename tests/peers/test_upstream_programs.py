"""Upstream's own controller manager and scheduler, unmodified, on Heeler's API server (`make peers` builds them)."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

import heeler
from heeler.client.client import Client
from heeler.objects.value import GroupVersionResource, Object
from tests.conftest import ROOT

PEERS = ROOT / "build" / "peers"
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
PODS = GroupVersionResource("", "v1", "pods")
LEASES = GroupVersionResource("coordination.k8s.io", "v1", "leases")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not all((PEERS / name).exists() for name in ("kube-controller-manager", "kube-scheduler")),
        reason="upstream's programs aren't built: make peers",
    ),
]


def start(name: str, kubeconfig: Path, log: Path, *flags: str) -> subprocess.Popen[bytes]:
    access = (f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}")
    words = [str(PEERS / name), *access, f"--authorization-kubeconfig={kubeconfig}", "--bind-address=127.0.0.1", *flags]
    with log.open("wb") as target:
        return subprocess.Popen([*words, "--secure-port=0"], stdout=target, stderr=target)


async def until(client: Client, resource: GroupVersionResource, name: str, namespace: str, text: str) -> Object:
    """Until a path of the object's status, as `path=value`, is so."""
    path, _, wanted = text.partition("=")
    async with asyncio.timeout(90):
        while True:
            found = await client.get(resource, name, namespace)
            if str((found.get("status") or {}).get(path)) == wanted:
                return found
            await asyncio.sleep(0.1)


async def story(folder: Path) -> None:
    without = ("controller-manager", "scheduler")
    async with heeler.Cluster(simulated_nodes=2, without=without) as cluster:
        client = cluster.client
        keys = cluster.kubeconfig.parent / "pki"
        programs = [
            start(
                "kube-controller-manager",
                cluster.kubeconfig,
                folder / "manager.log",
                f"--service-account-private-key-file={keys / 'sa.key'}",
                f"--root-ca-file={keys / 'ca.crt'}",
                "--use-service-account-credentials",
            ),
            start("kube-scheduler", cluster.kubeconfig, folder / "scheduler.log"),
        ]
        try:
            template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
            spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
            await client.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec}, "default")
            await until(client, DEPLOYMENTS, "web", "default", "readyReplicas=3")
            pods = (await client.list(PODS, "default")).items
            assert len(pods) == 3 and len({pod["spec"]["nodeName"] for pod in pods}) == 2
            # a new revision, a scale, and the garbage of a deletion
            await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default")
            await until(client, DEPLOYMENTS, "web", "default", "readyReplicas=5")
            image = [{"name": "c", "image": "i:2"}]
            await client.patch(DEPLOYMENTS, "web", {"spec": {"template": {"spec": {"containers": image}}}}, "default")
            await until(client, DEPLOYMENTS, "web", "default", "observedGeneration=3")
            await until(client, DEPLOYMENTS, "web", "default", "updatedReplicas=5")
            holders = {lease["metadata"]["name"] for lease in (await client.list(LEASES, "kube-system")).items}
            assert {"kube-controller-manager", "kube-scheduler"} <= holders
            await client.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")
            await client.create(NAMESPACES, {"metadata": {"name": "gone"}})
            await client.delete(NAMESPACES, "gone")
            async with asyncio.timeout(90):
                while (await client.list(PODS, "default")).items or "gone" in [
                    n["metadata"]["name"] for n in (await client.list(NAMESPACES)).items
                ]:
                    await asyncio.sleep(0.1)
            assert all(program.poll() is None for program in programs)
        finally:
            for program in programs:
                program.terminate()
                program.wait(30)


def test_a_deployment_comes_up_and_goes(tmp_path: Path) -> None:
    try:
        asyncio.run(story(tmp_path))
    except BaseException:
        for log in sorted(tmp_path.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-4000:]}")
        raise
