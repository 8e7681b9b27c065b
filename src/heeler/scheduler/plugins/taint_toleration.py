"""Nodes with taints that a pod doesn't tolerate are out; those with fewer PreferNoSchedule taints are better.

Nodes have few different sets of taints: what a pod's tolerations mean to each set is worked out once.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from heeler.objects.value import Object
from heeler.scheduler.events import ADD, NODE, POD, TAINT, TOLERATION, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, normalised, refused
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table
from heeler.workloads.taints import NO_EXECUTE, NO_SCHEDULE, PREFER, tolerated, untolerated

REFUSAL = Refusal(("node(s) had untolerated taint(s)",), True)
HARD = (NO_SCHEDULE, NO_EXECUTE)
#: Different tolerations that are remembered.
MAX_KNOWN = 512


class TaintIndex:
    """For each set of taints of a table: is it hard on a pod's tolerations, and how many soft taints are left?"""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, bytes], Ints] = OrderedDict()

    def of(self, pod: PodInfo, table: Table) -> Ints:
        """By id of a set: -1 if the pod may not go there, else its number of untolerated soft taints."""
        key = (id(table), pod.template.tolerations_key)
        found = self._known.get(key)
        if found is None or len(found) != len(table.taint_sets):
            had = [] if found is None else found.tolist()
            more = [_meaning(pod.template.tolerations, taints) for taints in table.taint_sets[len(had) :]]
            found = self._known[key] = np.array([*had, *more], np.int64)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return found


def _meaning(tolerations: list[Object], taints: list[Object]) -> int:
    if untolerated(tolerations, taints, HARD) is not None:
        return -1
    soft = [t for t in tolerations if t.get("effect") in (None, "", PREFER)]
    return sum(taint.get("effect") == PREFER and not tolerated(soft, taint) for taint in taints)


def _tolerated_now(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """A node helps if its taints are tolerated now, and were not before."""

    def fits(node: Object) -> bool:
        return untolerated(pod.template.tolerations, (node.get("spec") or {}).get("taints") or (), HARD) is None

    return new is not None and fits(new) and (old is None or not fits(old))


def _is_this(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    return new is not None and new["metadata"].get("uid") == pod.uid


class TaintToleration:
    name = "TaintToleration"
    hints: Hints = {(NODE, ADD): _tolerated_now, (NODE, TAINT): _tolerated_now, (POD, TOLERATION): _is_this}

    def __init__(self) -> None:
        self._index = TaintIndex()

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        if len(table.taint_sets) == 1:
            return None
        meaning = self._index.of(pod, table)
        if not (meaning < 0).any():
            return None
        return lambda rows: refused(meaning[table.taints.a[rows]] < 0, REFUSAL)

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        if len(table.taint_sets) == 1:
            return None
        bad = np.maximum(self._index.of(pod, table)[table.taints.a[rows]], 0)
        return normalised(bad, reverse=True) if bad.any() else None
