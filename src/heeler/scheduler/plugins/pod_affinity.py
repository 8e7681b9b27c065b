"""Pods that must be near others, or far from them.

Required terms of both kinds, of the new pod and (anti-affinity) of the pods that are there; preferred ones are rated.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heeler.objects import selectors
from heeler.objects.selectors import LabelSelector, Requirement
from heeler.objects.value import Object
from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal

#: The weight of an existing pod's required affinity when nodes are rated.
REQUIRED_WEIGHT = 1

NO_AFFINITY = Refusal(("node(s) didn't match pod affinity rules",), True)
ANTI = Refusal(("node(s) didn't match pod anti-affinity rules",))
EXISTING_ANTI = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",))


class Term(NamedTuple):
    selector: LabelSelector
    topology: str
    namespaces: tuple[str, ...]
    namespace_selector: LabelSelector
    weight: int = 0

    def matches(self, pod: PodInfo) -> bool:
        there = pod.namespace in self.namespaces or self.namespace_selector.matches(pod.namespace_labels)
        return there and self.selector.matches(pod.labels)


def terms(pod: PodInfo, kind: str, *, preferred: bool = False) -> list[Term]:
    """The terms of podAffinity or podAntiAffinity."""
    found = (pod.pod["spec"].get("affinity") or {}).get(kind) or {}
    if preferred:
        entries = found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return [_term(pod, entry["podAffinityTerm"], int(entry.get("weight") or 0)) for entry in entries]
    return [_term(pod, term, 0) for term in found.get("requiredDuringSchedulingIgnoredDuringExecution") or ()]


def _term(pod: PodInfo, term: Object, weight: int) -> Term:
    selector = selectors.of_object(term.get("labelSelector"))
    more = [Requirement(k, "=", (pod.labels[k],)) for k in term.get("matchLabelKeys") or () if k in pod.labels]
    more += [Requirement(k, "!=", (pod.labels[k],)) for k in term.get("mismatchLabelKeys") or () if k in pod.labels]
    selector = LabelSelector((*selector.requirements, *more), selector.nothing)
    named = tuple(term.get("namespaces") or ())
    if not named and term.get("namespaceSelector") is None:
        named = (pod.namespace,)
    return Term(selector, term["topologyKey"], named, selectors.of_object(term.get("namespaceSelector")), weight)


class InterPodAffinity:
    name = "InterPodAffinity"
    weight = 2

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        near, far = terms(pod, "podAffinity"), terms(pod, "podAntiAffinity")
        guarded = _guarded(pod, nodes)
        if not near and not far and not guarded:
            return None
        near_domains = [_domains([term], nodes) for term in near]
        # The first of a group that wants to be with its like may go anywhere.
        first = near and not any(near_domains) and all(term.matches(pod) for term in near)
        far_domains = [(term.topology, _domains([term], nodes)) for term in far]

        def check(node: NodeInfo) -> Refusal | None:
            for term, domains in zip(near, near_domains, strict=True):
                domain = node.labels.get(term.topology)
                if domain is None or (not first and domain not in domains):
                    return NO_AFFINITY
            for topology, domains in far_domains:
                if node.labels.get(topology) in domains:
                    return ANTI
            for topology, values in guarded.items():
                if node.labels.get(topology) in values:
                    return EXISTING_ANTI
            return None

        return check

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        """What the new pod wishes of those that are there, and what they wish of it."""
        scores: dict[tuple[str, str], int] = {}
        wanted = [(term, term.weight) for term in terms(pod, "podAffinity", preferred=True)]
        wanted += [(term, -term.weight) for term in terms(pod, "podAntiAffinity", preferred=True)]
        for term, weight in wanted:
            for domain, count in _domains([term], nodes).items():
                place = (term.topology, domain)
                scores[place] = scores.get(place, 0) + weight * count
        for node in nodes:
            for other in node.choosy.values():
                for term, weight in _wishes(other):
                    value = node.labels.get(term.topology)
                    if value is not None and term.matches(pod):
                        scores[term.topology, value] = scores.get((term.topology, value), 0) + weight
        if not scores:
            return None
        totals = [
            sum(score for (key, domain), score in scores.items() if node.labels.get(key) == domain) for node in nodes
        ]
        low, high = min(totals), max(totals)
        if low == high:
            return None
        return [MAX_SCORE * (total - low) // (high - low) for total in totals]


def _wishes(pod: PodInfo) -> list[tuple[Term, int]]:
    """What a pod that is there wishes near itself; what it requires counts a little."""
    found = [(term, REQUIRED_WEIGHT) for term in terms(pod, "podAffinity")]
    found += [(term, term.weight) for term in terms(pod, "podAffinity", preferred=True)]
    return found + [(term, -term.weight) for term in terms(pod, "podAntiAffinity", preferred=True)]


def _domains(wanted: Sequence[Term], nodes: Sequence[NodeInfo]) -> dict[str, int]:
    """Topology values in which pods match, and how many."""
    found: dict[str, int] = {}
    for node in nodes:
        for term in wanted:
            domain = node.labels.get(term.topology)
            if domain is None:
                continue
            count = sum(term.matches(other) for other in node.pods.values())
            if count:
                found[domain] = found.get(domain, 0) + count
    return found


def _guarded(pod: PodInfo, nodes: Sequence[NodeInfo]) -> dict[str, dict[str, None]]:
    """Where the anti-affinity of pods that are there keeps the new one out: topology key to values."""
    out: dict[str, dict[str, None]] = {}
    for node in nodes:
        for other in node.choosy.values():
            for term in terms(other, "podAntiAffinity"):
                domain = node.labels.get(term.topology)
                if domain is not None and term.matches(pod):
                    out.setdefault(term.topology, {})[domain] = None
    return out
