"""Which pods leave because a device of theirs is tainted, and what a DeviceTaintRule says of it. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.objects.value import Object, uid_of
from heeler.workloads.device_taints import selects
from heeler.workloads.taints import NO_EXECUTE, tolerates

#: (driver, pool, device)
Device: TypeAlias = "tuple[str, str, str]"

IN_PROGRESS = "EvictionInProgress"
NONE = "None"


class Eviction(NamedTuple):
    """`at`, in seconds since the epoch, and the uids of the rules that are a reason."""

    at: float
    rules: tuple[str, ...]


def tainted_devices(slices: Iterable[Object]) -> dict[Device, list[Object]]:
    """The published devices with their taints. Of a pool only its newest generation counts."""
    newest: dict[tuple[str, str], int] = {}
    found = list(slices)
    for one in found:
        pool = one["spec"]["pool"]
        key = (one["spec"]["driver"], pool["name"])
        newest[key] = max(newest.get(key, 0), int(pool.get("generation") or 0))
    out: dict[Device, list[Object]] = {}
    for one in found:
        driver, pool = one["spec"]["driver"], one["spec"]["pool"]
        if int(pool.get("generation") or 0) == newest[driver, pool["name"]]:
            for device in one["spec"].get("devices") or ():
                out[driver, pool["name"], device["name"]] = device.get("taints") or []
    return out


def allocated(claim: Object) -> list[Object]:
    """The devices that a claim has."""
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return (allocation.get("devices") or {}).get("results") or []


def eviction(claim: Object, devices: Mapping[Device, list[Object]], rules: Iterable[Object]) -> Eviction | None:
    """When who uses a claim must go. `rules` are those that evict."""
    times: list[float] = []
    reasons: dict[str, None] = {}
    evicting = list(rules)
    for result in allocated(claim):
        device = (result["driver"], result["pool"], result["device"])
        for taint, rule in _taints(device, devices, evicting):
            at = _leaves_at(taint, result.get("tolerations") or ())
            if at is None:
                continue
            times.append(at)
            if rule is not None:
                reasons[uid_of(rule)] = None
    return Eviction(min(times), tuple(sorted(reasons))) if times else None


def _taints(
    device: Device, devices: Mapping[Device, list[Object]], rules: list[Object]
) -> Iterator[tuple[Object, Object | None]]:
    """The taints by which a device drives its users off, each with the rule that it comes from."""
    for taint in devices.get(device, ()):
        if taint.get("effect") == NO_EXECUTE:
            yield taint, None
    for rule in rules:
        if selects(rule, device):
            yield rule["spec"]["taint"], rule


def _leaves_at(taint: Object, tolerations: Iterable[Object]) -> float | None:
    """The moment from which a taint isn't tolerated any more; None: it is for ever."""
    added = parse_rfc3339(taint["timeAdded"]) if taint.get("timeAdded") else 0.0
    seconds: list[float] = []
    for toleration in tolerations:
        if toleration.get("effect") == NO_EXECUTE and tolerates(toleration, taint):
            if toleration.get("tolerationSeconds") is None:
                return None
            seconds.append(max(0.0, float(toleration["tolerationSeconds"])))
    return added + min(seconds, default=0.0)


class Seen(NamedTuple):
    """What a rule means at the moment: pods that are to leave, in so many namespaces; devices that it selects (only for the
    effect None); pods that have left since the controller's start."""

    pending: int
    namespaces: int
    published: int
    allocated: int
    evicted: int


def condition(rule: Object, seen: Seen, now: float) -> Object:
    """What a rule's status says of evictions."""
    effect = rule["spec"]["taint"]["effect"]
    value, reason, message = "False", "OtherEffect", "Eviction only happens for the NoExecute effect."
    if effect == NO_EXECUTE:
        message = ""
        reason = "Completed" if seen.evicted else "NotStarted"
        if seen.pending:
            value, reason = "True", "PodsPendingEviction"
            need = "pod needs" if seen.pending == 1 else "pods need"
            message = f"{seen.pending} {need} to be evicted in {_namespaces(seen.namespaces)}."
    elif effect == NONE:
        reason = "NoEffect"
        message = (
            f"{_several(seen.published, 'published device')} selected. "
            f"{_several(seen.allocated, 'allocated device')} selected. "
            f"{_several(seen.pending, 'pod')} would be evicted in {_namespaces(seen.namespaces)} if the effect was "
            "NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update."
        )
    if seen.evicted:
        message = f"{message} {_several(seen.evicted, 'pod')} evicted since starting the controller.".lstrip()
    return {
        "type": IN_PROGRESS,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": rule["metadata"].get("generation") or 0,
        "lastTransitionTime": rfc3339(now),
    }


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _namespaces(number: int) -> str:
    return "1 namespace" if number == 1 else f"{number} different namespaces"
