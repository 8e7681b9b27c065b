"""What a PodDisruptionBudget says of itself. https://kubernetes.io/docs/tasks/run-application/configure-pdb/"""

from __future__ import annotations

from heeler.base.clock import rfc3339
from heeler.objects.value import Object
from heeler.workloads import pods

ALLOWED = "DisruptionAllowed"


def counted(budget: Object, allowed: int, now: float) -> list[Object]:
    """The conditions of a budget whose pods were counted: so many may be disrupted."""
    value, reason = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    return conditions(budget, value, reason, "", now, budget["metadata"].get("generation") or 0)


def conditions(budget: Object, value: str, reason: str, message: str, now: float, generation: int) -> list[Object]:
    """The conditions with `DisruptionAllowed` as it is now; `now`: seconds since the epoch, `generation` 0: not told."""
    known = pods.condition(budget, ALLOWED)
    others = [c for c in (budget.get("status") or {}).get("conditions") or () if c["type"] != ALLOWED]
    since = known["lastTransitionTime"] if known is not None and known["status"] == value else rfc3339(now)
    fresh: Object = {
        "type": ALLOWED,
        "status": value,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
    if generation:
        fresh["observedGeneration"] = generation
    return [*others, fresh]
