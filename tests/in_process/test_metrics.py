"""metrics.k8s.io without a metrics-server: figures of simulated nodes and pods, found by selectors, shown as tables."""

from __future__ import annotations

import asyncio
import json

import heeler
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from heeler.workloads.usage import ANNOTATION

PODS = GroupVersionResource("", "v1", "pods")
METRICS = GroupVersionResource("metrics.k8s.io", "v1beta1", "pods")
NODE_METRICS = GroupVersionResource("metrics.k8s.io", "v1beta1", "nodes")
SERVICES = GroupVersionResource("apiregistration.k8s.io", "v1", "apiservices")


def test_pods_and_nodes_have_figures() -> None:
    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=2) as cluster:
            client = cluster.client
            for name, cpu in (("a", "200m"), ("b", "300m")):
                spec = {"containers": [{"name": "c", "image": "x"}]}
                metadata = {"name": name, "labels": {"app": name}, "annotations": {ANNOTATION: f"cpu={cpu}"}}
                await client.create(
                    PODS, {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}, "default"
                )
            for _ in range(500):
                found = (await client.list(METRICS, "default")).items
                if len(found) == 2:
                    break
                await asyncio.sleep(0.01)
            assert [m["containers"][0]["usage"]["cpu"] for m in found] == ["200000000n", "300000000n"]
            [only] = (await client.list(METRICS, label_selector="app=b")).items
            assert only["metadata"]["name"] == "b"
            nodes = (await client.list(NODE_METRICS)).items
            assert sum(int(n["usage"]["cpu"].removesuffix("n")) for n in nodes) == 500_000_000
            assert (await client.get(METRICS, "a", "default"))["kind"] == "PodMetrics"
            try:
                await client.get(METRICS, "none", "default")
                raise AssertionError("there is no such pod")
            except StatusError as error:
                assert (error.code, error.message) == (404, 'pods "default/none" not found')
            assert (await client.get(SERVICES, "v1beta1.metrics.k8s.io"))["status"]["conditions"][0]["status"] == "True"
            for path in ("/apis/metrics.k8s.io/v1beta1", "/openapi/v3/apis/metrics.k8s.io/v1beta1"):
                assert (await client.request("GET", path))[0] == 200
            groups = json.loads((await client.request("GET", "/apis"))[1])["groups"]
            assert "metrics.k8s.io" in [g["name"] for g in groups]

    asyncio.run(main())
