"""What a Deployment says of itself: counts, availability, progress and its deadline.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.controllers.deployment_plan import new_set_of, size
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import rollout

NO_DEADLINE = 2**31 - 1

#: The order of Go's struct; shows in kubectl's output only.
COUNTS = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
)


def has_deadline(deployment: Object) -> bool:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return seconds is not None and seconds != NO_DEADLINE


def comparable(status: Object) -> Object:
    return {key: value for key, value in status.items() if value or key == "terminatingReplicas"}


def calculate(deployment: Object, sets: Sequence[Object], now: float) -> Object:
    """Counts and the Available condition; other conditions as they were."""
    old = deployment.get("status") or {}
    new = new_set_of(deployment, sets)

    def count(name: str, among: Sequence[Object]) -> int:
        return sum((obj.get("status") or {}).get(name) or 0 for obj in among)

    available = count("availableReplicas", sets)
    counts = {
        "replicas": count("replicas", sets),
        "updatedReplicas": count("replicas", [new] if new is not None else []),
        "readyReplicas": count("readyReplicas", sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(size(obj) for obj in sets) - available),
    }
    status: Object = {"observedGeneration": meta(deployment).get("generation") or 0}
    status.update((name, counts[name]) for name in COUNTS if counts[name])
    status["terminatingReplicas"] = count("terminatingReplicas", sets)
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    status["conditions"] = list(old.get("conditions") or ())
    wanted, strategy = deployment["spec"].get("replicas") or 0, deployment["spec"].get("strategy") or {}
    if available >= wanted - rollout.bounds(strategy, wanted).unavailable:
        said = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        said = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return with_condition(status, "Available", *said, now)


def with_progress(deployment: Object, sets: Sequence[Object], now: float) -> Object:
    """The status with its judgement of the rollout: done, moving, or past its deadline."""
    status = calculate(deployment, sets, now)
    new = new_set_of(deployment, sets)
    known = _condition(deployment.get("status") or {}, "Progressing")
    if not has_deadline(deployment):
        status = without_condition(status, "Progressing")
    elif not (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and known is not None
        and known.get("reason") == "NewReplicaSetAvailable"
    ):
        what = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
        if complete(deployment, status):
            said = ("True", "NewReplicaSetAvailable", f"{what} has successfully progressed.")
            status = with_condition(status, "Progressing", *said, now)
        elif _progressing(deployment.get("status") or {}, status):
            fresh = _fresh("Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
            if known is not None and known.get("status") == "True":
                fresh["lastTransitionTime"] = known.get("lastTransitionTime")
            status = without_condition(status, "Progressing")
            status["conditions"] = [*status["conditions"], fresh]
        elif _timed_out(deployment, status, now):
            said = ("False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.")
            status = with_condition(status, "Progressing", *said, now)
    failure = _failure(sets, new)
    if failure is None:
        return without_condition(status, "ReplicaFailure")
    said = (failure.get("status", "True"), failure.get("reason", ""), failure.get("message", ""))
    return with_condition(status, "ReplicaFailure", *said, now)


def complete(deployment: Object, status: Object) -> bool:
    """Every wanted pod is of the new template and available, and nothing else is left."""
    wanted = deployment["spec"].get("replicas") or 0
    return (
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and (status.get("observedGeneration") or 0) >= (meta(deployment).get("generation") or 0)
    )


def _progressing(old: Object, new: Object) -> bool:
    def outdated(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return (
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or outdated(new) < outdated(old)
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def _timed_out(deployment: Object, status: Object, now: float) -> bool:
    known = _condition(status, "Progressing")
    if known is None or known.get("reason") == "NewReplicaSetAvailable":
        return False
    if known.get("reason") == "ProgressDeadlineExceeded":
        return True
    return _deadline(deployment, known) < now


def until_deadline(deployment: Object, status: Object, now: float) -> float | None:
    """Seconds after which progress must be judged again; None: no need."""
    known = _condition(deployment.get("status") or {}, "Progressing")
    if not has_deadline(deployment) or known is None:
        return None
    if complete(deployment, status) or known.get("reason") == "ProgressDeadlineExceeded":
        return None
    return max(0.0, _deadline(deployment, known) - now) + 1.0


def _deadline(deployment: Object, known: Object) -> float:
    return parse_rfc3339(known["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"])


def _failure(sets: Sequence[Object], new: Object | None) -> Object | None:
    """A set's own ReplicaFailure condition, the new set's before others'."""
    first = [new] if new is not None else []
    for obj in [*first, *sets]:
        found = _condition(obj.get("status") or {}, "ReplicaFailure")
        if found is not None:
            return found
    return None


def _condition(status: Object, type: str) -> Object | None:
    return next((c for c in status.get("conditions") or () if c.get("type") == type), None)


def _fresh(type: str, status: str, reason: str, message: str, now: float) -> Object:
    time = rfc3339(now)
    return {
        "type": type,
        "status": status,
        "lastUpdateTime": time,
        "lastTransitionTime": time,
        "reason": reason,
        "message": message,
    }


def with_condition(status: Object, type: str, value: str, reason: str, message: str, now: float) -> Object:
    """The status with a condition; nothing changes if its status and reason are the same already."""
    known = _condition(status, type)
    if known is not None and known.get("status") == value and known.get("reason") == reason:
        return status
    fresh = _fresh(type, value, reason, message, now)
    if known is not None and known.get("status") == value:
        fresh["lastTransitionTime"] = known.get("lastTransitionTime")
    others = [c for c in status.get("conditions") or () if c.get("type") != type]
    return {**status, "conditions": [*others, fresh]}


def without_condition(status: Object, type: str) -> Object:
    return {**status, "conditions": [c for c in status.get("conditions") or () if c.get("type") != type]}
