"""What admission adds to pods and claims, and refuses, in a whole cluster."""

from __future__ import annotations

import asyncio

import pytest

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

PODS = GroupVersionResource("", "v1", "pods")
CLAIMS = GroupVersionResource("", "v1", "persistentvolumeclaims")
ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
RUNTIME_CLASSES = GroupVersionResource("node.k8s.io", "v1", "runtimeclasses")


def pod(name: str, **spec: object) -> Object:
    containers = [{"name": "c", "image": "i"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, "runtimeClassName": "vm", **spec}}


async def refused(client: Client, made: Object) -> str:
    with pytest.raises(StatusError) as error:
        await client.create(PODS, made, "default")
    return error.value.message


async def story() -> None:
    async with heeler.Cluster(simulated_nodes=0) as cluster:
        client = cluster.client
        async with asyncio.timeout(10):
            while not (await client.list(ACCOUNTS, "default")).items:
                await asyncio.sleep(0.02)
        assert await refused(client, pod("a")) == ('pods "a" is forbidden: pod rejected: RuntimeClass "vm" not found')
        toleration = {"key": "vm", "operator": "Exists", "effect": "NoSchedule"}
        scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [toleration]}
        overhead = {"podFixed": {"cpu": "250m"}}
        made: Object = {"metadata": {"name": "vm"}, "handler": "vm", "overhead": overhead, "scheduling": scheduling}
        await client.create(RUNTIME_CLASSES, made)
        spec = (await client.create(PODS, pod("b"), "default"))["spec"]
        assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"vm": "yes"})
        assert toleration in spec["tolerations"]
        assert "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes" in await refused(
            client, pod("c", nodeSelector={"vm": "no"})
        )
        wanted: Object = {
            "metadata": {"name": "d"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        claim = await client.create(CLAIMS, wanted, "default")
        assert claim["spec"]["storageClassName"] == "local-path"
        assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def test_runtime_classes_and_claims() -> None:
    asyncio.run(story())
