"""Nodes that are cordoned take no new pods but those that tolerate it."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal
from heeler.workloads.taints import NO_SCHEDULE, tolerated

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": NO_SCHEDULE}
REFUSAL = Refusal(("node(s) were unschedulable",), True)


class NodeUnschedulable:
    name = "NodeUnschedulable"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        if tolerated(pod.pod["spec"].get("tolerations") or (), TAINT):
            return None
        return lambda node: REFUSAL if node.unschedulable else None
