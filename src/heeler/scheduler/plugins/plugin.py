"""What a scheduling plugin is: it looks at the pod once, then refuses nodes, and rates those that are left, many at a time.

https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/ — plugins of others, which look at one node at
a time, are put into this form by `heeler.scheduler.plugins.others`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from heeler.objects.value import Object
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Mask, Rows, Table

#: The best rating of a node.
MAX_SCORE = 100


class PluginError(Exception):
    """A plugin can't say anything about a pod: the attempt fails, and is made again after a pause."""


class Refusal(NamedTuple):
    """Why a node is not for a pod. `final`: also not if other pods left it."""

    reasons: tuple[str, ...]
    final: bool = False


class Verdict(NamedTuple):
    """Of the rows that were asked about: which are refused; `explain` groups positions among them by their reason."""

    refused: Mask
    explain: Callable[[Rows], Iterable[tuple[Refusal, Rows]]]


#: One pod's question to rows, prepared by `prepare`. None: nothing against any of them.
Check = Callable[[Rows], Verdict | None]


class Filter(Protocol):
    """`prepare` gives the pod's check, None if the plugin has nothing against any node, or a refusal of all nodes."""

    @property
    def name(self) -> str: ...

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None: ...


class Score(Protocol):
    """`rate` gives a number from 0 to MAX_SCORE for each of the rows, or None if all are equal to it."""

    @property
    def name(self) -> str: ...

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None: ...


class PreEnqueue(Protocol):
    """`holds` says why a pod may not be tried yet, or ""; such a pod waits without attempts."""

    @property
    def name(self) -> str: ...

    def holds(self, pod: Object) -> str: ...


def refused(mask: Mask, refusal: Refusal) -> Verdict | None:
    """All for the same reason."""
    return Verdict(mask, lambda positions: ((refusal, positions),)) if mask.any() else None


def by_code(codes: Ints, refusals: Mapping[int, Refusal]) -> Verdict | None:
    """By a code for each row, 0 for those that are not refused."""
    mask: Mask = codes != 0
    if not mask.any():
        return None

    def explain(positions: Rows) -> Iterable[tuple[Refusal, Rows]]:
        found = codes[positions]
        return [(refusals[int(code)], positions[found == code]) for code in np.unique(found)]

    return Verdict(mask, explain)


def looped(check: Callable[[int], Refusal | None]) -> Check:
    """A check that asks about one row after the other."""

    def ask(rows: Rows) -> Verdict | None:
        found = [check(int(row)) for row in rows]
        mask = np.array([one is not None for one in found], np.bool_)
        if not mask.any():
            return None

        def explain(positions: Rows) -> Iterable[tuple[Refusal, Rows]]:
            groups: dict[Refusal, list[int]] = {}
            for position in positions:
                refusal = found[position]
                if refusal is not None:
                    groups.setdefault(refusal, []).append(int(position))
            return [(refusal, np.array(one, np.intp)) for refusal, one in groups.items()]

        return Verdict(mask, explain)

    return ask


def normalised(numbers: Ints, *, reverse: bool = False) -> Ints:
    """Numbers on the scale from 0 to MAX_SCORE; `reverse`: the smallest is the best."""
    top = int(numbers.max(initial=0))
    if top == 0:
        return np.full(len(numbers), MAX_SCORE if reverse else 0, np.int64)
    scaled: Ints = numbers * MAX_SCORE // top
    return MAX_SCORE - scaled if reverse else scaled
