"""One pod's way to a node, top to bottom: which nodes are possible, which is best, or why none is.

Pure: no clock, no API. https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from heeler.base.random import Random
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.list import FILTERS, SCORES, VOLUME_BINDING
from heeler.scheduler.plugins.plugin import Refusal
from heeler.scheduler.preemption import Plan, Protected, eligible, nothing_protected, plan


class Decision(NamedTuple):
    """`node` to go to; or "", why, and which pods would have to leave which node for it."""

    node: str
    message: str
    preempt: Plan | None = None


def decide(
    pod: PodInfo,
    nodes: Sequence[NodeInfo],
    random: Random,
    *,
    promised: NodeInfo | None = None,
    protected: Protected = nothing_protected,
) -> Decision:
    """`promised` is the node where other pods already make room for this one."""
    if not nodes:
        return Decision("", "no nodes available to schedule pods")
    hopeless = VOLUME_BINDING.hopeless(pod)
    if hopeless:
        return Decision("", f"0/{len(nodes)} nodes are available: {hopeless}. not found")
    possible, refusals = feasible(pod, nodes)
    if promised is not None and any(node.name == promised.name for node in possible):
        return Decision(promised.name, "")
    if possible:
        return Decision(possible[0].name if len(possible) == 1 else best(pod, possible, random).name, "")
    text = f"0/{len(nodes)} nodes are available: {_counted(reason for _, r in refusals for reason in r.reasons)}."
    no = eligible(pod, promised)
    if no:
        return Decision("", f"{text} preemption: {no}")
    found = plan(pod, refusals, nodes, _refuses, protected)
    if found.node:
        told = f"found a potential placement for pod on node {found.node}, preempting {len(found.victims)} victims"
        return Decision("", f"{text} preemption: {told}", found)
    return Decision("", f"{text} preemption: 0/{len(nodes)} nodes are available: {_counted(found.reasons)}.")


def _refuses(pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo]) -> Refusal | None:
    for plugin in FILTERS:
        check = plugin.prepare(pod, nodes)
        refusal = check(node) if check is not None else None
        if refusal is not None:
            return refusal
    return None


def feasible(pod: PodInfo, nodes: Sequence[NodeInfo]) -> tuple[list[NodeInfo], list[tuple[NodeInfo, Refusal]]]:
    """The nodes that no plugin refuses, and the others with their first refusal."""
    checks = [check for plugin in FILTERS if (check := plugin.prepare(pod, nodes)) is not None]
    possible: list[NodeInfo] = []
    refusals: list[tuple[NodeInfo, Refusal]] = []
    for node in nodes:
        for check in checks:
            refusal = check(node)
            if refusal is not None:
                refusals.append((node, refusal))
                break
        else:
            possible.append(node)
    return possible, refusals


def best(pod: PodInfo, nodes: Sequence[NodeInfo], random: Random) -> NodeInfo:
    """The node with the highest weighted sum; one of them by chance if several have it."""
    totals = [0] * len(nodes)
    for plugin in SCORES:
        numbers = plugin.rate(pod, nodes)
        if numbers is not None:
            for i, number in enumerate(numbers):
                totals[i] += plugin.weight * number
    top = max(totals)
    candidates = [node for node, total in zip(nodes, totals, strict=True) if total == top]
    return candidates[random.below(len(candidates))] if len(candidates) > 1 else candidates[0]


def _counted(reasons: Iterable[str]) -> str:
    """Each reason with its number of nodes, as sorted texts."""
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(sorted(f"{number} {reason}" for reason, number in counts.items()))
