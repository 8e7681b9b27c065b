"""Preemption: which pods of lower priority must go so that a pod finds a place, and on which node that costs least.

Pure. https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ — disruption budgets
are respected where another choice will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Refusal
from heeler.workloads import pods

HELPLESS = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"

#: The first refusal of a node by the plugins, all nodes being given (one of them changed).
Refuses = Callable[[PodInfo, NodeInfo, Sequence[NodeInfo]], Refusal | None]
#: How many of these victims a disruption budget protects, taken in this order.
Protected = Callable[[Sequence[PodInfo]], list[bool]]


class Plan(NamedTuple):
    """`victims` leave `node`; without a node `reasons` tells each node's reason."""

    node: str
    victims: list[PodInfo]
    reasons: list[str]


class _Candidate(NamedTuple):
    node: str
    victims: list[PodInfo]
    violations: int


def nothing_protected(victims: Sequence[PodInfo]) -> list[bool]:
    return [False] * len(victims)


def plan(
    pod: PodInfo,
    refused: Sequence[tuple[NodeInfo, Refusal]],
    nodes: Sequence[NodeInfo],
    refuses: Refuses,
    protected: Protected = nothing_protected,
) -> Plan:
    """`refused` are the nodes with the reason why they don't take the pod as they are."""
    candidates: list[_Candidate] = []
    reasons: list[str] = []
    for node, refusal in refused:
        if refusal.final:
            reasons.append(HELPLESS)
            continue
        found = _victims(pod, node, nodes, refuses, protected)
        if isinstance(found, _Candidate):
            candidates.append(found)
        else:
            reasons.append(found)
    if not candidates:
        return Plan("", [], reasons)
    best = min(candidates, key=_cost)
    return Plan(best.node, best.victims, reasons)


def _victims(
    pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo], refuses: Refuses, protected: Protected
) -> _Candidate | str:
    """The fewest pods that must leave a node, or why that wouldn't help."""
    lower = [info for info in node.pods.values() if info.priority < pod.priority]
    if not lower:
        return NO_VICTIMS
    trial = node.copy()
    for info in lower:
        trial.remove(info.key)
    others = [trial if one is node else one for one in nodes]
    refusal = refuses(pod, trial, others)
    if refusal is not None:
        return refusal.reasons[0]
    lower.sort(key=_importance)
    guarded = protected(lower)
    first = [info for info, held in zip(lower, guarded, strict=True) if held]
    rest = [info for info, held in zip(lower, guarded, strict=True) if not held]
    victims: list[PodInfo] = []
    violations = 0
    for info in [*first, *rest]:  # let as many stay as can, the protected and important ones before others
        trial.add(info)
        if refuses(pod, trial, others) is not None:
            trial.remove(info.key)
            victims.append(info)
            violations += info in first
    victims.sort(key=_importance)
    return _Candidate(node.name, victims, violations)


def _started(info: PodInfo) -> str:
    return str((info.pod.get("status") or {}).get("startTime") or "9999")


def _importance(info: PodInfo) -> tuple[int, str, str]:
    """The more important first: higher priority, then longer running."""
    return -info.priority, _started(info), info.key


def _cost(candidate: _Candidate) -> tuple[object, ...]:
    """Fewest violated budgets, lowest top priority, smallest sum, fewest victims, latest start of the top ones."""
    victims = candidate.victims
    top = max((v.priority for v in victims), default=-(2**31))
    latest = min((_started(v) for v in victims if v.priority == top), default="")
    return (
        candidate.violations,
        top,
        sum(v.priority + 2**31 for v in victims),
        len(victims),
        _Later(latest),
    )


class _Later(str):
    """Orders times backwards."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


def eligible(pod: PodInfo, node: NodeInfo | None) -> str:
    """Why a pod may not preempt, or "". `node` is the one that it was promised, if any."""
    if pod.pod["spec"].get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    if node is not None and any(
        pods.is_terminating(other.pod) and other.priority < pod.priority for other in node.pods.values()
    ):
        return "not eligible due to a terminating pod on the nominated node."
    return ""
