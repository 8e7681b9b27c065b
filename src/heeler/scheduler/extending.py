"""Decisions in which extenders have a say: the plugins' answer first, then each extender's in turn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from heeler.base.random import Random
from heeler.objects.value import Object
from heeler.scheduler.cycle import USUAL, Circumstances, Diagnosis, Refused, best, find, ratings
from heeler.scheduler.decision import Decision, Unfit, unfit
from heeler.scheduler.extender import Extender, ExtenderError
from heeler.scheduler.plugins.plugin import PluginError, Refusal
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.profile import Profile
from heeler.scheduler.table import Rows, Table

log = logging.getLogger(__name__)

#: What refused a pod, where extenders did; any change may help it.
EXTENDER = "Extender"


async def decide_together(
    extenders: Sequence[Extender],
    pod: PodInfo,
    table: Table,
    profile: Profile,
    random: Random,
    around: Circumstances = USUAL,
) -> Decision:
    """As `decide`, with those extenders that are interested in the pod. Raises PluginError for one that isn't ignorable."""
    found = find(pod, table, profile, around)
    rows = await _filtered(extenders, pod, table, found.rows, found.diagnosis)
    if not len(rows):
        why = unfit(pod, table, profile, random, found.diagnosis, around)
        why = await _with_their_victims(extenders, pod, table, why)
        return why.settled(len(table))._replace(looked_at=found.looked_at)
    totals = ratings(pod, table, profile, rows)
    if len(rows) > 1:
        names = [table.names[row] for row in rows]
        for extender in extenders:
            if extender.rates:
                try:
                    given = await extender.rate(pod, _nodes(table, rows))
                except ExtenderError as error:
                    log.warning("%r rates no nodes: %s", extender, error)  # ratings are a wish only
                    continue
                totals = totals + np.array([given.get(name, 0) for name in names], np.int64)
    alive = np.array([table.nodes[row] is not None for row in rows])
    if not alive.any():
        raise PluginError("the nodes that were chosen are gone")
    row = best(rows[alive], totals[alive], random)
    return Decision(table.names[row], looked_at=found.looked_at)


async def _filtered(
    extenders: Sequence[Extender], pod: PodInfo, table: Table, rows: Rows, diagnosis: Diagnosis
) -> Rows:
    for extender in extenders:
        if not extender.filters or not len(rows):
            continue
        names = [table.names[row] for row in rows]
        try:
            answer = await extender.filter(pod, _nodes(table, rows))
        except ExtenderError as error:
            if extender.ignorable:
                log.warning("%r is left out: %s", extender, error)
                continue
            raise PluginError(str(error)) from error
        left, place = dict.fromkeys(answer.nodes), {name: at for at, name in enumerate(names)}
        for told, final in ((answer.failed, False), (answer.final, True)):
            for name, reason in told.items():
                if name in place and name not in left:
                    row = np.array([rows[place[name]]], np.intp)
                    diagnosis.refused.append(Refused(EXTENDER, Refusal((reason,), final), row))
        # nodes that it says nothing of are out for good
        silent = [
            at for at, name in enumerate(names) if not any(name in some for some in (left, answer.failed, answer.final))
        ]
        if silent:
            diagnosis.refused.append(Refused(EXTENDER, Refusal((), True), rows[silent]))
        rows = rows[np.array([name in left for name in names], np.bool_)]
    return rows


async def _with_their_victims(extenders: Sequence[Extender], pod: PodInfo, table: Table, why: Unfit) -> Unfit:
    """What extenders leave of the candidates for making room."""

    def pods_on(name: str) -> Iterable[PodInfo] | None:
        row = table.row(name)
        return None if row is None else table.pods[row].values()

    for extender in extenders:
        if not extender.preempts or not why.candidates:
            continue
        try:
            left = await extender.preempt(pod, why.candidates, pods_on)
        except ExtenderError as error:
            if extender.ignorable:
                log.warning("%r is left out: %s", extender, error)
                continue
            raise PluginError(str(error)) from error
        why = why._replace(candidates=left)
    return why


def _nodes(table: Table, rows: Rows) -> dict[str, Object]:
    return {table.names[row]: node for row in rows if (node := table.nodes[row]) is not None}
