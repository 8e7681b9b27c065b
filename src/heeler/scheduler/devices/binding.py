"""Devices that aren't ready at once: conditions that their drivers set, for which a pod waits before it is bound. Pure.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-binding-conditions
"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.base.clock import parse_rfc3339
from heeler.objects.faults import quote
from heeler.objects.value import Object, name_of

FAILED, TIMEOUT = "device binding failed", "device binding timeout"


def waits(claim: Object) -> bool:
    """Does an allocation have devices with conditions?"""
    return any(True for _ in _conditional(claim))


def is_ready(claim: Object) -> bool:
    """Are all conditions met?"""
    return all(
        (_told(claim, result).get(wanted) or {}).get("status") == "True"
        for result in _conditional(claim)
        for wanted in result["bindingConditions"]
    )


def failure(claim: Object) -> str:
    """Why a device will never be ready, or ""."""
    for result in _conditional(claim):
        told = _told(claim, result)
        for name in result.get("bindingFailureConditions") or ():
            found = told.get(name) or {}
            if found.get("status") == "True":
                reason, message = found.get("reason", ""), quote(found.get("message", ""))
                return f"{FAILED}: claim={name_of(claim)}, reason={reason}, message={message}"
    return ""


def is_hopeless(claim: Object, seconds: float, now: float) -> bool:
    """A device failed, or its conditions weren't met for so long after it was allocated. `now`: since the epoch."""
    if failure(claim):
        return True
    allocated = ((claim.get("status") or {}).get("allocation") or {}).get("allocationTimestamp")
    if not allocated or not waits(claim) or is_ready(claim):
        return False
    return parse_rfc3339(allocated) + seconds < now


def _conditional(claim: Object) -> Iterator[Object]:
    """The results with conditions."""
    devices = ((claim.get("status") or {}).get("allocation") or {}).get("devices") or {}
    return (result for result in devices.get("results") or () if result.get("bindingConditions"))


def _told(claim: Object, result: Object) -> dict[str, Object]:
    """What a device's driver says of it, by the condition's type."""
    device = _id(result)
    for one in (claim.get("status") or {}).get("devices") or ():
        if _id(one) == device:
            return {condition["type"]: condition for condition in one.get("conditions") or ()}
    return {}


def _id(one: Object) -> tuple[object, ...]:
    return one.get("driver"), one.get("pool"), one.get("device")
