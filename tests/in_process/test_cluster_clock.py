"""`cluster.clock.advance`: what goes by the time does what it should while days pass."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from heeler.objects.value import Object
from heeler.testing.cluster import FreshCluster

JOB_POD: Object = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}


@pytest.fixture
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster(nodes=2, seed=1) as found:
        yield found


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_a_cron_job_runs_each_night_at_its_time_and_keeps_as_many_as_it_says(cluster: FreshCluster) -> None:
    spec = {"schedule": "30 2 * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": {"template": JOB_POD}}}
    cluster.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": spec})
    cluster.clock.advance("3 days")
    jobs = cluster.list("jobs")
    starts = [moment(job["status"]["startTime"]) for job in jobs]
    assert len(jobs) == 3
    assert {(at.hour, at.minute) for at in starts} == {(2, 30)}
    assert len({at.date() for at in starts}) == 3
    assert all(job["status"]["succeeded"] == 1 for job in jobs)
    cluster.clock.advance("1 day")
    assert len(cluster.list("jobs")) == 3  # successfulJobsHistoryLimit
    assert moment(cluster.get("cronjob", "nightly")["status"]["lastScheduleTime"]) > max(starts)


def test_a_finished_job_goes_when_its_time_is_over_and_not_before(cluster: FreshCluster) -> None:
    spec = {"ttlSecondsAfterFinished": 7200, "template": JOB_POD}
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec})
    cluster.wait("job/once", "condition=Complete")
    cluster.clock.advance("1h50m")
    assert [job["metadata"]["name"] for job in cluster.list("jobs")] == ["once"]
    cluster.clock.advance("15m")
    assert cluster.list("jobs") == [] and cluster.list("pods") == []


def test_an_autoscaler_goes_up_at_once_and_down_after_its_window(cluster: FreshCluster) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"heeler.dev/usage": "cpu=200m"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
    }
    web = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    scaler = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 4,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    }
    cluster.apply(
        [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": web},
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "web"},
                "spec": scaler,
            },
        ]
    )
    cluster.clock.advance("5m")
    assert cluster.get("deployment", "web")["spec"]["replicas"] == 4
    for pod in cluster.list("pods"):
        cluster.patch("pod", pod["metadata"]["name"], {"metadata": {"annotations": {"heeler.dev/usage": "cpu=1m"}}})
    cluster.clock.advance("3m")
    assert cluster.get("deployment", "web")["spec"]["replicas"] == 4
    cluster.clock.advance("10m")
    assert cluster.get("deployment", "web")["spec"]["replicas"] == 1


def test_leases_are_kept_for_a_day_and_a_node_that_stops_is_found_out_in_time(cluster: FreshCluster) -> None:
    cluster.clock.advance("1 day")
    now = cluster.clock.now()
    for lease in cluster.list("leases", "kube-node-lease"):
        assert now - moment(lease["spec"]["renewTime"]) < datetime.timedelta(seconds=40)
    events = [event for event in cluster.events() if event["reason"] == "NodeNotReady"]
    assert events == []
    assert all(node["status"]["conditions"][-1]["status"] == "True" for node in cluster.list("nodes", None))
    cluster.kill_node("simulated-1")
    cluster.clock.advance("30s")
    assert cluster.get("node", "simulated-1")["status"]["conditions"][-1]["status"] == "True"
    cluster.clock.advance("35s")
    assert cluster.get("node", "simulated-1")["status"]["conditions"][-1]["status"] == "Unknown"
