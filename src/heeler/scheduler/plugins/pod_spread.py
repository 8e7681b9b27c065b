"""Pods of one kind are spread over nodes and zones: as their constraints say, and by default if they say nothing.

https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.objects import selectors
from heeler.objects.selectors import LabelSelector, Requirement
from heeler.objects.value import Object
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal
from heeler.workloads import affinity, pods
from heeler.workloads.taints import NO_EXECUTE, NO_SCHEDULE, untolerated

MISSING = Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",), True)
REFUSAL = Refusal(("node(s) didn't match pod topology spread constraints",))
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


class PodTopologySpread:
    name = "PodTopologySpread"
    weight = 2

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        hard = [c for c in _constraints(pod) if c.get("whenUnsatisfiable") == "DoNotSchedule"]
        if not hard:
            return None
        counts = [_count(pod, constraint, nodes) for constraint in hard]

        def check(node: NodeInfo) -> Refusal | None:
            for constraint, (selector, per_domain) in zip(hard, counts, strict=True):
                domain = node.labels.get(constraint["topologyKey"])
                if domain is None:
                    return MISSING
                least = min(per_domain.values(), default=0)
                if len(per_domain) < int(constraint.get("minDomains") or 1):
                    least = 0
                own = 1 if selector.matches(pod.labels) else 0
                if per_domain.get(domain, 0) + own - least > int(constraint["maxSkew"]):
                    return REFUSAL
            return None

        return check

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        soft = [c for c in _constraints(pod) if c.get("whenUnsatisfiable") == "ScheduleAnyway"]
        if soft:
            totals = [0] * len(nodes)
            for constraint in soft:
                _, per_domain = _count(pod, constraint, nodes)
                for i, node in enumerate(nodes):
                    totals[i] += per_domain.get(node.labels.get(constraint["topologyKey"], ""), 0)
            return _fewest_best(totals)
        if not pod.owner or _constraints(pod):
            return None
        zones: dict[str, int] = {}
        own = [node.owners.get(pod.owner, 0) for node in nodes]
        if not any(own):
            return None
        for node, count in zip(nodes, own, strict=True):
            zone = node.labels.get(ZONE, "")
            zones[zone] = zones.get(zone, 0) + count
        return _fewest_best([count + zones[node.labels.get(ZONE, "")] for node, count in zip(nodes, own, strict=True)])


def _fewest_best(totals: list[int]) -> list[int]:
    low, high = min(totals), max(totals)
    if high == 0:
        return [MAX_SCORE] * len(totals)
    return [MAX_SCORE * (high + low - total) // high for total in totals]


def _constraints(pod: PodInfo) -> list[Object]:
    return pod.pod["spec"].get("topologySpreadConstraints") or []


def _count(pod: PodInfo, constraint: Object, nodes: Sequence[NodeInfo]) -> tuple[LabelSelector, dict[str, int]]:
    """Matching pods in each domain of the nodes that count."""
    selector = selectors.of_object(constraint.get("labelSelector"))
    more = [
        Requirement(key, "=", (pod.labels[key],)) for key in constraint.get("matchLabelKeys") or () if key in pod.labels
    ]
    selector = LabelSelector((*selector.requirements, *more), selector.nothing)
    found: dict[str, int] = {}
    for node in nodes:
        domain = node.labels.get(constraint["topologyKey"])
        if domain is None or not _counts(pod, constraint, node):
            continue
        found.setdefault(domain, 0)
        found[domain] += sum(
            other.namespace == pod.namespace and not pods.is_terminating(other.pod) and selector.matches(other.labels)
            for other in node.pods.values()
        )
    return selector, found


def _counts(pod: PodInfo, constraint: Object, node: NodeInfo) -> bool:
    if constraint.get("nodeAffinityPolicy") != "Ignore" and not affinity.node_allowed(pod.pod, node.node or {}):
        return False
    if constraint.get("nodeTaintsPolicy") == "Honor":
        tolerations = pod.pod["spec"].get("tolerations") or ()
        return untolerated(tolerations, node.taints, (NO_SCHEDULE, NO_EXECUTE)) is None
    return True
