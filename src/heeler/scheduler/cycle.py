"""One pod's way to a node, top to bottom: which nodes are possible, which is best, or why none is.

Pure: no clock, no API. https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heeler.base.random import Random
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.list import FILTERS, SCORES
from heeler.scheduler.plugins.plugin import Refusal

HELPLESS = "Preemption is not helpful for scheduling."
NO_VICTIMS = "No preemption victims found for incoming pod."


class Decision(NamedTuple):
    """`node` to go to, or "" and the message that says why."""

    node: str
    message: str


def decide(pod: PodInfo, nodes: Sequence[NodeInfo], random: Random) -> Decision:
    if not nodes:
        return Decision("", "no nodes available to schedule pods")
    possible, refusals = feasible(pod, nodes)
    if not possible:
        return Decision("", explain(pod, len(nodes), refusals))
    if len(possible) == 1:
        return Decision(possible[0].name, "")
    return Decision(best(pod, possible, random).name, "")


def feasible(pod: PodInfo, nodes: Sequence[NodeInfo]) -> tuple[list[NodeInfo], list[Refusal]]:
    """The nodes that no plugin refuses, and the first refusal of each of the others."""
    checks = [check for plugin in FILTERS if (check := plugin.prepare(pod, nodes)) is not None]
    possible: list[NodeInfo] = []
    refusals: list[Refusal] = []
    for node in nodes:
        for check in checks:
            refusal = check(node)
            if refusal is not None:
                refusals.append(refusal)
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


def explain(pod: PodInfo, count: int, refusals: Sequence[Refusal]) -> str:
    """Upstream's sentence: each reason with its number of nodes, as sorted texts, and what preemption could do."""
    counts: dict[str, int] = {}
    for refusal in refusals:
        for reason in refusal.reasons:
            counts[reason] = counts.get(reason, 0) + 1
    text = f"0/{count} nodes are available: {_counted(counts)}."
    if pod.pod["spec"].get("preemptionPolicy") == "Never":
        return f"{text} preemption: not eligible due to preemptionPolicy=Never."
    helpless = sum(refusal.final for refusal in refusals)
    answers = {HELPLESS[:-1]: helpless, NO_VICTIMS[:-1]: len(refusals) - helpless}
    return f"{text} preemption: 0/{count} nodes are available: {_counted({k: n for k, n in answers.items() if n})}."


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(sorted(f"{number} {reason}" for reason, number in counts.items()))
