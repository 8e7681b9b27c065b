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


def merged(first: Sequence[Object], second: Sequence[Object]) -> list[Object]:
    """Both sets of tolerations, without those that another one covers; of equal ones the first stays."""
    given = [*first, *second]
    out: list[Object] = []
    for at, one in enumerate(given):
        later = (other for other in given[at + 1 :] if other != one)
        if not any(_covers(other, one) for other in (*out, *later)):
            out.append(one)
    return out


def _covers(wide: Object, narrow: Object) -> bool:
    """Does one toleration tolerate all that the other does?"""
    if wide == narrow:
        return True
    key, operator = wide.get("key") or "", wide.get("operator") or "Equal"
    if key != (narrow.get("key") or "") and not (key == "" and operator == "Exists"):
        return False
    effect = wide.get("effect") or ""
    if effect not in ("", narrow.get("effect") or ""):
        return False
    seconds, others = wide.get("tolerationSeconds"), narrow.get("tolerationSeconds")
    if effect == "NoExecute" and seconds is not None and (others is None or others > seconds):
        return False
    if operator == "Exists":
        return True
    same = (wide.get("value") or "") == (narrow.get("value") or "")
    return operator == "Equal" and (narrow.get("operator") or "Equal") == "Equal" and same
