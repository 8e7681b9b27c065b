"""Stories of StatefulSets, DaemonSets, Jobs and CronJobs in simulated time."""

from __future__ import annotations

import itertools
from typing import Any

from heeler.controllers.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NODES,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICES,
    STATEFUL_SETS,
)
from heeler.objects.value import GroupVersionResource
from heeler.testing.simulation import Simulation, simulate_cluster
from heeler.testing.simulation.plane import CONTROLLERS
from heeler.workloads import pods

EVENTS = GroupVersionResource("", "v1", "events")
STRATEGIC = "application/strategic-merge-patch+json"


def workload(kind: str, name: str, api: str = "apps/v1", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    common: dict[str, Any] = {"template": template}
    if kind != "Job":
        common["selector"] = {"matchLabels": labels}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": {**common, **spec}}


def job(name: str, *, exits: str = "", restart: str = "Never", **spec: Any) -> dict[str, Any]:
    out = workload("Job", name, "batch/v1", **spec)
    out["spec"]["template"]["spec"]["restartPolicy"] = restart
    if exits:
        out["spec"]["template"]["metadata"]["annotations"] = {"heeler.dev/exit": exits}
    return out


async def status(cluster: Simulation, resource: GroupVersionResource, name: str) -> dict[str, Any]:
    found = await cluster.client.get(resource, name, "default")
    out = found.get("status") or {}
    seen = out.get("observedGeneration", found["metadata"].get("generation"))
    return out if seen == found["metadata"].get("generation") else {}


def test_a_stateful_set_is_updated_from_the_last_pod_to_the_first_and_never_has_two_of_a_name():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(
            STATEFUL_SETS, workload("StatefulSet", "db", replicas=3, serviceName="db"), "default"
        )

        async def ready() -> bool:
            found = await status(cluster, STATEFUL_SETS, "db")
            return found.get("availableReplicas") == 3 and found.get("updateRevision") == found.get("currentRevision")

        await cluster.until(ready)
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}}}}
        await cluster.client.patch(STATEFUL_SETS, "db", patch, "default", type=STRATEGIC)
        order: list[str] = []

        async def done() -> bool:
            found = (await cluster.client.list(PODS, "default")).items
            assert sum(pods.is_ready(pod) and not pods.is_terminating(pod) for pod in found) >= 2
            for pod in found:
                if pod["spec"]["containers"][0]["image"] == "app:2" and pod["metadata"]["name"] not in order:
                    order.append(pod["metadata"]["name"])
            return len(order) == 3 and await ready()

        await cluster.until(done, every=0.01)
        assert order == ["db-2", "db-1", "db-0"]

    simulate_cluster(story, seed=3, shuffle=True)


def test_a_set_without_an_owner_gives_up_its_youngest_pod_wherever_the_others_are():
    """Crowded nodes come first among the sets of one Deployment only, upstream too."""

    async def story(cluster: Simulation) -> None:
        async def ready(count: int) -> bool:
            return sum(pods.is_ready(pod) for pod in (await cluster.client.list(PODS, "default")).items) == count

        bare = workload("ReplicaSet", "bare", replicas=3)
        for number, node in enumerate(("node-0", "node-0", "node-1"), 1):
            pod = {"metadata": {"name": f"p{number}", "labels": {"app": "bare"}}}
            spec = {**bare["spec"]["template"]["spec"], "nodeName": node}
            await cluster.persist(
                lambda client, pod=pod, spec=spec: client.create(PODS, {**pod, "spec": spec}, "default")
            )
            await cluster.until(lambda number=number: ready(number))
            await cluster.clock.sleep(100)
        await cluster.client.create(REPLICA_SETS, bare, "default")
        await cluster.clock.sleep(5)
        await cluster.client.patch(REPLICA_SETS, "bare", {"spec": {"replicas": 2}}, "default")
        await cluster.until(lambda: ready(2))
        left = [pod["metadata"]["name"] for pod in (await cluster.client.list(PODS, "default")).items]
        assert sorted(left)[:2] == ["p1", "p2"]

    simulate_cluster(story)


def test_a_daemon_set_follows_the_nodes_and_their_labels():
    async def story(cluster: Simulation) -> None:
        daemons = workload("DaemonSet", "log")
        daemons["spec"]["template"]["spec"]["nodeSelector"] = {"logs": "yes"}
        await cluster.client.create(DAEMON_SETS, daemons, "default")

        async def on(*names: str) -> bool:
            found = (await cluster.client.list(PODS, "default")).items
            return sorted(pods.node_name(pod) for pod in found if pods.is_ready(pod)) == list(names)

        async def registered() -> bool:
            return len((await cluster.client.list(NODES)).items) == 3

        await cluster.until(registered)
        for name in ("node-0", "node-2"):
            await cluster.client.patch(NODES, name, {"metadata": {"labels": {"logs": "yes"}}})
        await cluster.until(lambda: on("node-0", "node-2"))
        await cluster.client.patch(NODES, "node-0", {"metadata": {"labels": {"logs": None}}})
        await cluster.until(lambda: on("node-2"))
        assert (await status(cluster, DAEMON_SETS, "log"))["desiredNumberScheduled"] == 1

    simulate_cluster(story)


def test_a_job_tries_failed_pods_again_after_ever_longer_pauses_until_its_limit():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(JOBS, job("bad", exits="3@1", backoffLimit=3), "default")
        starts: list[float] = []

        async def done() -> bool:
            found = (await cluster.client.list(PODS, "default")).items
            starts.extend([cluster.clock.monotonic()] * (len(found) - len(starts)))
            return bool(pods.has_condition(await cluster.client.get(JOBS, "bad", "default"), "Failed"))

        await cluster.until(done, every=0.1)
        assert [round((b - a) / 10) for a, b in itertools.pairwise(starts)] == [1, 2, 4]
        found = await status(cluster, JOBS, "bad")
        assert found["failed"] == 4
        assert found["uncountedTerminatedPods"] == {}
        assert found["conditions"][-1]["reason"] == "BackoffLimitExceeded"

    simulate_cluster(story)


def test_a_job_waits_ever_longer_when_its_pods_are_deleted():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(JOBS, job("steady", exits="0@10000"), "default")
        waits: list[float] = []
        known = ""

        async def successor() -> bool:
            found = (await cluster.client.list(PODS, "default")).items
            return any(pod["metadata"]["name"] != known and pods.phase(pod) == "Running" for pod in found)

        for _ in range(4):
            await cluster.until(successor)
            (known,) = (pod["metadata"]["name"] for pod in (await cluster.client.list(PODS, "default")).items)
            start = cluster.clock.monotonic()
            await cluster.client.delete(PODS, known, "default")
            await cluster.until(successor, every=0.1)
            waits.append(cluster.clock.monotonic() - start)
        assert [round(wait / 10) for wait in waits] == [1, 2, 4, 8]

    simulate_cluster(story)


def test_a_job_counts_every_pod_once_whatever_goes_wrong():
    from tests.simulation.test_stories import STORM

    async def story(cluster: Simulation) -> None:
        wanted = job("many", completions=12, parallelism=4, completionMode="Indexed")
        await cluster.client.create(JOBS, wanted, "default")
        await cluster.until(lambda: _complete(cluster, "many"))
        found = await status(cluster, JOBS, "many")
        assert (found["succeeded"], found["completedIndexes"]) == (12, "0-11")

        async def untracked() -> bool:
            found = (await cluster.client.list(PODS, "default")).items
            return not any(pod["metadata"].get("finalizers") for pod in found)

        await cluster.until(untracked)

    for seed in range(2):
        simulate_cluster(story, seed=seed, faults=STORM, shuffle=True)


def test_a_finished_job_goes_with_its_pods_after_its_time():
    async def story(cluster: Simulation) -> None:
        await cluster.client.create(JOBS, job("short", ttlSecondsAfterFinished=60), "default")
        await cluster.until(lambda: _complete(cluster, "short"))
        await cluster.clock.sleep(50)
        assert len((await cluster.client.list(JOBS, "default")).items) == 1
        await cluster.clock.sleep(20)
        assert not (await cluster.client.list(JOBS, "default")).items
        assert not (await cluster.client.list(PODS, "default")).items

    simulate_cluster(story)


async def _complete(cluster: Simulation, name: str) -> bool:
    return pods.has_condition(await cluster.client.get(JOBS, name, "default"), "Complete")


def test_pods_that_end_together_are_counted_together_and_none_is_made_for_the_first_of_them():
    async def story(cluster: Simulation) -> None:
        wanted = job("some", exits="0@5", completionMode="Indexed", completions=6, parallelism=2)
        wanted["spec"]["successPolicy"] = {"rules": [{"succeededCount": 2}]}
        await cluster.client.create(JOBS, wanted, "default")

        async def done() -> bool:
            return bool(pods.has_condition(await cluster.client.get(JOBS, "some", "default"), "Complete"))

        await cluster.until(done)
        assert (await status(cluster, JOBS, "some"))["completedIndexes"] == "0,1"
        assert len((await cluster.client.list(PODS, "default")).items) == 2

    simulate_cluster(story, nodes=1)


def test_a_job_that_can_not_have_pods_asks_ever_less_often():
    async def story(cluster: Simulation) -> None:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
        await cluster.client.create(RESOURCE_QUOTAS, {**quota, "spec": {"hard": {"pods": "0"}}}, "default")

        async def counted() -> bool:
            return bool((await cluster.client.get(RESOURCE_QUOTAS, "none", "default")).get("status", {}).get("hard"))

        await cluster.until(counted)
        await cluster.client.create(JOBS, job("some"), "default")
        await cluster.clock.sleep(25)
        events = GroupVersionResource("", "v1", "events")
        found = [e for e in (await cluster.client.list(events, "default")).items if e["reason"] == "FailedCreate"]
        assert 4 <= sum(event.get("count") or 1 for event in found) <= 6  # after 1, 2, 4, 8 seconds

    simulate_cluster(story, nodes=1)


def test_a_deployment_of_no_pods_still_tells_its_sets_how_many_they_might_have():
    async def story(cluster: Simulation) -> None:
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 4, "maxUnavailable": "25%"}}
        wanted = workload("Deployment", "web", replicas=0, strategy=rolling)
        await cluster.client.create(DEPLOYMENTS, wanted, "default")

        async def told() -> bool:
            sets = (await cluster.client.list(REPLICA_SETS, "default")).items
            notes = [one["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] for one in sets]
            return notes == ["4"]

        await cluster.until(told)

    simulate_cluster(story, nodes=1)


def cron(name: str, schedule: str, *, exits: str = "", **spec: Any) -> dict[str, Any]:
    made = job(name, exits=exits)
    template = {"spec": made["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


def test_a_cron_job_keeps_its_schedule_and_a_few_of_its_jobs():
    async def story(cluster: Simulation) -> None:
        wanted = cron("half-hourly", "15,45 * * * *", timeZone="Asia/Kathmandu")  # 5:45 ahead
        await cluster.client.create(CRON_JOBS, wanted, "default")
        await cluster.clock.sleep(4 * 3600 + 60)
        found = (await cluster.client.list(JOBS, "default")).items
        notes = [job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] for job in found]
        assert [note[10:] for note in sorted(notes)] == ["T08:45:00+05:45", "T09:15:00+05:45", "T09:45:00+05:45"]
        status = (await cluster.client.get(CRON_JOBS, "half-hourly", "default"))["status"]
        assert status["lastScheduleTime"][10:] == "T04:00:00Z"
        assert "active" not in status or status["lastSuccessfulTime"]

    simulate_cluster(story, nodes=1)


def test_a_cron_job_that_forbids_concurrency_waits_for_its_job():
    async def story(cluster: Simulation) -> None:
        wanted = cron("slow", "* * * * *", exits="0@150", concurrencyPolicy="Forbid")
        await cluster.client.create(CRON_JOBS, wanted, "default")

        async def two() -> bool:
            found = (await cluster.client.list(JOBS, "default")).items
            assert sum(not pods.has_condition(job, "Complete") for job in found) <= 1
            return len(found) == 2

        assert await cluster.until(two, every=1) > 180

    simulate_cluster(story, nodes=1)


def test_an_autoscaler_follows_the_use_of_the_processor_up_at_once_and_down_after_a_while():
    async def story(cluster: Simulation) -> None:
        wanted = workload("Deployment", "web", replicas=2)
        wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
        wanted["spec"]["template"]["metadata"]["annotations"] = {"heeler.dev/usage": "cpu=100m"}
        await cluster.client.create(DEPLOYMENTS, wanted, "default")
        target = {"type": "Utilization", "averageUtilization": 50}
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "maxReplicas": 6,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
        await cluster.client.create(HORIZONTAL_POD_AUTOSCALERS, scaler, "default")

        async def size(count: int) -> bool:
            return (await cluster.client.get(DEPLOYMENTS, "web", "default"))["spec"]["replicas"] == count

        await cluster.until(lambda: size(6), seconds=120)
        found = await cluster.client.get(HORIZONTAL_POD_AUTOSCALERS, "web", "default")
        assert found["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] == 100
        quiet = {"spec": {"template": {"metadata": {"annotations": {"heeler.dev/usage": "cpu=10m"}}}}}
        await cluster.client.patch(DEPLOYMENTS, "web", quiet, "default")
        taken = await cluster.until(lambda: size(1), seconds=900)
        assert taken > 270  # the highest recommendation of five minutes counts
        reasons = {c["type"]: c["reason"] for c in found["status"]["conditions"]}
        assert reasons["ScalingActive"] == "ValidMetricFound"

    simulate_cluster(story, nodes=2)


def test_an_autoscaler_says_which_metric_can_not_be_had_as_upstream_does():
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]}
    served = "unable to fetch metrics from external metrics API: the server could not find the requested resource"
    shown = "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{"
    shown += "LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
    total = f"unable to get external metric default/q/{shown}: {served} (get q.external.metrics.k8s.io)"
    share = f"unable to get external metric default/r/nil: {served} (get r.external.metrics.k8s.io)"
    wanted = {
        "one": (
            {"metric": {"name": "q", "selector": selector}, "target": {"type": "Value", "value": "3"}},
            total,
            f"failed to get q external metric value: failed to get external metric q: {total}",
        ),
        "two": (
            {"metric": {"name": "r"}, "target": {"type": "AverageValue", "averageValue": "3"}},
            share,
            f"failed to get r external metric value: failed to get r external metric: {share}",
        ),
    }

    async def story(cluster: Simulation) -> None:
        for name, (external, _, _) in wanted.items():
            await cluster.client.create(DEPLOYMENTS, workload("Deployment", name), "default")
            scaler = {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "maxReplicas": 3,
                    "metrics": [{"type": "External", "external": external}],
                },
            }
            await cluster.client.create(HORIZONTAL_POD_AUTOSCALERS, scaler, "default")
        await cluster.clock.sleep(60)
        events = (await cluster.client.list(EVENTS, "default")).items
        for name, (_, first, last) in wanted.items():
            mine = [one for one in events if one["involvedObject"].get("name") == name]
            told = {one["reason"]: one["message"] for one in mine}
            assert told["FailedGetExternalMetric"] == first
            assert told["FailedComputeMetricsReplicas"] == (
                f"invalid metrics (1 invalid out of 1), first error is: {last}"
            )

    simulate_cluster(story, nodes=1)


def test_endpoints_tell_since_when_their_change_waits():
    trigger = "endpoints.kubernetes.io/last-change-trigger-time"

    async def story(cluster: Simulation) -> None:
        service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service}
        made = await cluster.client.create(SERVICES, service, "default")
        await cluster.clock.sleep(10)

        async def told() -> list[str | None]:
            slices = (await cluster.client.list(ENDPOINT_SLICES, "default")).items
            mine = [one for one in slices if one["metadata"]["name"].startswith("web-")]
            found = [await cluster.client.get(ENDPOINTS, "web", "default"), *mine]
            return [(one["metadata"].get("annotations") or {}).get(trigger) for one in found]

        assert await told() == [made["metadata"]["creationTimestamp"]] * 2
        await cluster.client.create(DEPLOYMENTS, workload("Deployment", "web"), "default")
        await cluster.clock.sleep(20)
        (pod,) = (await cluster.client.list(PODS, "default")).items
        ready = pods.condition(pod, "Ready") or {}
        assert await told() == [ready["lastTransitionTime"]] * 2
        await cluster.client.patch(SERVICES, "web", {"metadata": {"labels": {"a": "b"}}}, "default")
        await cluster.clock.sleep(5)
        assert await told() == [None, None]

    simulate_cluster(story, nodes=1)


def test_a_quota_is_counted_again_when_the_controllers_were_down_while_a_pod_went():
    async def story(cluster: Simulation) -> None:
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "5"}},
        }
        await cluster.client.create(RESOURCE_QUOTAS, quota, "default")
        await cluster.clock.sleep(2)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
        await cluster.client.create(PODS, {**pod, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default")
        await cluster.clock.sleep(10)
        await cluster.kill(CONTROLLERS)
        await cluster.client.delete(PODS, "p", "default")
        await cluster.clock.sleep(5)
        assert (await status(cluster, RESOURCE_QUOTAS, "q"))["used"] == {"pods": "1"}
        await cluster.start(CONTROLLERS)
        await cluster.clock.sleep(5)
        assert (await status(cluster, RESOURCE_QUOTAS, "q"))["used"] == {"pods": "0"}

    simulate_cluster(story)
