"""A node must have what a pod asks for; nodes with more left (or less, as configured), and in better balance, are preferred.

https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heeler.objects.value import Object, name_of
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.events import ADD, ALLOCATABLE, DELETE, DEVICE_CLASS, NODE, POD, SCALE_DOWN, UPDATE, Hints
from heeler.scheduler.plugins.plugin import MAX_SCORE, Check, Refusal, Verdict
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import PODS, Ints, Mask, Rows, Table
from heeler.workloads import resources
from heeler.workloads.extended_resources import CLASS_PREFIX
from heeler.workloads.resources import FIRST

DEFAULT_RESOURCES = (("cpu", 1), ("memory", 1))
LEAST, MOST, RATIO = "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"
TOO_MANY = "Too many pods"
#: Of a point of the shape; it is stretched to MAX_SCORE.
MAX_SHAPE_SCORE = 10
CPU_AND_MEMORY = ("cpu", "memory")
Floats = npt.NDArray[np.float64]


class Strategy(NamedTuple):
    """How nodes are rated: by what, with which weights; `shape` are (utilization in percent, score of 10) in order."""

    type: str = LEAST
    resources: tuple[tuple[str, int], ...] = DEFAULT_RESOURCES
    shape: tuple[tuple[int, int], ...] = ()


class NodeResourcesFit:
    """`ignored` resources and groups of resources (`example.com` of `example.com/gpu`) are not looked at. Those that `devices`
    has a class for are looked at only where nodes offer them themselves: DynamicResources sees to the others."""

    name = "NodeResourcesFit"

    def __init__(
        self,
        strategy: Strategy | None = None,
        ignored: Sequence[str] = (),
        ignored_groups: Sequence[str] = (),
        devices: Devices | None = None,
    ) -> None:
        self._strategy, self._devices, self._selecting = strategy or Strategy(), devices or Devices(), Selecting()
        self._ignored, self._ignored_groups = tuple(ignored), tuple(ignored_groups)
        self.hints: Hints = {
            (POD, DELETE): self._pod_gone,
            (POD, SCALE_DOWN): self._pod_gone,
            (NODE, ADD): self._node_fits,
            (NODE, ALLOCATABLE): self._node_fits,
            (DEVICE_CLASS, ADD): self._class_offers,
            (DEVICE_CLASS, UPDATE): self._class_offers,
        }

    def wanted(self, pod: PodInfo) -> list[tuple[str, int]]:
        """What the pod asks for, in the order in which it is told."""
        asked = [(name, amount) for name, amount in sorted(pod.requests.items(), key=_order) if amount > 0]
        if not self._ignored and not self._ignored_groups:
            return asked
        return [one for one in asked if not self._is_ignored(one[0])]

    def _is_ignored(self, name: str) -> bool:
        if name in FIRST:
            return False
        return name in self._ignored or ("/" in name and name.split("/", 1)[0] in self._ignored_groups)

    def _of_classes(self, wanted: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        """Those that there is a class of devices for."""
        others = [name for name, _ in wanted if name not in FIRST]
        return tuple(name for name in others if self._devices.class_for(name) is not None) if others else ()

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        wanted = self.wanted(pod)
        of_classes = self._of_classes(wanted)

        def check(rows: Rows) -> Verdict | None:
            full = table.free(PODS)[rows] < 1
            refused = full
            lacking = []
            for name, amount in wanted:
                lack = table.free(name)[rows] < amount
                if name in of_classes:
                    lack = lack & (table.has(name)[rows] > 0)
                lacking.append(lack)
                refused = refused | lack
            if not refused.any():
                return None
            at_all = [amount <= table.has(name)[rows] for name, amount in wanted]

            def explain(positions: Rows) -> Iterable[tuple[Refusal, Rows]]:
                facts = np.array([one[positions] for one in (full, *lacking, *at_all)])
                kinds, which = np.unique(facts, axis=1, return_inverse=True)
                return [
                    (_told(kinds[:, kind].tolist(), wanted), positions[which.reshape(-1) == kind])
                    for kind in range(kinds.shape[1])
                ]

            return Verdict(refused, explain)

        return check

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        total: Ints | int = 0
        weights: Ints | int = 0
        for name, weight in self._strategy.resources:
            found = self._needed(pod, table, rows, name)
            if found is None:
                continue
            has, used = found
            there = has > 0
            if there.all() and self._strategy.type != RATIO:
                total = total + self._rating(has, used) * weight
                weights = weights + weight
                continue
            rating = self._rating(np.where(there, has, 1), used)
            # where a shape gives 0 the resource doesn't count at all
            counts = there & (rating > 0) if self._strategy.type == RATIO else there
            total = total + np.where(counts, rating * weight, 0)
            weights = weights + np.where(counts, weight, 0)
        if isinstance(weights, int):
            return total // weights if weights and not isinstance(total, int) else None
        rated = np.where(weights > 0, weights, 1)
        if self._strategy.type == RATIO:
            return np.where(weights > 0, np.floor(total / rated + 0.5).astype(np.int64), 0)
        return np.where(weights > 0, total // rated, 0)

    def _needed(self, pod: PodInfo, table: Table, rows: Rows, name: str) -> tuple[Ints, Ints] | None:
        """What rows have and what is taken with the pod; None for an extended resource that the pod doesn't ask for."""
        cpu, memory = pod.template.scored
        match name:
            case "cpu":
                return table.has(name)[rows], table.scored_cpu.a[rows] + cpu
            case "memory":
                return table.has(name)[rows], table.scored_memory.a[rows] + memory
            case _:
                asked = pod.requests.get(name, 0)
                if not asked:
                    return None
                has, used = _rest(table, rows, name, self._devices, self._selecting)
                return has, used + asked

    def _rating(self, has: Ints, used: Ints) -> Ints:
        match self._strategy.type:
            case "MostAllocated":
                return np.minimum(used, has) * MAX_SCORE // has
            case "RequestedToCapacityRatio":
                share = np.where(used > has, MAX_SCORE, used * MAX_SCORE // has)
                return _along(self._strategy.shape, share)
            case _:
                return np.where(used > has, 0, (has - used) * MAX_SCORE // has)

    # which changes help

    def _pod_gone(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A pod that goes helps, one that stays if it asks for less of something that is wanted."""
        if old is None or new is None:
            return old is not None
        before, after = resources.requests(old), resources.requests(new)
        own = new["metadata"].get("uid") == pod.uid
        return any(before.get(name, 0) > after.get(name, 0) for name, _ in self.wanted(pod)) or own

    def _node_fits(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A node helps if it is large enough, and has grown in something that is asked for."""
        if new is None:
            return False
        now, wanted = _amounts(new), self.wanted(pod)
        elsewhere = [name for name in self._of_classes(wanted) if not now.get(name)]
        lacks = any(amount > now.get(name, 0) for name, amount in wanted if name not in elsewhere)
        if now.get("pods", 0) < 1 or lacks:
            return False
        if old is None or elsewhere:
            return True
        before = _amounts(old)
        return any(now.get(name, 0) > before.get(name, 0) for name in ("pods", *(name for name, _ in wanted)))

    def _class_offers(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """A class helps that is for a resource which is asked for, and was not before."""
        if new is None:
            return False
        named = new["spec"].get("extendedResourceName")
        if old is not None:
            return named is not None and named != old["spec"].get("extendedResourceName") and named in pod.requests
        return named in pod.requests or f"{CLASS_PREFIX}{name_of(new)}" in pod.requests


def _told(facts: Sequence[bool], wanted: Sequence[tuple[str, int]]) -> Refusal:
    """A refusal from what is true of a node: it is full, it lacks each of the resources, it could ever have enough of each."""
    full, lacking, possible = facts[0], facts[1 : 1 + len(wanted)], facts[1 + len(wanted) :]
    reasons = [TOO_MANY] if full else []
    reasons += [f"Insufficient {name}" for (name, _), lacks in zip(wanted, lacking, strict=True) if lacks]
    final = any(lacks and not could for lacks, could in zip(lacking, possible, strict=True))
    return Refusal(tuple(reasons), final)


def _amounts(node: Object) -> resources.Amounts:
    status = node.get("status") or {}
    return resources.amounts(status.get("allocatable") or status.get("capacity"))


def _order(entry: tuple[str, int]) -> tuple[int, str]:
    return (FIRST.index(entry[0]) if entry[0] in FIRST else len(FIRST), entry[0])


def _rest(table: Table, rows: Rows, name: str, devices: Devices, selecting: Selecting) -> tuple[Ints, Ints]:
    """What rows have of an extended resource, and what is taken; of a class's devices where they don't offer it themselves."""
    has, used = table.has(name)[rows], table.used(name)[rows]
    device_class = devices.class_for(name) if not has.all() else None
    if device_class is None:
        return has, used
    has, used = has.copy(), used.copy()
    for at in np.flatnonzero(has == 0):
        there, taken = devices.totals(device_class, table.node(int(rows[at])), selecting)
        if there:
            has[at], used[at] = there, taken
    return has, used


def _along(shape: tuple[tuple[int, int], ...], share: Ints) -> Ints:
    """Scores on the lines between the points of a shape; whole numbers, cut as integer division cuts."""
    stretched = [(x, y * MAX_SCORE // MAX_SHAPE_SCORE) for x, y in shape]
    out = np.full(len(share), stretched[-1][1], np.int64)
    for (x0, y0), (x1, y1) in reversed(list(pairwise(stretched))):
        on = share <= x1
        rise = (y1 - y0) * (share - x0)
        out = np.where(on, y0 + np.fix(rise / (x1 - x0)).astype(np.int64), out)
    return np.where(share <= stretched[0][0], stretched[0][1], out)


class NodeResourcesBalancedAllocation:
    """How much evener the shares of resources that are taken get by the pod."""

    name = "NodeResourcesBalancedAllocation"

    def __init__(self, measured: Sequence[str] = CPU_AND_MEMORY, devices: Devices | None = None) -> None:
        self._resources, self._devices, self._selecting = tuple(measured), devices or Devices(), Selecting()

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        if not any(pod.requests.get(name) for name in self._resources):
            return None
        before: list[Floats] = []
        after: list[Floats] = []
        there: list[Mask] = []
        for name in self._resources:
            asked = pod.requests.get(name, 0)
            if name not in CPU_AND_MEMORY and not asked:
                continue
            has, used = (
                (table.has(name)[rows], table.used(name)[rows])
                if name in FIRST
                else _rest(table, rows, name, self._devices, self._selecting)
            )
            known = has > 0
            there.append(known)
            whole = has if known.all() else np.where(known, has, 1)
            before.append(np.minimum(used / whole, 1.0))
            after.append(np.minimum((used + asked) / whole, 1.0))
        change = _balance(after, there) - _balance(before, there)
        return MAX_SCORE // 2 + (MAX_SCORE // 2 + change) // 2


def _balance(shares: Sequence[Floats], there: Sequence[Mask]) -> Ints:
    """MAX_SCORE for equal shares, whole numbers."""
    return ((1 - _spread(shares, there)) * MAX_SCORE).astype(np.int64)


def _spread(shares: Sequence[Floats], there: Sequence[Mask]) -> Floats:
    """The standard deviation of each row's shares of the resources that it has."""
    if len(shares) == 2 and there[0].all() and there[1].all():
        return np.abs(shares[0] - shares[1]) / 2
    values, known = np.array(shares), np.array(there)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    deviation: Floats = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    return deviation
