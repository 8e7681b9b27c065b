"""The whole decision about one pod, pure: a node, or what is told and which pods would have to leave which node for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heeler.base.random import Random
from heeler.objects.value import Object
from heeler.scheduler import preemption
from heeler.scheduler.cycle import USUAL, Circumstances, Diagnosis, best, find, ratings, unfit_message
from heeler.scheduler.plugins.dynamic_resources import DynamicResources
from heeler.scheduler.plugins.plugin import Refusal
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.preemption import Candidate, Plan
from heeler.scheduler.profile import Profile
from heeler.scheduler.table import Rows, Table
from heeler.workloads.extended_resources import is_special

#: Upstream asks the plugin of devices first what freeing claims would help. One that refused all nodes before that
#: plugin had looked at the pod leaves it without an answer, and this is what is told.
BEFORE_DEVICES = "not found"
DEVICES = "DynamicResources"
FREED, DELETED = "deallocation of ResourceClaim completed", "deletion of ResourceClaim completed"


class Decision(NamedTuple):
    """`node` to go to; or "", why, by which plugins, and which pods would have to leave which node for it."""

    node: str
    message: str = ""
    preempt: Plan | None = None
    plugins: tuple[str, ...] = ()
    #: Preemption was tried: without a plan nobody makes room for the pod any more.
    tried_preemption: bool = False
    #: A claim of devices that is given back, since its devices are where the pod can't be; one that was made for the pod's
    #: extended resources goes.
    frees: Object | None = None
    #: How many nodes were looked at: the next pod starts behind them.
    looked_at: int = 0


def decide(
    pod: PodInfo,
    table: Table,
    profile: Profile,
    random: Random,
    around: Circumstances = USUAL,
) -> Decision:
    found = find(pod, table, profile, around)
    if len(found.rows):
        row = choose(pod, table, profile, found.rows, random)
        return Decision(table.names[row], looked_at=found.looked_at)
    why = unfit(pod, table, profile, random, found.diagnosis, around)
    return why.settled(len(table))._replace(looked_at=found.looked_at)


def choose(pod: PodInfo, table: Table, profile: Profile, rows: Rows, random: Random) -> int:
    """The best of possible rows."""
    return int(rows[0]) if len(rows) == 1 else best(rows, ratings(pod, table, profile, rows), random)


class Unfit(NamedTuple):
    """What is known of a pod that no node will do for. `final`: making room was not tried, and this is all there is to tell."""

    text: str
    plugins: tuple[str, ...]
    final: bool = False
    frees: Object | None = None
    candidates: Sequence[Candidate] = ()
    reasons: Sequence[tuple[str, int]] = ()

    def settled(self, nodes: int) -> Decision:
        """With the cheapest of the candidates."""
        if self.final:
            return Decision("", self.text, plugins=self.plugins, frees=self.frees)
        plan = preemption.cheapest(self.candidates, self.reasons)
        told = f"{self.text} preemption: {preemption.outcome(nodes, plan)}"
        made = plan if plan.node else None
        return Decision("", told, made, self.plugins, tried_preemption=True, frees=self.frees)


def unfit(
    pod: PodInfo,
    table: Table,
    profile: Profile,
    random: Random,
    diagnosis: Diagnosis,
    around: Circumstances = USUAL,
) -> Unfit:
    """No node will do: what is told, and where others could make room."""
    nodes = len(table)
    text = unfit_message(nodes, diagnosis)
    plugins = tuple(diagnosis.plugins())
    if not nodes:
        return Unfit(text, plugins, final=True)
    if diagnosis.whole is not None and _comes_before_devices(diagnosis.whole[0], profile):
        return Unfit(f"{text} {BEFORE_DEVICES}", plugins, final=True)
    devices = profile.plugins.get(DEVICES)
    frees = devices.freeable(pod) if profile.frees and isinstance(devices, DynamicResources) else None
    if frees is not None:
        text = f"{text} {DELETED if is_special(frees) else FREED}" + ("," if profile.preempts else "")
    if not profile.preempts:
        return Unfit(text, plugins, final=True, frees=frees)
    refusals: dict[int, Refusal] = {}
    if around.promised is not None:
        explained = diagnosis.explained()
        refusals = {int(row): one.refusal for one in explained for row in one.rows if row == around.promised}
    no = preemption.eligible(pod, table, around.promised, refusals)
    if no:
        return Unfit(f"{text} preemption: {no}", plugins, final=True, frees=frees)
    candidates, reasons = preemption.candidates(pod, diagnosis, table, profile, random, around)
    return Unfit(text, plugins, False, frees, candidates, reasons)


def _comes_before_devices(plugin: str, profile: Profile) -> bool:
    names = [one.name for one in profile.filters]
    return profile.frees and DEVICES in names and names.index(plugin) < names.index(DEVICES)
