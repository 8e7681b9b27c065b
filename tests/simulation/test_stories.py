"""Stories of a whole control plane in simulated time; each failure can be run again by its seed."""

from __future__ import annotations

import copy

import pytest

from heeler.client.faulty import Faults
from heeler.controllers.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, NODES, PODS, REPLICA_SETS
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from heeler.testing.simulation import CALM, Simulation, deployment, simulate_cluster
from heeler.workloads import pods

EVENTS = GroupVersionResource("", "v1", "events")
STORM = Faults(refused=0.05, lost=0.05, busy=0.05, expired=0.05, broken=0.05, delay=0.2)


async def rolled_out(cluster: Simulation, name: str, replicas: int) -> bool:
    found = await cluster.client.get(DEPLOYMENTS, name, "default")
    status = found.get("status") or {}
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
        and status.get("replicas", 0) == replicas
    )


async def images(cluster: Simulation, *, terminating: bool = False) -> list[str]:
    found = (await cluster.client.list(PODS, "default")).items
    return sorted(p["spec"]["containers"][0]["image"] for p in found if terminating or pods.is_active(p))


async def gone(cluster: Simulation, resource: GroupVersionResource, name: str, namespace: str | None = None) -> bool:
    try:
        await cluster.client.get(resource, name, namespace)
    except StatusError as error:
        return error.code == 404
    return False


def strategic(image: str) -> dict:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}


async def set_image(cluster: Simulation, name: str, image: str) -> None:
    await cluster.client.patch(
        DEPLOYMENTS, name, strategic(image), "default", type="application/strategic-merge-patch+json"
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_rollout_never_has_too_few_or_too_many_pods_and_can_be_undone(seed):
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 8), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 8))
        await set_image(cluster, "web", "app:2")

        async def done() -> bool:
            found = [p for p in (await cluster.client.list(PODS, "default")).items if pods.is_active(p)]
            assert len(found) <= 10  # 25 % over
            assert sum(pods.is_ready(pod) for pod in found) >= 6  # 25 % under
            return await rolled_out(cluster, "web", 8)

        await cluster.until(done, every=0.01)
        assert await images(cluster) == ["app:2"] * 8
        old = next(
            rs
            for rs in (await cluster.client.list(REPLICA_SETS, "default")).items
            if rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        )
        template = copy.deepcopy(old["spec"]["template"])  # the server's object is not ours to change
        template["metadata"]["labels"].pop("pod-template-hash")
        patch = [{"op": "replace", "path": "/spec/template", "value": template}]
        await cluster.client.patch(DEPLOYMENTS, "web", patch, "default", type="application/json-patch+json")
        await cluster.until(lambda: rolled_out(cluster, "web", 8))
        assert await images(cluster) == ["app:1"] * 8
        found = await cluster.client.get(DEPLOYMENTS, "web", "default")
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        assert len((await cluster.client.list(REPLICA_SETS, "default")).items) == 2

    simulate_cluster(story, seed=seed, shuffle=True)


def test_a_recreated_deployment_has_no_two_versions_at_once():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 3, strategy={"type": "Recreate"}), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 3))
        await set_image(cluster, "web", "app:2")

        async def done() -> bool:
            assert len(set(await images(cluster, terminating=True))) <= 1
            return await rolled_out(cluster, "web", 3)

        await cluster.until(done, every=0.01)
        assert await images(cluster) == ["app:2"] * 3

    simulate_cluster(story)


def test_a_paused_deployment_waits_but_scales():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 2), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 2))
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}}, "default")
        await set_image(cluster, "web", "app:2")
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "default")
        await cluster.clock.sleep(30)
        assert await images(cluster) == ["app:1"] * 4
        found = await cluster.client.get(DEPLOYMENTS, "web", "default")
        condition = pods.condition(found, "Progressing")
        assert (condition["status"], condition["reason"]) == ("Unknown", "DeploymentPaused")
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": False}}, "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 4))
        assert await images(cluster) == ["app:2"] * 4

    simulate_cluster(story)


def test_who_wrote_which_field_survives_what_controllers_write():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 2), "default", field_manager="somebody")
        await cluster.until(lambda: rolled_out(cluster, "web", 2))
        found = (await cluster.client.get(DEPLOYMENTS, "web", "default"))["metadata"]["managedFields"]
        assert {(entry["manager"], entry.get("subresource", "")) for entry in found} >= {
            ("somebody", ""),
            ("kube-controller-manager", "status"),
        }

    simulate_cluster(story)


def test_old_replica_sets_go_beyond_the_history_limit():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 1, revisionHistoryLimit=2), "default")
        for version in range(2, 7):
            await cluster.until(lambda: rolled_out(cluster, "web", 1))
            await set_image(cluster, "web", f"app:{version}")
        await cluster.until(lambda: rolled_out(cluster, "web", 1))
        await cluster.clock.sleep(5)
        sets = (await cluster.client.list(REPLICA_SETS, "default")).items
        found = sorted(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for rs in sets)
        assert found == ["4", "5", "6"]

    simulate_cluster(story)


def test_a_rollout_that_never_gets_ready_says_so_after_its_deadline():
    async def story(cluster: Simulation) -> None:
        obj = deployment("web", 2, progressDeadlineSeconds=60)
        obj["spec"]["template"]["spec"]["readinessGates"] = [{"conditionType": "example.com/never"}]
        await cluster.client.create(DEPLOYMENTS, obj, "default")

        async def failed() -> bool:
            condition = pods.condition(await cluster.client.get(DEPLOYMENTS, "web", "default"), "Progressing")
            return condition is not None and condition["reason"] == "ProgressDeadlineExceeded"

        assert 59 <= await cluster.until(failed) <= 66

    simulate_cluster(story)


def test_pods_of_a_dead_node_are_evicted_and_replaced():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 4), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 4))
        cluster.nodes.kill("node-0")

        async def silent() -> bool:
            return pods.has_condition(await cluster.client.get(NODES, "node-0"), "Ready", "Unknown")

        assert 30 <= await cluster.until(silent) <= 60
        await cluster.until(lambda: rolled_out(cluster, "web", 4), seconds=400)
        found = [p for p in (await cluster.client.list(PODS, "default")).items if pods.is_active(p)]
        assert len(found) == 4
        assert all(pods.node_name(pod) != "node-0" for pod in found)
        cluster.nodes.revive("node-0")

        async def back() -> bool:
            node = await cluster.client.get(NODES, "node-0")
            return pods.is_ready(node) and not node["spec"].get("taints")

        await cluster.until(back)
        await cluster.clock.sleep(5)
        assert len((await cluster.client.list(PODS, "default")).items) == 4

    simulate_cluster(story, nodes=3)


def test_pods_of_a_removed_node_are_collected():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 4), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 4))
        cluster.nodes.kill("node-1")
        await cluster.client.delete(NODES, "node-1")
        await cluster.clock.sleep(120)
        found = (await cluster.client.list(PODS, "default")).items
        assert len(found) == 4
        assert all(pods.node_name(pod) != "node-1" for pod in found)

    simulate_cluster(story, nodes=3)


def test_a_namespace_ends_with_everything_in_it():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
        await cluster.clock.sleep(1)
        await cluster.client.create(DEPLOYMENTS, deployment("web", 3), "n")
        await cluster.clock.sleep(2)
        assert len((await cluster.client.list(PODS, "n")).items) == 3
        await cluster.client.delete(NAMESPACES, "n")
        await cluster.until(lambda: gone(cluster, NAMESPACES, "n"), seconds=60)
        for resource in (DEPLOYMENTS, REPLICA_SETS, PODS, CONFIG_MAPS, EVENTS):
            assert (await cluster.client.list(resource, "n")).items == []

    simulate_cluster(story)


def test_a_namespace_tells_what_holds_it():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
        held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "finalizers": ["example.com/hold"]}}
        await cluster.client.create(CONFIG_MAPS, held, "n")
        await cluster.client.delete(NAMESPACES, "n")
        await cluster.clock.sleep(20)
        found = await cluster.client.get(NAMESPACES, "n")
        assert pods.condition(found, "NamespaceContentRemaining")["message"] == (
            "Some resources are remaining: configmaps. has 1 resource instances"
        )
        await cluster.client.patch(CONFIG_MAPS, "x", {"metadata": {"finalizers": None}}, "n")
        await cluster.until(lambda: gone(cluster, NAMESPACES, "n"), seconds=60)

    simulate_cluster(story)


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_what_a_deleted_deployment_owned_goes_or_stays_as_told(propagation):
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 2), "default")
        await cluster.until(lambda: rolled_out(cluster, "web", 2))
        await cluster.client.delete(DEPLOYMENTS, "web", "default", propagation=propagation)

        async def check() -> bool:
            sets = (await cluster.client.list(REPLICA_SETS, "default")).items
            there = not await gone(cluster, DEPLOYMENTS, "web", "default")
            if propagation == "Foreground":
                assert there or not sets  # the owner goes last
            return not there

        await cluster.until(check, every=0.05)
        await cluster.clock.sleep(10)
        found = (await cluster.client.list(PODS, "default")).items
        sets = (await cluster.client.list(REPLICA_SETS, "default")).items
        if propagation == "Orphan":
            assert len(found) == 2
            assert not sets[0]["metadata"].get("ownerReferences")
        else:
            assert found == [] and sets == []

    simulate_cluster(story)


@pytest.mark.parametrize("seed", range(8))  # 3 and 6: nodes that were thought dead put their pods' readiness right
def test_the_cluster_gets_where_it_should_through_a_storm(seed):
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 5), "default")
        await cluster.clock.sleep(60)
        await set_image(cluster, "web", "app:2")
        await cluster.clock.sleep(60)
        cluster.weather(CALM)
        await cluster.until(lambda: rolled_out(cluster, "web", 5), seconds=1500)
        await cluster.clock.sleep(30)
        assert await images(cluster) == ["app:2"] * 5

    simulate_cluster(story, seed=seed, shuffle=True, faults=STORM)


def test_a_pod_that_fits_nowhere_says_why_and_is_placed_when_there_is_room():
    async def story(cluster: Simulation) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "big"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100"}}}]},
        }
        await cluster.clock.sleep(1)  # for the namespace's service account
        await cluster.client.create(PODS, pod, "default")
        await cluster.clock.sleep(2)
        found = await cluster.client.get(PODS, "big", "default")
        assert pods.condition(found, "PodScheduled")["message"] == (
            "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: "
            "3 Preemption is not helpful for scheduling."
        )
        status = {"status": {"allocatable": {"cpu": "128"}, "capacity": {"cpu": "128"}}}
        await cluster.client.patch(NODES, "node-2", status, subresource="status")

        async def placed() -> bool:
            return pods.is_ready(await cluster.client.get(PODS, "big", "default"))

        await cluster.until(placed, seconds=30)

    simulate_cluster(story)
