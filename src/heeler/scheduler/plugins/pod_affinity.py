"""Pods that must be near others, or far from them.

Required terms of both kinds, of the new pod and (anti-affinity) of the pods that are there; preferred ones are rated.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

import numpy as np

from heeler.objects.value import Object, labels_of
from heeler.scheduler.events import ADD, DELETE, LABEL, NODE, POD, Hints
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal, Verdict, by_code
from heeler.scheduler.pod import PodInfo, Term, Weighted
from heeler.scheduler.table import FAR, NEAR, PREFERRED, Ints, Mask, Rows, Table

NO_AFFINITY = Refusal(("node(s) didn't match pod affinity rules",), True)
ANTI = Refusal(("node(s) didn't match pod anti-affinity rules",))
EXISTING_ANTI = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",))
CODES = {1: NO_AFFINITY, 2: ANTI, 3: EXISTING_ANTI}


class InterPodAffinity:
    """`hard_weight`: what a required affinity of pods that are there counts when nodes are rated. `ignores_existing`:
    their preferences don't count for pods that have none (`ignorePreferredTermsOfExistingPods`)."""

    name = "InterPodAffinity"

    def __init__(self, hard_weight: int = 1, ignores_existing: bool = False) -> None:
        self._hard_weight, self._ignores_existing = hard_weight, ignores_existing
        self.hints: Hints = {
            (POD, ADD): _pod_helps,
            (POD, LABEL): _pod_helps,
            (POD, DELETE): _pod_helps,
            (NODE, ADD): _node_helps,
            (NODE, LABEL): _node_helps,
        }

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        near, far = pod.template.near, pod.template.far
        guards = table.wishes_about(FAR, pod)
        if not near and not far and not guards:
            return None
        ids_near = [table.domains(term.topology).ids.a for term in near]
        near_open = self._near(pod, table) if near else []
        shut = [
            (table.domains(term.topology).ids.a, _taken(table, term.topology, table.count_terms(term))) for term in far
        ]
        guarded: dict[str, Mask] = {}
        for held in guards:
            taken = _taken(table, held.term.topology, held.column.a)
            known = guarded.get(held.term.topology)
            guarded[held.term.topology] = taken if known is None else known | taken
        kept_out = [(table.domains(topology).ids.a, taken) for topology, taken in guarded.items()]

        def check(rows: Rows) -> Verdict | None:
            codes = np.zeros(len(rows), np.int64)
            for places, taken in kept_out:
                codes[taken[places[rows]]] = 3
            for places, taken in shut:
                codes[taken[places[rows]]] = 2
            for places, open_ in zip(ids_near, near_open, strict=True):
                codes[~open_[places[rows]]] = 1
            return by_code(codes, CODES)

        return check

    def _near(self, pod: PodInfo, table: Table) -> list[Mask]:
        """For each term the domains that have pods which match all terms; the last place is for nodes without the label."""
        near = pod.template.near
        counts = table.count_terms(*near)
        masks = [_taken(table, term.topology, counts) for term in near]
        if any(mask.any() for mask in masks) or not all(_meets(pod, term) for term in near):
            return masks
        # The first of a group that wants to be with its like may go anywhere that has the labels.
        for mask in masks:
            mask[:-1] = True
        return masks

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        """What the new pod wishes of those that are there, and what they wish of it."""
        scores: dict[str, Ints] = {}

        def add(topology: str, counts: Ints, weight: int) -> None:
            sums = table.domains(topology).sums(counts) * weight
            scores[topology] = sums if topology not in scores else scores[topology] + sums

        own: tuple[Weighted, ...] = pod.template.preferred
        for wish in own:
            add(wish.term.topology, table.count_terms(wish.term), wish.weight)
        if self._hard_weight:
            for held in table.wishes_about(NEAR, pod):
                add(held.term.topology, held.column.a, self._hard_weight)
        if own or not self._ignores_existing:
            for held in table.wishes_about(PREFERRED, pod):
                add(held.term.topology, held.column.a, held.weight)
        if not scores:
            return None
        totals = np.zeros(len(rows), np.int64)
        for topology, sums in scores.items():
            totals += sums[table.domains(topology).ids.a[rows]]
        low, high = int(totals.min()), int(totals.max())
        return None if low == high else MAX_SCORE * (totals - low) // (high - low)


def _taken(table: Table, topology: str, counts: Ints) -> Mask:
    """Domains with a count; the last place, for nodes without the label, has none."""
    return table.domains(topology).sums(counts) > 0


def _meets(pod: PodInfo, term: Term) -> bool:
    return term.matches(pod.labels, pod.namespace, pod.namespace_labels)


def _pod_helps(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """A pod that comes or gets labels helps those that want it near; one that goes or loses them, those that keep away."""

    def meets(other: Object | None, terms: tuple[Term, ...]) -> bool:
        if other is None or not terms:
            return False
        namespace = other["metadata"].get("namespace", "")
        labels = labels_of(other)
        return all(
            (namespace in term.namespaces or term.namespace_selector is not None) and term.selector.matches(labels)
            for term in terms
        )

    near, far = pod.template.near, pod.template.far
    if new is not None and old is not None and new["metadata"].get("uid") == pod.uid:
        return True  # its own labels
    if near and meets(new, near) and not meets(old, near):
        return True
    if old is not None and any(meets(old, (term,)) and not meets(new, (term,)) for term in far):
        return True
    # a pod that kept this one away has gone
    affinity = (((old or {}).get("spec") or {}).get("affinity") or {}).get("podAntiAffinity") or {}
    return new is None and bool(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))


def _node_helps(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """A node helps if it has a topology key that matters, and had not, or another value."""
    if new is None:
        return False
    keys = [term.topology for term in (*pod.template.near, *pod.template.far)]
    now, before = labels_of(new), labels_of(old) if old is not None else {}
    if not keys:
        return old is None or now != before
    if pod.template.near and not all(term.topology in now for term in pod.template.near):
        return False
    return old is None or any(now.get(key) != before.get(key) for key in keys)
