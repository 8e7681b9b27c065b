"""Stories of claims and volumes in simulated time."""

from __future__ import annotations

from typing import Any

from heeler.controllers.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STATEFUL_SETS,
    STORAGE_CLASSES,
)
from heeler.testing.simulation import Simulation, simulate_cluster
from heeler.workloads import local_path, pods, volumes
from tests.simulation.test_workloads import workload


def claim(name: str, **spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}


def pod_with(name: str, claim: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "app", "image": "app:1"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def test_a_claim_waits_for_its_pod_gets_a_volume_on_its_node_and_both_go():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"), "default")
        await cluster.clock.sleep(5)
        found = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        assert found["spec"]["storageClassName"] == "local-path"
        assert found["status"]["phase"] == "Pending"
        await client.create(PODS, pod_with("first", "data"), "default")

        async def runs(name: str) -> bool:
            return pods.is_ready(await client.get(PODS, name, "default"))

        await cluster.until(lambda: runs("first"))
        first = await client.get(PODS, "first", "default")
        found = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        assert volumes.notes_of(found)[volumes.SELECTED_NODE] == pods.node_name(first)
        volume = await client.get(PERSISTENT_VOLUMES, found["spec"]["volumeName"])
        assert local_path.pinned_to(volume, pods.node_name(first))
        await client.create(PODS, pod_with("second", "data"), "default")
        await cluster.until(lambda: runs("second"))
        assert pods.node_name(await client.get(PODS, "second", "default")) == pods.node_name(first)
        await client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await cluster.clock.sleep(5)
        assert "deletionTimestamp" in (await client.get(PERSISTENT_VOLUME_CLAIMS, "data", "default"))["metadata"]
        for name in ("first", "second"):
            await client.delete(PODS, name, "default")

        async def nothing_left() -> bool:
            left = (await client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
            return not left and not (await client.list(PERSISTENT_VOLUMES)).items

        await cluster.until(nothing_left)

    simulate_cluster(story, seed=1, shuffle=True)


def test_a_volume_that_a_node_has_to_clear_waits_for_it_but_not_for_one_that_is_gone():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"), "default")
        await cluster.clock.sleep(5)
        await client.create(PODS, pod_with("app", "data"), "default")

        async def bound() -> bool:
            found = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", "default")
            return bool(found["status"]["phase"] == "Bound")

        await cluster.until(bound)
        node = pods.node_name(await client.get(PODS, "app", "default"))
        attended = {"metadata": {"annotations": {local_path.FOLDER_ANNOTATION: "/var/lib/volumes"}}}
        await client.patch(NODES, node, attended)
        await client.delete(PODS, "app", "default")
        await client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await cluster.clock.sleep(60)
        left = (await client.list(PERSISTENT_VOLUMES)).items
        assert [v["metadata"]["finalizers"] for v in left] == [[local_path.FINALIZER]]
        cluster.nodes.kill(node)
        await client.delete(NODES, node)

        async def gone() -> bool:
            return not (await client.list(PERSISTENT_VOLUMES)).items

        await cluster.until(gone)

    simulate_cluster(story)


def test_two_pods_never_get_the_same_volume_and_the_third_waits():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        late = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "disks"},
            "provisioner": volumes.NO_PROVISIONER,
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        await client.create(STORAGE_CLASSES, late)
        for number in range(2):
            spec = {
                "capacity": {"storage": f"{number + 1}Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "disks",
                "hostPath": {"path": "/disk"},
            }
            volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"v{number}"}, "spec": spec}
            await client.create(PERSISTENT_VOLUMES, volume)
        wanted = workload("StatefulSet", "db", replicas=3, serviceName="db", podManagementPolicy="Parallel")
        wanted["spec"]["volumeClaimTemplates"] = [claim("data", storageClassName="disks")]
        await client.create(STATEFUL_SETS, wanted, "default")

        async def two_run() -> bool:
            found = (await client.list(PODS, "default")).items
            return sum(pods.is_ready(pod) for pod in found) == 2

        await cluster.until(two_run)
        await cluster.clock.sleep(30)
        bound = [
            c["spec"]["volumeName"]
            for c in (await client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
            if c["status"]["phase"] == "Bound"
        ]
        assert sorted(bound) == ["v0", "v1"]
        waiting = next(p for p in (await client.list(PODS, "default")).items if not pods.node_name(p))
        message = pods.condition(waiting, "PodScheduled")["message"]
        assert message.startswith(
            "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind."
        )

    for seed in range(2):
        simulate_cluster(story, seed=seed, shuffle=True)
