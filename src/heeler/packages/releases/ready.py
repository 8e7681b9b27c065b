"""Is an object of a release ready? What `helm --wait` looks at: a status and a message for each kind.

Pure: an object as the server shows it goes in. Source: the rules of kstatus
(https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus) and what helm 4.3 said of such objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from heeler.objects.value import Object

CURRENT, IN_PROGRESS, FAILED, TERMINATING, NOT_FOUND = "Current", "InProgress", "Failed", "Terminating", "NotFound"


class Status(NamedTuple):
    """`status` is one of the words above."""

    status: str
    message: str


def status_of(obj: Object | None, *, jobs: bool = False, hook: bool = False) -> Status:
    """An object's status. `jobs`: a Job counts when it is done, not when it has begun; `hook`: so do pods and jobs of hooks."""
    if obj is None:
        return Status(NOT_FOUND, "Resource not found")
    group, kind = obj.get("apiVersion", "").rpartition("/")[0], obj.get("kind", "")
    if hook and (group, kind) == ("", "Pod"):
        return _hook_pod(obj)
    general = _general(obj)
    if general is not None:
        return general
    if (group, kind) == ("batch", "Job"):
        return _job(obj, done=jobs or hook)
    rule = _RULES.get((group, kind))
    if rule is not None:
        return rule(obj)
    return _by_ready_condition(obj)


def _general(obj: Object) -> Status | None:
    """What holds for every kind."""
    metadata, status = obj.get("metadata") or {}, _status(obj)
    if metadata.get("deletionTimestamp"):
        return Status(TERMINATING, "Resource scheduled for deletion")
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if isinstance(observed, int) and generation is not None and observed != generation:
        kind = obj.get("kind", "")
        return Status(IN_PROGRESS, f"{kind} generation is {generation}, but latest observed generation is {observed}")
    if (found := _condition(obj, "Reconciling")) and found.get("status") == "True":
        return Status(IN_PROGRESS, found.get("message", ""))
    if (found := _condition(obj, "Stalled")) and found.get("status") == "True":
        return Status(FAILED, found.get("message", ""))
    return None


def _by_ready_condition(obj: Object) -> Status:
    """A kind without rules of its own: its condition Ready, if it has one."""
    found = _condition(obj, "Ready")
    if found is not None and found.get("status") != "True":
        return Status(IN_PROGRESS, found.get("message", ""))
    return Status(CURRENT, "Resource is current")


def _deployment(obj: Object) -> Status:
    progressing = _condition(obj, "Progressing")
    if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Status(FAILED, "Progress deadline exceeded")
    wanted = _number(obj, "spec", "replicas", default=1)
    there, updated = _number(obj, "status", "replicas"), _number(obj, "status", "updatedReplicas")
    ready, available = _number(obj, "status", "readyReplicas"), _number(obj, "status", "availableReplicas")
    for short, text in (
        (wanted > there, f"replicas: {there}/{wanted}"),
        (wanted > updated, f"Updated: {updated}/{wanted}"),
        (there > wanted, f"Pending termination: {there - wanted}"),
        (updated > available, f"Available: {available}/{updated}"),
        (wanted > ready, f"Ready: {ready}/{wanted}"),
    ):
        if short:
            return Status(IN_PROGRESS, text)
    if progressing is not None and not (
        progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"
    ):
        return Status(IN_PROGRESS, "ReplicaSet not Available")
    found = _condition(obj, "Available")
    if found is not None and found.get("status") != "True":
        return Status(IN_PROGRESS, "Deployment not Available")
    return Status(CURRENT, f"Deployment is available. Replicas: {there}")


def _replica_set(obj: Object) -> Status:
    failed = _condition(obj, "ReplicaFailure")
    if failed is not None and failed.get("status") == "True":
        return Status(IN_PROGRESS, "Replica Failure condition. Check Pods")
    wanted, there = _number(obj, "spec", "replicas", default=1), _number(obj, "status", "replicas")
    labelled = _number(obj, "status", "fullyLabeledReplicas")
    available, ready = _number(obj, "status", "availableReplicas"), _number(obj, "status", "readyReplicas")
    for short, text in (
        (wanted > labelled, f"Labelled: {labelled}/{wanted}"),
        (wanted > available, f"Available: {available}/{wanted}"),
        (wanted > ready, f"Ready: {ready}/{wanted}"),
        (there > wanted, f"Pending termination: {there - wanted}"),
    ):
        if short:
            return Status(IN_PROGRESS, text)
    return Status(CURRENT, f"ReplicaSet is available. Replicas: {there}")


def _stateful_set(obj: Object) -> Status:
    strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return Status(CURRENT, "StatefulSet is using the ondelete update strategy")
    wanted = _number(obj, "spec", "replicas", default=1)
    there, ready = _number(obj, "status", "replicas"), _number(obj, "status", "readyReplicas")
    current, updated = _number(obj, "status", "currentReplicas"), _number(obj, "status", "updatedReplicas")
    for short, text in (
        (wanted > there, f"Replicas: {there}/{wanted}"),
        (wanted > ready, f"Ready: {ready}/{wanted}"),
        (there > wanted, f"Pending termination: {there - wanted}"),
    ):
        if short:
            return Status(IN_PROGRESS, text)
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition:
        if updated < wanted - partition:
            return Status(IN_PROGRESS, f"updated: {updated}/{wanted - partition}")
        return Status(CURRENT, f"Partition rollout complete. updated: {updated}")
    if wanted > current:
        return Status(IN_PROGRESS, f"current: {current}/{wanted}")
    status = _status(obj)
    if status.get("currentRevision") != status.get("updateRevision"):
        return Status(IN_PROGRESS, "Waiting for updated revision to match current")
    return Status(CURRENT, f"All replicas scheduled as expected. Replicas: {there}")


def _daemon_set(obj: Object) -> Status:
    if "observedGeneration" not in _status(obj):
        return Status(IN_PROGRESS, "Missing .status.observedGeneration")
    if "desiredNumberScheduled" not in _status(obj):
        return Status(IN_PROGRESS, "Missing .status.desiredNumberScheduled")
    wanted, current = _number(obj, "status", "desiredNumberScheduled"), _number(obj, "status", "currentNumberScheduled")
    updated = _number(obj, "status", "updatedNumberScheduled")
    available, ready = _number(obj, "status", "numberAvailable"), _number(obj, "status", "numberReady")
    for short, text in (
        (wanted > current, f"Current: {current}/{wanted}"),
        (wanted > updated, f"Updated: {updated}/{wanted}"),
        (wanted > available, f"Available: {available}/{wanted}"),
        (wanted > ready, f"Ready: {ready}/{wanted}"),
    ):
        if short:
            return Status(IN_PROGRESS, text)
    return Status(CURRENT, f"All replicas scheduled as expected. Replicas: {wanted}")


def _claim(obj: Object) -> Status:
    phase = _status(obj).get("phase") or "unknown"
    if phase != "Bound":
        return Status(IN_PROGRESS, f"PVC is not Bound. phase: {phase}")
    return Status(CURRENT, "PVC is Bound")


def _service(obj: Object) -> Status:
    spec = obj.get("spec") or {}
    if spec.get("type") == "LoadBalancer" and not spec.get("clusterIP"):
        return Status(IN_PROGRESS, "ClusterIP not set. Service type: LoadBalancer")
    return Status(CURRENT, "Service is ready")


def _pod(obj: Object) -> Status:
    status = _status(obj)
    phase = status.get("phase", "")
    match phase:
        case "Succeeded":
            return Status(CURRENT, "Pod has completed successfully")
        case "Failed":
            return Status(FAILED, "Pod has completed, but not successfully")
        case "Running":
            ready = _condition(obj, "Ready")
            if ready is not None and ready.get("status") == "True":
                return Status(CURRENT, "Pod is Ready")
            looping = [
                container["name"]
                for container in status.get("containerStatuses") or ()
                if ((container.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
            ]
            if looping:
                return Status(FAILED, f"Containers in CrashLoop state: {','.join(looping)}")
            return Status(IN_PROGRESS, "Pod is running but is not Ready")
        case "Pending":
            scheduled = _condition(obj, "PodScheduled")
            if scheduled is not None and scheduled.get("status") == "False":
                if scheduled.get("reason") == "Unschedulable":
                    return Status(IN_PROGRESS, "Pod has not been scheduled")
                return Status(IN_PROGRESS, "Pod is in the Pending phase")
            return Status(IN_PROGRESS, "Pod is in the Pending phase")
        case "":
            return Status(IN_PROGRESS, "Pod phase not available")
        case _:
            return Status(FAILED, f"Unknown phase {phase}")


def _hook_pod(obj: Object) -> Status:
    """A hook's pod counts when it has ended."""
    phase, name = _status(obj).get("phase", ""), (obj.get("metadata") or {}).get("name", "")
    if phase == "Succeeded":
        return Status(CURRENT, f"pod {name} succeeded")
    if phase == "Failed":
        return Status(FAILED, f"pod {name} failed")
    return Status(IN_PROGRESS, "Pod in progress")


def _job(obj: Object, *, done: bool) -> Status:
    failed = _status(obj).get("failed", 0)
    pods = _number(obj, "spec", "completions", default=1)
    for type, answer in (
        ("Complete", Status(CURRENT, "Job Completed")),
        ("Failed", Status(FAILED, f"Job Failed. failed: {failed}/{pods}")),
    ):
        found = _condition(obj, type)
        if found is not None and found.get("status") == "True":
            return answer
    if done:
        return Status(IN_PROGRESS, "Job in progress")
    if not _status(obj).get("startTime"):
        return Status(IN_PROGRESS, "Job not started")
    status = _status(obj)
    counts = (
        f"success:{status.get('succeeded', 0)}, active: {status.get('active', 0)}, failed: {status.get('failed', 0)}"
    )
    return Status(CURRENT, f"Job in progress. {counts}")


def _budget(obj: Object) -> Status:
    return Status(CURRENT, "AllowedDisruptions has been computed.")


def _definition(obj: Object) -> Status:
    accepted, established = _condition(obj, "NamesAccepted"), _condition(obj, "Established")
    if accepted is not None and accepted.get("status") == "False":
        return Status(FAILED, accepted.get("message", ""))
    if established is not None and established.get("status") == "True":
        return Status(CURRENT, "CRD is established")
    if established is not None and established.get("status") == "False" and established.get("reason") != "Installing":
        return Status(FAILED, established.get("message", ""))
    return Status(IN_PROGRESS, "Install in progress")


_RULES: dict[tuple[str, str], Callable[[Object], Status]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
    ("", "Pod"): _pod,
    ("policy", "PodDisruptionBudget"): _budget,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}


def _status(obj: Object) -> Object:
    found: Object = obj.get("status") or {}
    return found


def _condition(obj: Object, type: str) -> Object | None:
    return next((c for c in _status(obj).get("conditions") or () if c.get("type") == type), None)


def _number(obj: Object, part: str, name: str, default: int = 0) -> int:
    found: Any = (obj.get(part) or {}).get(name)
    return found if isinstance(found, int) else default
