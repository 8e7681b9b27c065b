"""What controllers make of what can't be done: they say so, ask ever less often, and go on once it can."""

from __future__ import annotations

import pytest

from heeler.client.faulty import Faults
from heeler.controllers.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
)
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.testing.simulation import CALM, Simulation, deployment, simulate_cluster
from heeler.testing.simulation.objects import workload
from heeler.workloads import pods

EVENTS = GroupVersionResource("", "v1", "events")
STORM = Faults(refused=0.05, lost=0.05, busy=0.05, expired=0.05, broken=0.05, delay=0.2)


async def told(cluster: Simulation, reason: str) -> int:
    """How often something was said."""
    found = (await cluster.client.list(EVENTS, "default")).items
    return sum(int(event.get("count") or 1) for event in found if event["reason"] == reason)


async def is_gone(cluster: Simulation, name: str) -> bool:
    try:
        await cluster.client.get(CONFIG_MAPS, name, "default")
    except StatusError as error:
        return error.code == 404
    return False


@pytest.mark.parametrize("propagation", ["Foreground", "Background"])
@pytest.mark.parametrize("faults", [CALM, STORM])
def test_owners_in_a_circle_go_when_one_of_them_is_deleted(propagation, faults):
    async def story(cluster: Simulation) -> None:
        names = ("a", "b", "c")
        made = [await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "default") for name in names]
        for at, name in enumerate(names):
            owner = made[at - 1]["metadata"]
            ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
            patch: Object = {"metadata": {"ownerReferences": [{**ref, "blockOwnerDeletion": True}]}}
            await cluster.client.patch(CONFIG_MAPS, name, patch, "default")
        await cluster.clock.sleep(60)
        assert not any([await is_gone(cluster, name) for name in names])  # each has its owner
        await cluster.client.delete(CONFIG_MAPS, "a", "default", propagation=propagation)
        for name in names:
            await cluster.until(lambda name=name: is_gone(cluster, name))

    simulate_cluster(story, nodes=1, faults=faults)


def test_a_full_quota_is_told_and_asked_ever_less_often_until_there_is_room():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
        await client.create(RESOURCE_QUOTAS, {**quota, "spec": {"hard": {"pods": "1"}}}, "default")
        await cluster.clock.sleep(5)
        await client.create(DEPLOYMENTS, deployment("web", 3), "default")

        async def failed() -> bool:
            sets = (await client.list(REPLICA_SETS, "default")).items
            return any(pods.has_condition(one, "ReplicaFailure") for one in sets)

        await cluster.until(failed)
        await cluster.clock.sleep(300)
        assert len((await client.list(PODS, "default")).items) == 1
        assert await told(cluster, "FailedCreate") < 80  # two pods, each time; 5 ms, 10 ms, … between the times
        await client.patch(RESOURCE_QUOTAS, "q", {"spec": {"hard": {"pods": "3"}}}, "default")

        async def complete() -> bool:
            found = (await client.get(DEPLOYMENTS, "web", "default")).get("status") or {}
            return found.get("readyReplicas") == 3 and not await failed()

        await cluster.until(complete)

    simulate_cluster(story)


@pytest.mark.parametrize(("resource", "kind"), [(REPLICA_SETS, "ReplicaSet"), (STATEFUL_SETS, "StatefulSet")])
def test_however_many_pods_are_refused_they_are_asked_for_ever_less_often(resource, kind):
    """As many as one step makes, and more: what is refused once isn't tried by the hundred at once."""

    async def story(cluster: Simulation) -> None:
        obj = workload(kind, "many", replicas=3000)
        obj["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"
        if kind == "StatefulSet":
            obj["spec"] |= {"podManagementPolicy": "Parallel", "serviceName": "many"}
        await cluster.client.create(resource, obj, "default")
        await cluster.clock.sleep(300)
        assert 10 < await told(cluster, "FailedCreate") < 40

    simulate_cluster(story, nodes=1)


def test_an_autoscaler_without_its_target_says_so_each_time_it_looks():
    async def story(cluster: Simulation) -> None:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
        metric["resource"]["target"]["averageUtilization"] = 50
        spec: Object = {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [metric]}
        await cluster.client.create(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "h"}, "spec": spec}, "default")
        await cluster.clock.sleep(150)
        found = await cluster.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", "default")
        able = pods.condition(found, "AbleToScale") or {}
        assert (able["status"], able["reason"]) == ("False", "FailedGetScale")
        assert 9 <= await told(cluster, "FailedGetScale") <= 12  # every 15 seconds

    simulate_cluster(story, nodes=1)


def test_a_claim_of_a_class_that_is_not_there_waits_and_says_why():
    async def story(cluster: Simulation) -> None:
        spec: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gone"}
        spec["resources"] = {"requests": {"storage": "1Gi"}}
        await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec}, "default")
        await cluster.clock.sleep(300)
        found = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        assert found["status"]["phase"] == "Pending"
        events = (await cluster.client.list(EVENTS, "default")).items
        assert 'storageclass.storage.k8s.io "gone" not found' in [event["message"] for event in events]
        assert 15 <= await told(cluster, "ProvisioningFailed") <= 25  # every 15 seconds

    simulate_cluster(story, nodes=1)


def test_a_budget_of_pods_of_an_unknown_kind_is_counted_soon_after_the_kind_is_served():
    async def story(cluster: Simulation) -> None:
        client = cluster.client

        async def account() -> bool:
            return bool((await client.list(SERVICE_ACCOUNTS, "default")).items)

        await cluster.until(account)
        ref = {"apiVersion": "example.com/v1", "kind": "Crew", "name": "cr", "uid": "cr", "controller": True}
        labels = {"app": "a"}
        metadata: Object = {"name": "a", "labels": labels, "ownerReferences": [ref]}
        containers = [{"name": "app", "image": "app:1"}]
        await client.create(PODS, {"metadata": metadata, "spec": {"containers": containers}}, "default")
        spec: Object = {"maxUnavailable": "50%", "selector": {"matchLabels": labels}}
        budgets = GroupVersionResource("policy", "v1", "poddisruptionbudgets")
        await client.create(budgets, {"metadata": {"name": "b"}, "spec": spec}, "default")

        async def reason() -> str:
            found = pods.condition(await client.get(budgets, "b", "default"), "DisruptionAllowed") or {}
            return str(found.get("reason"))

        async def failed() -> bool:
            return await reason() == "SyncFailed"

        assert await cluster.until(failed) < 5
        paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version: Object = {"name": "v1", "served": True, "storage": True, "schema": schema}
        version["subresources"] = {"scale": paths}
        names = {"plural": "crews", "kind": "Crew"}
        kind: Object = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "crews.example.com"}, "spec": kind})
        await cluster.clock.sleep(3)
        crew: Object = {"apiVersion": "example.com/v1", "kind": "Crew", "metadata": {"name": "cr"}}
        await client.create(
            GroupVersionResource("example.com", "v1", "crews"), {**crew, "spec": {"replicas": 1}}, "default"
        )

        async def counted() -> bool:
            return not await failed()

        assert await cluster.until(counted) <= 61

    simulate_cluster(story, nodes=1)
