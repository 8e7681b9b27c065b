"""When an object of a release is ready: what `helm --wait` says of it."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.releases.ready import status_of


def obj(kind: str, api: str = "v1", *, spec: Any = None, status: Any = None, **meta: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec or {}, "status": status or {}}


def condition(type: str, status: str = "True", **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": type, "status": status, **more}]}


DONE = condition("Progressing", reason="NewReplicaSetAvailable")
FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
CRD = "apiextensions.k8s.io/v1"


@pytest.mark.parametrize(
    ("thing", "status", "message"),
    [
        (None, "NotFound", "Resource not found"),
        (obj("ConfigMap"), "Current", "Resource is current"),
        (obj("ConfigMap", deletionTimestamp="x"), "Terminating", "Resource scheduled for deletion"),
        (
            obj("Deployment", "apps/v1", generation=2, status={"observedGeneration": 1}),
            "InProgress",
            "Deployment generation is 2, but latest observed generation is 1",
        ),
        (obj("Deployment", "apps/v1", spec={"replicas": 2}), "InProgress", "replicas: 0/2"),
        (
            obj("Deployment", "apps/v1", spec={"replicas": 2}, status={**FULL, "availableReplicas": 0}),
            "InProgress",
            "Available: 0/2",
        ),
        (
            obj("Deployment", "apps/v1", spec={"replicas": 2}, status=FULL | DONE),
            "Current",
            "Deployment is available. Replicas: 2",
        ),
        (
            obj("Deployment", "apps/v1", status=condition("Progressing", "False", reason="ProgressDeadlineExceeded")),
            "Failed",
            "Progress deadline exceeded",
        ),
        (obj("StatefulSet", "apps/v1", spec={"replicas": 2}, status={"replicas": 1}), "InProgress", "Replicas: 1/2"),
        (obj("StatefulSet", "apps/v1", spec={"replicas": 1}, status={"replicas": 1}), "InProgress", "Ready: 0/1"),
        (obj("DaemonSet", "apps/v1"), "InProgress", "Missing .status.observedGeneration"),
        (
            obj("DaemonSet", "apps/v1", status={"observedGeneration": 1, "desiredNumberScheduled": 0}, generation=1),
            "Current",
            "All replicas scheduled as expected. Replicas: 0",
        ),
        (obj("PersistentVolumeClaim", status={"phase": "Pending"}), "InProgress", "PVC is not Bound. phase: Pending"),
        (obj("PersistentVolumeClaim", status={"phase": "Bound"}), "Current", "PVC is Bound"),
        (obj("Service", spec={"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), "Current", "Service is ready"),
        (
            obj("Pod", status={"phase": "Pending", **condition("PodScheduled", "False", reason="Unschedulable")}),
            "InProgress",
            "Pod has not been scheduled",
        ),
        (obj("Pod", status={"phase": "Running", **condition("Ready")}), "Current", "Pod is Ready"),
        (obj("Pod", status={"phase": "Failed"}), "Failed", "Pod has completed, but not successfully"),
        (obj("Job", "batch/v1"), "InProgress", "Job not started"),
        (
            obj("Job", "batch/v1", status={"startTime": "x", "active": 1}),
            "Current",
            "Job in progress. success:0, active: 1, failed: 0",
        ),
        (obj("Job", "batch/v1", status=condition("Failed") | {"failed": 1}), "Failed", "Job Failed. failed: 1/1"),
        (obj("CustomResourceDefinition", CRD), "InProgress", "Install in progress"),
        (obj("CustomResourceDefinition", CRD, status=condition("Established")), "Current", "CRD is established"),
        (obj("Widget", "a.b/v1", status=condition("Ready", "False", message="not yet")), "InProgress", "not yet"),
        (obj("Widget", "a.b/v1", status=condition("Stalled", message="no way")), "Failed", "no way"),
    ],
)
def test_an_objects_status(thing: dict[str, Any] | None, status: str, message: str) -> None:
    assert status_of(thing) == (status, message)


def test_jobs_and_hooks_are_waited_for_to_their_end() -> None:
    job = obj("Job", "batch/v1", status={"startTime": "x", "active": 1})
    assert status_of(job, jobs=True) == ("InProgress", "Job in progress")
    assert status_of(job, hook=True) == ("InProgress", "Job in progress")
    pod = obj("Pod", status={"phase": "Running", **condition("Ready")})
    assert status_of(pod, hook=True) == ("InProgress", "Pod in progress")
    assert status_of(obj("Pod", status={"phase": "Succeeded"}), hook=True).status == "Current"
