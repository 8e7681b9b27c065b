"""Stories of the controllers that keep house: claims of devices, ranges of Services, bundles, nodes' annotations."""

from __future__ import annotations

import pytest

from heeler.base.pki import new_authority
from heeler.client.faulty import Faults
from heeler.controllers import attach_detach_plan, servicecidr, ttl
from heeler.controllers import resourceclaim_plan as claims
from heeler.controllers.loop import Settings
from heeler.controllers.resources import (
    CLUSTER_TRUST_BUNDLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    DEVICE_TAINT_RULES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    SERVICE_ACCOUNTS,
    SERVICE_CIDRS,
    SERVICES,
    STORAGE_VERSION_MIGRATIONS,
    VOLUME_ATTACHMENTS,
)
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of
from heeler.testing.simulation import CALM, Simulation, deployment, simulate_cluster
from heeler.workloads import pods

BUNDLE = new_authority("it", 1_767_225_600.0).certificate.decode()
STORM = Faults(refused=0.05, lost=0.05, busy=0.05, expired=0.05, broken=0.05, delay=0.2)


async def gone(cluster: Simulation, resource: GroupVersionResource, name: str, namespace: str | None = None) -> bool:
    try:
        await cluster.client.get(resource, name, namespace)
    except StatusError as error:
        return error.code == 404
    return False


async def account(cluster: Simulation) -> bool:
    return not await gone(cluster, SERVICE_ACCOUNTS, "default", "default")


async def ready(cluster: Simulation, number: int) -> bool:
    return sum(pods.is_ready(pod) for pod in (await cluster.client.list(PODS, "default")).items) == number


def template(name: str) -> Object:
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu"}}
    return {"metadata": {"name": name}, "spec": {"spec": {"devices": {"requests": [request]}}}}


def pod(name: str, node: str = "") -> Object:
    """A pod with a claim of a template. It names its node itself: the story is about claims, not about scheduling."""
    spec: Object = {
        "restartPolicy": "Never",
        "containers": [{"name": "app", "image": "app:1", "resources": {"claims": [{"name": "dev"}]}}],
        "resourceClaims": [{"name": "dev", "resourceClaimTemplateName": "tpl"}],
    }
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name, "annotations": {"heeler.dev/exit": "0@2"}}, "spec": spec}


@pytest.mark.parametrize("faults", [CALM, STORM])
@pytest.mark.parametrize("seed", range(2))
def test_a_pod_has_one_claim_and_it_goes_with_the_pods_end(seed, faults):
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await cluster.until(lambda: account(cluster))
        await client.create(RESOURCE_CLAIM_TEMPLATES, template("tpl"), "default")
        await client.create(PODS, pod("a", "node-0"), "default")

        async def told() -> bool:
            found = (await client.get(PODS, "a", "default")).get("status") or {}
            return bool(found.get("resourceClaimStatuses"))

        await cluster.until(told)
        found = (await client.list(RESOURCE_CLAIMS, "default")).items
        assert len(found) == 1
        named = (await client.get(PODS, "a", "default"))["status"]["resourceClaimStatuses"]
        assert named == [{"name": "dev", "resourceClaimName": found[0]["metadata"]["name"]}]

        async def ended() -> bool:
            return pods.is_finished(await client.get(PODS, "a", "default"))

        await cluster.until(ended)
        await cluster.until(lambda: gone(cluster, RESOURCE_CLAIMS, found[0]["metadata"]["name"], "default"))

    simulate_cluster(story, seed=seed, faults=faults)


def test_an_allocated_claim_is_freed_when_its_last_consumer_is_gone():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        spec = template("tpl")["spec"]["spec"]
        claim = await client.create(RESOURCE_CLAIMS, {"metadata": {"name": "c"}, "spec": spec}, "default")
        claim["metadata"]["finalizers"] = [claims.FINALIZER]
        claim = await client.update(RESOURCE_CLAIMS, claim)
        consumer = {"resource": "pods", "name": "never-was", "uid": "never-was"}
        result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "dev0"}
        status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": [consumer]}
        await client.update(RESOURCE_CLAIMS, {**claim, "status": status}, subresource="status")

        async def free() -> bool:
            found = await client.get(RESOURCE_CLAIMS, "c", "default")
            return not (found.get("status") or {}) and "finalizers" not in found["metadata"]

        await cluster.until(free)

    simulate_cluster(story)


def test_a_range_in_use_waits_until_its_addresses_are_free():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await client.create(SERVICE_CIDRS, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/24"]}})

        async def ready() -> bool:
            found = await client.get(SERVICE_CIDRS, "more")
            kept = servicecidr.FINALIZER in (found["metadata"].get("finalizers") or ())
            return kept and pods.has_condition(found, "Ready")

        await cluster.until(ready)
        spec = {"clusterIP": "10.97.0.9", "ports": [{"port": 80}]}
        await client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "default")
        await client.delete(SERVICE_CIDRS, "more")

        async def waits() -> bool:
            found = pods.condition(await client.get(SERVICE_CIDRS, "more"), "Ready") or {}
            return (found.get("status"), found.get("reason")) == ("False", "Terminating")

        await cluster.until(waits)
        await client.delete(SERVICES, "s", "default")
        await cluster.until(lambda: gone(cluster, SERVICE_CIDRS, "more"))

    simulate_cluster(story)


def test_each_cluster_has_its_bundle_and_each_node_its_annotation():
    async def story(cluster: Simulation) -> None:
        async def there() -> bool:
            nodes = (await cluster.client.list(NODES)).items
            noted = [node for node in nodes if (node["metadata"].get("annotations") or {}).get(ttl.ANNOTATION) == "0"]
            bundles = (await cluster.client.list(CLUSTER_TRUST_BUNDLES)).items
            return len(noted) == 3 and [one["spec"]["trustBundle"] for one in bundles] == [BUNDLE]

        await cluster.until(there)

    simulate_cluster(story, settings=Settings(root_ca=BUNDLE, workers=2))


def test_pods_of_a_tainted_device_leave_and_the_rule_says_so():
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await cluster.until(lambda: account(cluster))
        await client.create(RESOURCE_CLAIM_TEMPLATES, template("tpl"), "default")
        obj = pod("a", "node-0")
        del obj["metadata"]["annotations"]
        made = await client.create(PODS, obj, "default")

        async def claimed() -> bool:
            return bool((await client.list(RESOURCE_CLAIMS, "default")).items)

        await cluster.until(claimed)
        claim = (await client.list(RESOURCE_CLAIMS, "default")).items[0]
        result = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "dev0"}
        result["tolerations"] = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
        consumer = {"resource": "pods", "name": "a", "uid": made["metadata"]["uid"]}
        status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": [consumer]}
        await client.update(RESOURCE_CLAIMS, {**claim, "status": status}, subresource="status")
        await cluster.clock.sleep(5)
        spec = {
            "deviceSelector": {"driver": "d.example.com"},
            "taint": {"key": "example.com/broken", "effect": "NoExecute"},
        }
        await client.create(DEVICE_TAINT_RULES, {"metadata": {"name": "broken"}, "spec": spec})

        async def says(reason: str) -> bool:
            found = pods.condition(await client.get(DEVICE_TAINT_RULES, "broken"), "EvictionInProgress") or {}
            return found.get("reason") == reason

        await cluster.until(lambda: says("PodsPendingEviction"))
        assert 15 <= await cluster.until(lambda: gone(cluster, PODS, "a", "default")) <= 60
        await cluster.until(lambda: says("Completed"))

    simulate_cluster(story)


def crew(*versions: str, storage: str) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crews.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "crews", "kind": "Crew"},
            "versions": [
                {"name": version, "served": True, "storage": version == storage, "schema": schema}
                for version in versions
            ],
        },
    }


def migration(name: str, group: str, resource: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"resource": {"group": group, "resource": resource}}}


@pytest.mark.parametrize("faults", [CALM, STORM])
def test_a_migration_writes_all_objects_anew_and_forgets_the_old_version(faults):
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        made = await client.create(CUSTOM_RESOURCE_DEFINITIONS, crew("v1", "v2", storage="v1"))
        crews = GroupVersionResource("example.com", "v2", "crews")

        async def served() -> bool:
            return pods.has_condition(await client.get(CUSTOM_RESOURCE_DEFINITIONS, "crews.example.com"), "Established")

        await cluster.until(served)
        for name in ("a", "b"):
            obj = {"apiVersion": "example.com/v2", "kind": "Crew", "metadata": {"name": name}}
            await client.create(crews, obj, "default")
        newer = {**made, "spec": crew("v1", "v2", storage="v2")["spec"]}
        newer["metadata"] = {"name": "crews.example.com"}
        await client.patch(CUSTOM_RESOURCE_DEFINITIONS, "crews.example.com", {"spec": newer["spec"]})
        await client.create(STORAGE_VERSION_MIGRATIONS, migration("crews", "example.com", "crews"))
        await client.create(STORAGE_VERSION_MIGRATIONS, migration("nope", "example.com", "nopes"))

        async def ended() -> bool:
            found = await client.get(STORAGE_VERSION_MIGRATIONS, "crews")
            return pods.has_condition(found, "Succeeded")

        await cluster.until(ended)
        definition = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "crews.example.com")
        assert definition["status"]["storedVersions"] == ["v2"]
        told = pods.condition(definition, "StorageMigrating") or {}
        assert (told["status"], told["reason"]) == ("False", "MigrationSucceeded")

        async def failed() -> bool:
            found = pods.condition(await client.get(STORAGE_VERSION_MIGRATIONS, "nope"), "Failed") or {}
            return found.get("message") == "resource does not exist in discovery"

        assert await cluster.until(failed) <= 120

    simulate_cluster(story, faults=faults)


def test_when_no_node_is_heard_of_any_more_pods_are_left_alone():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(DEPLOYMENTS, deployment("web", 4), "default")
        await cluster.until(lambda: ready(cluster, 4))
        names = [pod["metadata"]["name"] for pod in (await cluster.client.list(PODS, "default")).items]
        for number in range(3):
            cluster.nodes.kill(f"node-{number}")
        await cluster.clock.sleep(900)
        nodes = (await cluster.client.list(NODES)).items
        assert all(pods.has_condition(node, "Ready", "Unknown") for node in nodes)
        assert not [t for node in nodes for t in node["spec"].get("taints") or () if t["effect"] == "NoExecute"]
        for number in range(3):
            cluster.nodes.revive(f"node-{number}")
        await cluster.until(lambda: ready(cluster, 4))
        assert [pod["metadata"]["name"] for pod in (await cluster.client.list(PODS, "default")).items] == names

    simulate_cluster(story)


@pytest.mark.parametrize("faults", [CALM, STORM])
def test_a_volume_moves_from_node_to_node_when_nobody_has_it_mounted(faults):
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await cluster.until(lambda: account(cluster))

        async def registered() -> bool:
            there = [name_of(one) for one in (await client.list(NODES)).items]
            return "node-0" in there and "node-1" in there

        await cluster.until(registered)
        for name in ("node-0", "node-1"):
            await client.patch(NODES, name, {"metadata": {"annotations": {attach_detach_plan.MANAGED: "true"}}})
        size, modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
        csi = {"driver": "d.example.com", "volumeHandle": "vol-1"}
        spec: Object = {"capacity": size, "accessModes": modes, "storageClassName": "", "csi": csi}
        await client.create(PERSISTENT_VOLUMES, {"metadata": {"name": "pv1"}, "spec": spec})
        spec = {"accessModes": modes, "storageClassName": "", "volumeName": "pv1", "resources": {"requests": size}}
        await client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec}, "default")

        def user(name: str, node: str) -> Object:
            volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
            containers = [{"name": "app", "image": "app:1"}]
            return {
                "metadata": {"name": name},
                "spec": {"nodeName": node, "containers": containers, "volumes": volumes},
            }

        async def attachment(node: str) -> Object | None:
            found = (await client.list(VOLUME_ATTACHMENTS)).items
            return next((one for one in found if one["spec"]["nodeName"] == node), None)

        async def asked(node: str) -> bool:
            return await attachment(node) is not None

        async def told(node: str) -> list[str]:
            found = (await client.get(NODES, node)).get("status") or {}
            return [one["name"] for one in found.get("volumesAttached") or ()]

        await client.create(PODS, user("a", "node-0"), "default")
        await cluster.until(lambda: asked("node-0"))
        made = await attachment("node-0")
        assert made is not None
        await client.update(VOLUME_ATTACHMENTS, {**made, "status": {"attached": True}}, subresource="status")

        async def reported() -> bool:
            return await told("node-0") == ["kubernetes.io/csi/d.example.com^vol-1"]

        await cluster.until(reported)
        in_use: Object = {"status": {"volumesInUse": ["kubernetes.io/csi/d.example.com^vol-1"]}}
        await client.patch(NODES, "node-0", in_use, subresource="status")
        await client.create(PODS, user("b", "node-1"), "default")
        await client.delete(PODS, "a", "default", grace_seconds=0)
        await cluster.clock.sleep(60)
        assert await asked("node-0")
        assert not await asked("node-1")
        await client.patch(NODES, "node-0", {"status": {"volumesInUse": None}}, subresource="status")
        await cluster.until(lambda: asked("node-1"))
        assert not await asked("node-0")
        assert await told("node-0") == []

    simulate_cluster(story, faults=faults)


def test_nodes_get_ranges_of_addresses_and_a_full_cluster_says_so():
    async def story(cluster: Simulation) -> None:
        for name in ("a", "b", "c"):
            await cluster.client.create(NODES, {"metadata": {"name": name}})

        async def given() -> bool:
            nodes = [node for node in (await cluster.client.list(NODES)).items if node["metadata"]["name"] != "node-0"]
            return sorted(node["spec"].get("podCIDR", "") for node in nodes) == ["", "10.1.0.0/25", "10.1.0.128/25"]

        await cluster.until(given)
        events = GroupVersionResource("", "v1", "events")

        async def told() -> bool:
            return any(one["reason"] == "CIDRNotAvailable" for one in (await cluster.client.list(events)).items)

        await cluster.until(told)
        nodes = (await cluster.client.list(NODES)).items
        without = next(node["metadata"]["name"] for node in nodes if not node["spec"].get("podCIDR"))
        gone = next(node["metadata"]["name"] for node in nodes if node["spec"].get("podCIDR") == "10.1.0.0/25")
        await cluster.client.delete(NODES, gone)

        async def passed_on() -> bool:
            return (await cluster.client.get(NODES, without))["spec"].get("podCIDR") == "10.1.0.0/25"

        await cluster.until(passed_on)

    settings = Settings(
        workers=2, allocate_node_cidrs=True, cluster_cidrs=("10.1.0.0/24",), node_cidr_mask_sizes={4: 25}
    )
    simulate_cluster(story, nodes=1, settings=settings)


@pytest.mark.parametrize(("exits", "phase"), [("0@2", "Available"), ("1@2", "Failed")])
def test_a_volume_is_emptied_by_a_pod_before_the_next_claim(exits, phase):
    async def story(cluster: Simulation) -> None:
        client = cluster.client
        await cluster.until(lambda: account(cluster))
        size, modes = {"storage": "3Gi"}, ["ReadWriteOnce"]
        spec: Object = {"capacity": size, "accessModes": modes, "storageClassName": "", "hostPath": {"path": "/tmp/x"}}
        spec["persistentVolumeReclaimPolicy"] = "Recycle"
        await client.create(PERSISTENT_VOLUMES, {"metadata": {"name": "pv1"}, "spec": spec})
        spec = {"accessModes": modes, "storageClassName": "", "volumeName": "pv1", "resources": {"requests": size}}
        await client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec}, "default")

        async def is_in(wanted: str) -> bool:
            return ((await client.get(PERSISTENT_VOLUMES, "pv1")).get("status") or {}).get("phase") == wanted

        await cluster.until(lambda: is_in("Bound"))
        await client.delete(PERSISTENT_VOLUME_CLAIMS, "c", "default")

        async def emptying() -> bool:
            return not await gone(cluster, PODS, "recycler-for-pv1", "default")

        await cluster.until(emptying)
        pod = await client.get(PODS, "recycler-for-pv1", "default")
        assert pod["spec"]["activeDeadlineSeconds"] == 90
        assert pod["spec"]["volumes"][0]["hostPath"]["path"] == "/tmp/x"
        note: Object = {"metadata": {"annotations": {"heeler.dev/exit": exits}}}
        await client.patch(PODS, "recycler-for-pv1", note, "default")
        await cluster.until(lambda: is_in(phase))
        volume = await client.get(PERSISTENT_VOLUMES, "pv1")
        assert ("claimRef" in volume["spec"]) == (phase == "Failed")
        if phase == "Failed":
            told = "Recycle failed: failed to recycle volume: pod failed, pod.Status.Message unknown"
            assert volume["status"]["message"] == told
            await cluster.until(emptying)  # and once more

    simulate_cluster(story)


def test_events_go_an_hour_after_they_were_last_written():
    async def story(cluster: Simulation) -> None:
        client, events = cluster.client, GroupVersionResource("", "v1", "events")

        def event(name: str) -> Object:
            about = {"kind": "Node", "name": "x", "namespace": "default"}
            return {"metadata": {"name": name}, "involvedObject": about, "reason": "It", "type": "Normal"}

        await client.create(events, event("once"), "default")
        await client.create(events, event("again"), "default")
        await cluster.clock.sleep(1800)
        await client.patch(events, "again", {"count": 2}, "default")
        await cluster.clock.sleep(1750)
        assert not await gone(cluster, events, "once", "default")
        await cluster.clock.sleep(150)
        assert await gone(cluster, events, "once", "default")
        assert not await gone(cluster, events, "again", "default")
        await cluster.clock.sleep(1800)
        assert await gone(cluster, events, "again", "default")

    simulate_cluster(story, nodes=1)
