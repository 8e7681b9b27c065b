"""What a node's conditions mean for its taints, and when it counts as dead.

https://kubernetes.io/docs/concepts/architecture/nodes/#condition and …/taint-and-toleration/#taint-based-evictions
"""

from __future__ import annotations

from collections.abc import Container

from heeler.base.clock import rfc3339
from heeler.objects.value import Object, labels_of
from heeler.workloads import pods
from heeler.workloads.taints import NO_EXECUTE, NO_SCHEDULE

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

#: (condition, status, taint), in the order in which taints are added.
BY_CONDITION = (
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
)
#: Status of Ready -> the taint by which pods leave.
EVICTING = {"False": NOT_READY, "Unknown": UNREACHABLE}
NO_SCHEDULE_KEYS = {taint: None for _, _, taint in BY_CONDITION} | {UNSCHEDULABLE: None}
LEGACY_LABELS = (
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
)


def taints(node: Object, now: float) -> list[Object]:
    """The node's taints as its conditions want them of the scheduler; others stay, in their place."""
    wanted = [taint for kind, value, taint in BY_CONDITION if pods.has_condition(node, kind, value)]
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append(UNSCHEDULABLE)
    return _merged(node, wanted, NO_SCHEDULE, NO_SCHEDULE_KEYS, now)


def evicting(node: Object) -> str:
    """The key of the taint by which pods should leave the node; "" if they may stay."""
    ready = pods.condition(node, "Ready")
    return EVICTING.get(ready.get("status") or "", "") if ready is not None else ""


def evicted_by(node: Object) -> list[str]:
    """The keys of taints by which pods do leave it."""
    found = (node.get("spec") or {}).get("taints") or ()
    return [t["key"] for t in found if t.get("effect") == NO_EXECUTE and t["key"] in (NOT_READY, UNREACHABLE)]


def with_eviction(node: Object, key: str, now: float) -> list[Object]:
    """The node's taints with this one of the two that drive pods off ("" : with neither)."""
    return _merged(node, [key] if key else [], NO_EXECUTE, {NOT_READY: None, UNREACHABLE: None}, now)


def _merged(node: Object, wanted: list[str], effect: str, ours: Container[str], now: float) -> list[Object]:
    """The taints with those of one effect as wanted; `ours` are the keys that nobody else sets."""
    wanted, kept = list(wanted), []
    for taint in (node.get("spec") or {}).get("taints") or ():
        key = taint.get("key")
        if taint.get("effect") == effect and key in ours:
            if key not in wanted:
                continue
            wanted.remove(key)
        kept.append(taint)
    time = rfc3339(now)
    return kept + [{"key": key, "effect": effect, "timeAdded": time} for key in wanted]


def labels(node: Object) -> dict[str, str]:
    """The old names of two labels follow the new ones."""
    out = dict(labels_of(node))
    for new, old in LEGACY_LABELS:
        if new in out:
            out[old] = out[new]
    return out


def unheard(node: Object, now: float) -> list[Object]:
    """The conditions of a node that has not been heard of: all that it tells itself is unknown."""
    told = {c.get("type"): c for c in (node.get("status") or {}).get("conditions") or ()}
    time = rfc3339(now)
    out = []
    for kind in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
        old = told.get(kind)
        if old is None:
            reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
        elif old.get("status") == "Unknown":
            out.append(old)
            continue
        else:
            reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
        created = node["metadata"].get("creationTimestamp") or time
        out.append(
            {
                "type": kind,
                "status": "Unknown",
                "lastHeartbeatTime": old.get("lastHeartbeatTime") if old else created,
                "lastTransitionTime": time,
                "reason": reason,
                "message": message,
            }
        )
    return out


def sign_of_life(node: Object, lease: Object | None) -> tuple[object, ...]:
    """What changes whenever the node's agent says something."""
    ready = pods.condition(node, "Ready") or {}
    return (
        ready.get("lastHeartbeatTime"),
        ready.get("status"),
        (lease.get("spec") or {}).get("renewTime") if lease is not None else None,
    )
