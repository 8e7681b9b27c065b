"""What a pod's state means: active, ready, available, finished.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from heeler.base.clock import parse_rfc3339
from heeler.objects.value import Object, meta


def phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase") or ""


def node_name(pod: Object) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def is_terminating(pod: Object) -> bool:
    """Its deletion was asked for."""
    return "deletionTimestamp" in meta(pod)


def is_finished(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    return not is_finished(pod) and not is_terminating(pod)


def condition(obj: Object, type: str) -> Object | None:
    """A condition of an object's status (of pods, nodes, deployments, …)."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found.get("type") == type:
            return found  # type: ignore[no-any-return]
    return None


def has_condition(obj: Object, type: str, status: str = "True") -> bool:
    found = condition(obj, type)
    return found is not None and found.get("status") == status


def is_ready(pod: Object) -> bool:
    return has_condition(pod, "Ready")


def ready_since(pod: Object) -> float | None:
    """When it became ready, in seconds since the epoch; None if it isn't or doesn't say since when."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True" or not found.get("lastTransitionTime"):
        return None
    return parse_rfc3339(found["lastTransitionTime"])


def is_available(pod: Object, min_ready_seconds: int, now: float) -> bool:
    """Ready for as long as it must be."""
    if not is_ready(pod):
        return False
    if not min_ready_seconds:
        return True
    since = ready_since(pod)
    return since is not None and since + min_ready_seconds <= now


def restarts(pod: Object) -> tuple[int, int]:
    """The most restarts of any container, and of any sidecar, which count where the others are alike."""
    status = pod.get("status") or {}
    counts = [
        max((int(one.get("restartCount") or 0) for one in found), default=0)
        for found in (status.get("containerStatuses") or (), sidecar_statuses(pod))
    ]
    return counts[0], counts[1]


def addresses(pod: Object) -> list[str]:
    status = pod.get("status") or {}
    return [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")] or (
        [status["podIP"]] if status.get("podIP") else []
    )


def containers(pod: Object) -> list[Object]:
    """Those that run beside each other: containers and sidecars (init containers that restart always)."""
    return [*((pod.get("spec") or {}).get("containers") or ()), *_sidecars(pod)]


def sidecar_statuses(pod: Object) -> list[Object]:
    """What the pod's status says of its sidecars."""
    names = {c["name"]: None for c in _sidecars(pod)}
    return [one for one in (pod.get("status") or {}).get("initContainerStatuses") or () if one.get("name") in names]


def _sidecars(pod: Object) -> list[Object]:
    return [c for c in (pod.get("spec") or {}).get("initContainers") or () if c.get("restartPolicy") == "Always"]
