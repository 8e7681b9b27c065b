"""Pods of one kind are spread over nodes and zones: as their constraints say, and by default if they say nothing.

https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from heeler.objects.selectors import LabelSelector
from heeler.objects.value import Object, labels_of
from heeler.scheduler.events import ADD, DELETE, LABEL, NODE, POD, TAINT, Hints
from heeler.scheduler.plugins.node_affinity import NodeAffinity
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal, Verdict, by_code
from heeler.scheduler.plugins.taint_toleration import TaintIndex
from heeler.scheduler.pod import HOSTNAME, ZONE, Constraint, PodInfo
from heeler.scheduler.table import Ints, Mask, Rows, Table

MISSING = Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",), True)
REFUSAL = Refusal(("node(s) didn't match pod topology spread constraints",))
CODES = {1: MISSING, 2: REFUSAL}
#: What the system spreads pods by if nothing else is said: (topology key, maxSkew).
SYSTEM = ((HOSTNAME, 3), (ZONE, 5))
#: Which pods belong together with one, by their Services and owners; None: nobody knows.
Kin = Callable[[PodInfo], LabelSelector | None]


def nobody(pod: PodInfo) -> LabelSelector | None:
    return None


class PodTopologySpread:
    """`defaults`: constraints of pods that have none (from the configuration), whose selector is the pod's `kin`.

    None for the system's.
    """

    name = "PodTopologySpread"

    def __init__(self, kin: Kin = nobody, defaults: Sequence[Object] | None = None) -> None:
        self._kin, self._defaults = kin, defaults
        self._affinity, self._taints = NodeAffinity(), TaintIndex()
        self.hints: Hints = {
            (POD, ADD): self._pod_helps,
            (POD, DELETE): self._pod_helps,
            (POD, LABEL): self._pod_helps,
            (NODE, ADD): self._node_helps,
            (NODE, DELETE): self._node_helps,
            (NODE, LABEL): self._node_helps,
            (NODE, TAINT): self._node_helps,
        }

    def constraints(self, pod: PodInfo, *, hard: bool) -> tuple[Constraint, ...]:
        """The pod's own, else those by default."""
        own = pod.template.constraints
        if own:
            return tuple(one for one in own if one.hard == hard)
        if self._defaults is None and hard:
            return ()
        selector = self._kin(pod)
        if selector is None or selector.everything:
            return ()
        if self._defaults is None:
            return tuple(Constraint(key, selector, skew, 1, False, True, False) for key, skew in SYSTEM)
        found = (pod.template.constraint(one)._replace(selector=selector) for one in self._defaults)
        return tuple(one for one in found if one.hard == hard)

    def _counted(self, pod: PodInfo, table: Table, constraint: Constraint, among: Mask) -> Mask:
        """The rows whose pods count for a constraint, out of some."""
        counted = among
        if constraint.honor_affinity and (pod.template.spec.get("nodeSelector") or _has_node_affinity(pod)):
            counted = counted & (self._affinity.allowed(pod, table) == 0)
        if constraint.honor_taints and len(table.taint_sets) > 1:
            counted = counted & (self._taints.of(pod, table)[table.taints.a] >= 0)
        return counted

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        hard = self.constraints(pod, hard=True)
        if not hard:
            return None
        with_keys = table.domains(hard[0].topology).ids.a >= 0
        for constraint in hard[1:]:
            with_keys = with_keys & (table.domains(constraint.topology).ids.a >= 0)
        limits: list[tuple[Ints, Mask]] = []
        for constraint in hard:
            domains = table.domains(constraint.topology)
            rows = np.flatnonzero(self._counted(pod, table, constraint, with_keys))
            sums = domains.sums(table.count_constraint(constraint, pod.namespace), rows)
            there = np.zeros(len(sums), np.bool_)
            there[domains.ids.a[rows]] = True
            least = int(sums[there].min()) if there.any() else 0
            if int(there.sum()) < constraint.min_domains:
                least = 0
            own = 1 if constraint.selector.matches(pod.labels) else 0
            limits.append((domains.ids.a, sums + own - least > constraint.max_skew))

        def check(rows: Rows) -> Verdict | None:
            codes = np.zeros(len(rows), np.int64)
            for ids, over in reversed(limits):
                places = ids[rows]
                codes[over[places]] = 2
                codes[places < 0] = 1
            return by_code(codes, CODES)

        return check

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        soft = self.constraints(pod, hard=False)
        if not soft:
            return None
        by_system = not pod.template.constraints and self._defaults is None
        rated = np.ones(len(rows), np.bool_)
        everywhere = np.ones(table.size, np.bool_)
        if not by_system:  # nodes that lack one of the labels are the last choice
            for constraint in soft:
                ids = table.domains(constraint.topology).ids.a
                rated &= ids[rows] >= 0
                everywhere &= ids >= 0
        if not rated.any():
            return np.zeros(len(rows), np.int64)
        total = np.zeros(len(rows))
        for constraint in soft:
            domains = table.domains(constraint.topology)
            places = domains.ids.a[rows]
            here = rated & (places >= 0)
            counts = table.count_constraint(constraint, pod.namespace)
            if constraint.topology == HOSTNAME:
                size = int(rated.sum())
                found = counts[rows]
            else:
                size = len(np.unique(places[here]))
                counted = self._counted(pod, table, constraint, everywhere)
                found = domains.sums(np.where(counted, counts, 0))[places]
            weight = math.log(size + 2)
            total += np.where(here, found * weight + (constraint.max_skew - 1), 0.0)
        scores = np.floor(total + 0.5).astype(np.int64)
        low, high = int(scores[rated].min()), int(scores[rated].max())
        if high == 0:
            return np.where(rated, MAX_SCORE, 0)
        return np.where(rated, MAX_SCORE * (high + low - scores) // high, 0)

    # which changes help

    def _pod_helps(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A pod that is counted, or no longer is: it comes or goes, is being deleted, or its labels change."""
        if new is not None and new["metadata"].get("uid") == pod.uid:
            return True
        return any(
            _counts(constraint, pod, old) != _counts(constraint, pod, new)
            for constraint in self.constraints(pod, hard=True)
        )

    def _node_helps(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A node that has all of the keys comes or goes, or changes its domain or taints."""
        keys = [constraint.topology for constraint in self.constraints(pod, hard=True)]

        def domain(node: Object | None) -> list[str] | None:
            labels = labels_of(node) if node is not None else {}
            return [labels[key] for key in keys] if all(key in labels for key in keys) else None

        before, now = domain(old), domain(new)
        if old is not None and new is not None and before == now:
            return now is not None and old.get("spec") != new.get("spec")
        return before is not None or now is not None


def _counts(constraint: Constraint, pod: PodInfo, other: Object | None) -> bool:
    return (
        other is not None
        and other["metadata"].get("namespace", "") == pod.namespace
        and "deletionTimestamp" not in other["metadata"]
        and constraint.selector.matches(labels_of(other))
    )


def _has_node_affinity(pod: PodInfo) -> bool:
    return "nodeAffinity" in (pod.template.spec.get("affinity") or {})
