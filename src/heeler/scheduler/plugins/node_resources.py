"""A node must have what a pod asks for; nodes with more left, and in better balance, are preferred.

https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal


class NodeResourcesFit:
    name = "NodeResourcesFit"
    weight = 1

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        wanted = [(name, amount) for name, amount in sorted(pod.requests.items(), key=_order) if amount > 0]

        def check(node: NodeInfo) -> Refusal | None:
            reasons: list[str] = []
            final = False
            if len(node.pods) + 1 > node.allocatable.get("pods", 0):
                reasons.append("Too many pods")
            for name, amount in wanted:
                has = node.allocatable.get(name, 0)
                if amount > has - node.requested.get(name, 0):
                    reasons.append(f"Insufficient {name}")
                    final = final or amount > has
            return Refusal(tuple(reasons), final) if reasons else None

        return check

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        """The share that is left, of CPU and memory alike."""
        return [_least_allocated(pod, node) for node in nodes]


def _order(entry: tuple[str, int]) -> tuple[int, str]:
    """CPU, memory and ephemeral storage first."""
    first = ("cpu", "memory", "ephemeral-storage")
    return (first.index(entry[0]) if entry[0] in first else len(first), entry[0])


def _least_allocated(pod: PodInfo, node: NodeInfo) -> int:
    total = count = 0
    for name in ("cpu", "memory"):
        has = node.allocatable.get(name, 0)
        if not has:
            continue
        count += 1
        used = node.scored[name] + pod.scored[name]
        if used <= has:
            total += (has - used) * MAX_SCORE // has
    return total // count if count else 0


class NodeResourcesBalancedAllocation:
    """How much evener the shares of CPU and memory get by the pod."""

    name = "NodeResourcesBalancedAllocation"
    weight = 1

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        if not pod.requests.get("cpu") and not pod.requests.get("memory"):
            return None
        return [_balance(pod, node) for node in nodes]


def _balance(pod: PodInfo, node: NodeInfo) -> int:
    def spread(more: int) -> float:
        shares = []
        for name in ("cpu", "memory"):
            has = node.allocatable.get(name, 0)
            if has:
                asked = pod.requests.get(name, 0) * more
                shares.append(min(1.0, (node.requested.get(name, 0) + asked) / has))
        return abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0

    before, after = MAX_SCORE * (1 - spread(0)), MAX_SCORE * (1 - spread(1))
    return math.floor(MAX_SCORE / 2 + (after - before) / 2)
