"""Nodes with taints that a pod doesn't tolerate are out; those with fewer PreferNoSchedule taints are better."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal, normalised
from heeler.workloads.taints import NO_EXECUTE, NO_SCHEDULE, PREFER, tolerated, untolerated

REFUSAL = Refusal(("node(s) had untolerated taint(s)",), True)


class TaintToleration:
    name = "TaintToleration"
    weight = 3

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        if not any(node.taints for node in nodes):
            return None
        tolerations = pod.pod["spec"].get("tolerations") or ()

        def check(node: NodeInfo) -> Refusal | None:
            if node.taints and untolerated(tolerations, node.taints, (NO_SCHEDULE, NO_EXECUTE)):
                return REFUSAL
            return None

        return check

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        if not any(taint.get("effect") == PREFER for node in nodes for taint in node.taints):
            return None
        tolerations = [t for t in pod.pod["spec"].get("tolerations") or () if t.get("effect") in (None, "", PREFER)]
        bad = [sum(t.get("effect") == PREFER and not tolerated(tolerations, t) for t in node.taints) for node in nodes]
        return normalised(bad, reverse=True)
