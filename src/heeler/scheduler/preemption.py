"""Preemption: which pods of lower priority must go so that a pod finds a place, and on which node that costs least.

Pure. https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ — disruption budgets
are respected where another choice will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from heeler.base.random import Random
from heeler.scheduler.cycle import USUAL, Circumstances, Diagnosis, Nominated, allows, counted
from heeler.scheduler.plugins.plugin import Refusal
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.profile import Profile
from heeler.scheduler.table import Table, Trial
from heeler.workloads import pods

HELPLESS = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


class Candidate(NamedTuple):
    """What it costs to make room on a node; `victims` are told the most important first."""

    node: str
    victims: list[PodInfo]
    violations: int


class Plan(NamedTuple):
    """`victims` leave `node`; without a node `reasons` tells how many nodes have which reason."""

    node: str
    victims: list[PodInfo]
    reasons: list[tuple[str, int]]


def cheapest(found: Sequence[Candidate], reasons: Sequence[tuple[str, int]]) -> Plan:
    """The node that it costs least to make room on; without candidates the reasons why there are none."""
    if not found:
        return Plan("", [], list(reasons))
    best = min(found, key=cost)
    return Plan(best.node, best.victims, [])


def candidates(
    pod: PodInfo,
    diagnosis: Diagnosis,
    table: Table,
    profile: Profile,
    random: Random,
    around: Circumstances = USUAL,
) -> tuple[list[Candidate], list[tuple[str, int]]]:
    """Of nodes that could take the pod if others left, as many as are looked for; and the reasons of the others."""
    if diagnosis.whole is not None:
        return [], [(HELPLESS, len(table))]
    reasons: list[tuple[str, int]] = []
    potential: list[int] = []
    final: dict[int, None] = {}
    for refused in diagnosis.explained():
        if refused.refusal.final:
            final.update(dict.fromkeys(refused.rows.tolist()))
        else:
            potential += refused.rows.tolist()
    if final:
        reasons.append((HELPLESS, len(final)))
    if all(priority >= pod.priority for priority in table.priorities):
        return [], [*reasons, *([(NO_VICTIMS, len(potential))] if potential else [])]
    place = {int(row): at for at, row in enumerate(table.order)}
    potential.sort(key=lambda row: place[row])
    enough = _enough(len(potential), profile)
    first = random.below(len(potential)) if len(potential) > enough else 0
    found: list[Candidate] = []
    for row in (*potential[first:], *potential[:first]):
        one = _candidate(pod, row, table, profile, around)
        if isinstance(one, Candidate):
            found.append(one)
            if len(found) >= enough:
                break
        else:
            reasons.append((one, 1))
    return found, reasons


def _enough(potential: int, profile: Profile) -> int:
    """How many candidates are compared."""
    share = potential * profile.preemption_percentage // 100
    return min(max(share, profile.preemption_absolute), potential)


def _candidate(pod: PodInfo, row: int, table: Table, profile: Profile, around: Circumstances) -> Candidate | str:
    """The fewest pods that must leave a node, or why that wouldn't help."""
    lower = [info for info in table.pods[row].values() if info.priority < pod.priority]
    if not lower:
        return NO_VICTIMS
    with table.trial() as trial:
        for info in lower:
            trial.remove(info, row)
        nominated = around.nominated
        why = allows(pod, row, table, profile, nominated)
        if why is not None:
            return why.explained()[0].refusal.reasons[0]
        lower.sort(key=importance)
        guarded = around.protected(lower)
        first = [info for info, held in zip(lower, guarded, strict=True) if held]
        rest = [info for info, held in zip(lower, guarded, strict=True) if not held]
        # let as many stay as can, the protected and important ones before others
        violating = [info for info in first if not _reprieved(info, pod, row, trial, table, profile, nominated)]
        others = [info for info in rest if not _reprieved(info, pod, row, trial, table, profile, nominated)]
    return Candidate(table.names[row], sorted([*violating, *others], key=importance), len(violating))


def _reprieved(
    info: PodInfo, pod: PodInfo, row: int, trial: Trial, table: Table, profile: Profile, nominated: Nominated
) -> bool:
    """May a pod stay? It is back on its row then."""
    trial.add(info, row)
    if allows(pod, row, table, profile, nominated) is None:
        return True
    trial.remove(info, row)
    return False


def _started(info: PodInfo) -> str:
    return str((info.pod.get("status") or {}).get("startTime") or "9999")


def importance(info: PodInfo) -> tuple[int, str, str]:
    """The more important first: higher priority, then longer running."""
    return -info.priority, _started(info), info.key


def cost(candidate: Candidate) -> tuple[object, ...]:
    """Fewest violated budgets, lowest top priority, smallest sum, fewest victims, latest start of the top ones."""
    victims = candidate.victims
    top = max((v.priority for v in victims), default=-(2**31))
    latest = min((_started(v) for v in victims if v.priority == top), default="")
    return (
        candidate.violations,
        top,
        sum(v.priority + 2**31 for v in victims),
        len(victims),
        _Later(latest),
    )


class _Later(str):
    """Orders times backwards."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


def eligible(pod: PodInfo, table: Table, row: int | None, refusals: Mapping[int, Refusal]) -> str:
    """Why a pod may not preempt, or "". `row` is the one that it was promised, if any."""
    if pod.template.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    if row is None:
        return ""
    refusal = refusals.get(row)
    if refusal is not None and refusal.final:
        return ""  # the node is out for another reason: it may look for a new one
    if any(_leaves(other) and other.priority < pod.priority for other in table.pods[row].values()):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _leaves(info: PodInfo) -> bool:
    """Is a pod going since the scheduler preempted it?"""
    if not pods.is_terminating(info.pod):
        return False
    found = pods.condition(info.pod, "DisruptionTarget")
    return found is not None and found.get("status") == "True" and found.get("reason") == "PreemptionByScheduler"


def outcome(nodes: int, found: Plan) -> str:
    """What is told of an attempt to make room."""
    if found.node:
        return f"found a potential placement for pod on node {found.node}, preempting {len(found.victims)} victims"
    return f"0/{nodes} nodes are available: {counted(found.reasons)}."
