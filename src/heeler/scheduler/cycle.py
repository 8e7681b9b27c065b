"""One pod's way to a node, top to bottom: which nodes are possible, which is best, or why none is.

Pure: no clock, no API. https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from heeler.base.random import Random
from heeler.scheduler.plugins.plugin import Check, Refusal, Verdict
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.profile import Profile
from heeler.scheduler.table import Ints, Rows, Table

#: A cluster of up to so many nodes is looked at whole; of a larger one at least so many are found.
MIN_NODES_TO_FIND = 100
#: Without a setting: so many percent of the nodes, less one for each 125 nodes, but no less than the second number.
ADAPTIVE_PERCENT, MIN_PERCENT, NODES_PER_PERCENT = 50, 5, 125
#: At first a little more than enough rows are asked about, and no fewer than this; then twice as many each time.
MIN_CHUNK = 128
#: Pods that were promised room on rows.
Nominated = Mapping[int, Sequence[PodInfo]]
#: Which of these victims, taken in this order, a disruption budget has no room for.
Protected = Callable[[Sequence[PodInfo]], list[bool]]


def nothing_protected(victims: Sequence[PodInfo]) -> list[bool]:
    return [False] * len(victims)


class Circumstances(NamedTuple):
    """What a decision depends on beside the pod and the nodes.

    Nodes are looked at from the `start`-th on. `nominated`: others to whom rows promise room; `promised`: the row where
    others already make room for this pod."""

    start: int = 0
    nominated: Nominated = MappingProxyType({})
    promised: int | None = None
    protected: Protected = nothing_protected


USUAL = Circumstances()


class Refused(NamedTuple):
    """Rows that a plugin refused for one reason."""

    plugin: str
    refusal: Refusal
    rows: Rows


class Diagnosis:
    """Why rows were refused; spelled out only where somebody asks."""

    def __init__(self) -> None:
        self._verdicts: list[tuple[str, Verdict, Rows]] = []
        self.refused: list[Refused] = []
        #: Of all nodes at once, with the plugin.
        self.whole: tuple[str, Refusal] | None = None

    def add(self, plugin: str, verdict: Verdict, rows: Rows) -> None:
        self._verdicts.append((plugin, verdict, rows))

    def extend(self, other: Diagnosis) -> None:
        self._verdicts += other._verdicts
        self.refused += other.refused

    def explained(self) -> list[Refused]:
        for plugin, verdict, rows in self._verdicts:
            for refusal, positions in verdict.explain(np.flatnonzero(verdict.refused)):
                self.refused.append(Refused(plugin, refusal, rows[positions]))
        self._verdicts = []
        return self.refused

    def plugins(self) -> list[str]:
        """Those that refused some node, each once."""
        found = dict.fromkeys(plugin for plugin, _, _ in self._verdicts)
        found.update(dict.fromkeys(one.plugin for one in self.refused))
        if self.whole is not None:
            found[self.whole[0]] = None
        return list(found)


class Found(NamedTuple):
    """`rows` that are possible, of so many that were looked at."""

    rows: Rows
    looked_at: int
    diagnosis: Diagnosis


def nodes_to_find(nodes: int, percentage: int | None) -> int:
    """How many possible nodes are enough."""
    if nodes < MIN_NODES_TO_FIND or percentage == 100:
        return nodes
    percent = percentage or max(ADAPTIVE_PERCENT - nodes // NODES_PER_PERCENT, MIN_PERCENT)
    return max(nodes * percent // 100, MIN_NODES_TO_FIND)


Checks = list[tuple[str, Check]]


def prepared(pod: PodInfo, table: Table, profile: Profile, diagnosis: Diagnosis) -> Checks | None:
    """The pod's checks; None if a plugin refuses all nodes."""
    checks: Checks = []
    for plugin in profile.filters:
        check = plugin.prepare(pod, table)
        if isinstance(check, Refusal):
            diagnosis.whole = plugin.name, check
            return None
        if check is not None:
            checks.append((plugin.name, check))
    return checks


def passing(checks: Checks, rows: Rows, diagnosis: Diagnosis) -> Rows:
    """Positions of the rows that no check refuses; the first refusal of a row is the one that is told."""
    left = np.arange(len(rows))
    for plugin, check in checks:
        if not len(left):
            break
        asked = rows[left]
        verdict = check(asked)
        if verdict is not None:
            diagnosis.add(plugin, verdict, asked)
            left = left[~verdict.refused]
    return left


def allows(pod: PodInfo, row: int, table: Table, profile: Profile, nominated: Nominated) -> Diagnosis | None:
    """One row as it is now, also with the pods that were promised room there: None if it will do, else why not."""
    promised = nominated.get(row, ())
    if promised:
        with table.trial() as trial:
            for other in promised:
                trial.add(other, row)
            why = _refusal(pod, row, table, profile)
        if why is not None:
            return why
    return _refusal(pod, row, table, profile)


def _refusal(pod: PodInfo, row: int, table: Table, profile: Profile) -> Diagnosis | None:
    diagnosis = Diagnosis()
    rows = np.array([row], np.intp)
    checks = prepared(pod, table, profile, diagnosis)
    if checks is None:
        assert diagnosis.whole is not None
        plugin, refusal = diagnosis.whole
        diagnosis.refused.append(Refused(plugin, refusal, rows))
        return diagnosis
    return None if len(passing(checks, rows, diagnosis)) else diagnosis


def find(pod: PodInfo, table: Table, profile: Profile, around: Circumstances = USUAL) -> Found:
    """The possible rows."""
    diagnosis = Diagnosis()
    start, nominated, promised, _ = around
    nothing = np.array([], np.intp)
    if promised is not None and allows(pod, promised, table, profile, nominated) is None:
        return Found(np.array([promised], np.intp), 0, diagnosis)
    checks = prepared(pod, table, profile, diagnosis)
    if checks is None:
        return Found(nothing, 0, diagnosis)
    order = table.order
    start %= max(1, len(order))
    turned = np.concatenate((order[start:], order[:start])) if start else order
    enough = nodes_to_find(len(order), profile.percentage)
    found: list[Rows] = []
    count = looked_at = 0
    first, chunk = 0, max(enough + enough // 8, MIN_CHUNK)
    while first < len(turned):
        rows = turned[first : first + chunk]
        first += chunk
        chunk *= 2
        positions = _passing(pod, checks, rows, table, profile, nominated, diagnosis)
        if count + len(positions) >= enough:
            positions = positions[: enough - count]
            found.append(rows[positions])
            looked_at += int(positions[-1]) + 1 if len(positions) else 0
            break
        found.append(rows[positions])
        count += len(positions)
        looked_at += len(rows)
    return Found(np.concatenate(found) if found else nothing, looked_at, diagnosis)


def _passing(
    pod: PodInfo,
    checks: Checks,
    rows: Rows,
    table: Table,
    profile: Profile,
    nominated: Nominated,
    diagnosis: Diagnosis,
) -> Rows:
    """Positions of possible rows; those with promised pods are looked at one by one."""
    apart = np.isin(rows, list(nominated)) if nominated else None
    if apart is None or not apart.any():
        return passing(checks, rows, diagnosis)
    plain = np.flatnonzero(~apart)
    good = [plain[passing(checks, rows[plain], diagnosis)]]
    for position in np.flatnonzero(apart):
        why = allows(pod, int(rows[position]), table, profile, nominated)
        if why is None:
            good.append(np.array([position], np.intp))
        else:
            diagnosis.extend(why)
    return np.sort(np.concatenate(good))


def ratings(pod: PodInfo, table: Table, profile: Profile, rows: Rows) -> Ints:
    """The weighted sum of each row."""
    totals = np.zeros(len(rows), np.int64)
    for plugin, weight in profile.scores:
        numbers = plugin.rate(pod, table, rows)
        if numbers is not None:
            totals += weight * numbers
    return totals


def best(rows: Rows, totals: Ints, random: Random) -> int:
    """The row with the highest sum; one of them by chance if several have it."""
    top = np.flatnonzero(totals == totals.max())
    return int(rows[top[random.below(len(top))] if len(top) > 1 else top[0]])


# what is told


def unfit_message(nodes: int, diagnosis: Diagnosis) -> str:
    """The first sentence about a pod that fits nowhere."""
    if not nodes:
        return "no nodes available to schedule pods"
    if diagnosis.whole is not None:
        told = ", ".join(diagnosis.whole[1].reasons)
    else:
        told = counted((reason, len(one.rows)) for one in diagnosis.explained() for reason in one.refusal.reasons)
    return f"0/{nodes} nodes are available: {told}." if told else f"0/{nodes} nodes are available:"


def counted(reasons: Iterable[tuple[str, int]]) -> str:
    """Each reason with its number of nodes, as sorted texts."""
    counts: dict[str, int] = {}
    for reason, number in reasons:
        counts[reason] = counts.get(reason, 0) + number
    return ", ".join(sorted(f"{number} {reason}" for reason, number in counts.items()))
