"""Taints and tolerations: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.objects.value import Object

NO_SCHEDULE, NO_EXECUTE, PREFER = "NoSchedule", "NoExecute", "PreferNoSchedule"


def tolerates(toleration: Object, taint: Object) -> bool:
    effect, key = toleration.get("effect") or "", toleration.get("key") or ""
    if effect and effect != taint.get("effect"):
        return False
    if key and key != taint.get("key"):
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")
        case "Lt" | "Gt" as operator:
            return _compares(toleration.get("value") or "", taint.get("value") or "", operator)
        case _:
            return False


def _compares(wanted: str, value: str, operator: str) -> bool:
    try:
        return int(value) < int(wanted) if operator == "Lt" else int(value) > int(wanted)
    except ValueError:
        return False


def tolerated(tolerations: Sequence[Object], taint: Object) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(tolerations: Sequence[Object], taints: Sequence[Object], effects: tuple[str, ...]) -> Object | None:
    """The first taint with one of the effects that nothing tolerates."""
    return next((t for t in taints if t.get("effect") in effects and not tolerated(tolerations, t)), None)


def eviction_delay(tolerations: Sequence[Object], taints: Sequence[Object]) -> float | None:
    """Seconds until a pod must leave a node with these NoExecute taints; None: it may stay, 0: at once.

    Of each taint the first toleration that matches decides; the shortest time counts.
    """
    least: float | None = None
    for taint in taints:
        if taint.get("effect") != NO_EXECUTE:
            continue
        match = next((t for t in tolerations if tolerates(t, taint)), None)
        if match is None:
            return 0.0
        seconds = match.get("tolerationSeconds")
        if seconds is not None:
            seconds = max(0.0, float(seconds))
            least = seconds if least is None else min(least, seconds)
    return least
