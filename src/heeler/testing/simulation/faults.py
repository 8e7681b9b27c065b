"""What goes wrong in a run: a plan of weather (shares of calls, watches and commits) and incidents (at their moments). Pure.

A plan is drawn by a seed, each part from one table below, or written by a person (`scenario.py`). Each seed leaves some
kinds of faults out altogether: what two of them hide from each other is found where only one happens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from heeler.base.random import Random, choice
from heeler.client.faulty import Faults
from heeler.testing.simulation.disk import Slowness
from heeler.testing.simulation.plane import APISERVER, CALM, CONTROLLERS, NODES, QUICK, SCHEDULER


class Kind(NamedTuple):
    """A kind of incident: what it is done to, and what it does."""

    name: str
    target: str  # "process", "node", "clock"
    what: str


KINDS: tuple[Kind, ...] = (
    Kind("kill", "process", "the process dies in the middle of whatever it does; started again after `for`"),
    Kind("crash-node", "node", "the machine goes down with all that runs on it; up again after `for`"),
    Kind("cut-node", "node", "the node reaches nobody, what runs on it runs on; back after `for`"),
    Kind("remove-node", "node", "the machine is gone and its Node is deleted; a new one of that name after `for`"),
    Kind("set-clock", "clock", "the process' clock is set forward or back by `by`, and right again after `for`"),
)
KIND_NAMES = tuple(kind.name for kind in KINDS)
#: What may be killed, and whose clock may be set.
KILLED = (APISERVER, CONTROLLERS, SCHEDULER)
CLOCKED = (APISERVER, CONTROLLERS, SCHEDULER, NODES)


@dataclass(frozen=True, slots=True, order=True)
class Incident:
    """`at`: seconds since the run began; `seconds` later it is over. `by`: seconds, of set-clock."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0
    by: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Weather and slowness end after `until` seconds, and every incident is over by then."""

    weather: Faults = CALM
    slowness: Slowness = QUICK
    incidents: tuple[Incident, ...] = ()
    until: float = 0.0

    def features(self) -> frozenset[str]:
        """What can happen at all: names of shares, kinds of incidents, and `kill-PROCESS`."""
        shares = {name for name, value in asdict(self.weather).items() if value}
        slow = {"slow"} if self.slowness.share else set()
        kinds = {one.kind for one in self.incidents} - {"kill"}
        return frozenset(shares | slow | kinds | {f"kill-{one.target}" for one in self.incidents if one.kind == "kill"})

    def lag(self) -> float:
        """Seconds that a part's picture of the cluster may be behind, roughly: late watches, dead and slow processes."""
        weather = self.weather
        down = max((one.seconds for one in self.incidents if one.kind in ("kill", "set-clock")), default=0.0)
        return 10.0 + 8 * (weather.lateness + weather.delay + self.slowness.seconds) + 2 * weather.silence + 2 * down


class Share(NamedTuple):
    """A field of `Faults`: `chance` that a seed has it, and then from 0 to `most`."""

    field: str
    chance: float
    most: float


#: Shares of calls, watches and events; times in seconds.
SHARES: tuple[Share, ...] = (
    Share("refused", 0.4, 0.05),
    Share("lost", 0.3, 0.05),
    Share("busy", 0.4, 0.05),
    Share("failed", 0.3, 0.03),
    Share("conflict", 0.4, 0.10),
    Share("straggling", 0.2, 1.0),
    Share("delay", 0.7, 0.2),
    Share("expired", 0.4, 0.05),
    Share("broken", 0.5, 0.05),
    Share("late", 0.4, 0.2),
    Share("lateness", 1.0, 3.0),
    Share("stalled", 0.2, 0.01),
    Share("silence", 1.0, 30.0),
)
SLOW_CHANCE, SLOW_SHARE, SLOW_SECONDS = 0.3, 0.3, 1.5


class Incidents(NamedTuple):
    """A kind of incident: `chance` that a seed has any, up to `most`, each lasting from `low` to `high` seconds."""

    kind: str
    chance: float
    most: int
    low: float
    high: float


INCIDENTS: tuple[Incidents, ...] = (
    Incidents("kill", 0.6, 4, 0.5, 40.0),
    Incidents("crash-node", 0.35, 2, 5.0, 200.0),
    Incidents("cut-node", 0.35, 2, 5.0, 200.0),
    Incidents("remove-node", 0.2, 1, 10.0, 120.0),
    Incidents("set-clock", 0.2, 2, 5.0, 100.0),
)
#: Seconds by which a clock is set: as when a machine wakes up, or is told the right time.
CLOCK_BACK, CLOCK_FORWARD = 30.0, 300.0


def draw(random: Random, nodes: list[str], seconds: float) -> Plan:
    """A plan for a run whose faults last so many seconds."""
    shares = {row.field: _share(random, row) for row in SHARES}
    slow = random.fraction() < SLOW_CHANCE
    slowness = Slowness(random.fraction() * SLOW_SHARE, random.fraction() * SLOW_SECONDS) if slow else QUICK
    incidents = [one for row in INCIDENTS for one in _incidents(random, row, nodes, seconds)]
    weather = replace(CALM, **shares)
    if not weather.late:
        weather = replace(weather, lateness=0.0)
    if not weather.stalled:
        weather = replace(weather, silence=0.0)
    return Plan(weather, slowness, tuple(sorted(incidents)), seconds)


def _share(random: Random, row: Share) -> float:
    there, amount = random.fraction() < row.chance, random.fraction() * row.most
    return amount if there else 0.0


def _incidents(random: Random, row: Incidents, nodes: list[str], seconds: float) -> list[Incident]:
    if random.fraction() >= row.chance:
        return []
    return [some(random, row, nodes, seconds) for _ in range(1 + random.below(row.most))]


def some(random: Random, row: Incidents, nodes: list[str], seconds: float) -> Incident:
    """One incident of a kind, over before `seconds` have passed."""
    target = _target(random, row.kind, nodes)
    at = random.fraction() * seconds
    lasts = min(row.low + random.fraction() * (row.high - row.low), seconds - at)
    by = 0.0
    if row.kind == "set-clock":
        by = -CLOCK_BACK + random.fraction() * (CLOCK_BACK + CLOCK_FORWARD)
    return Incident(at, row.kind, target, lasts, by)


def _target(random: Random, kind: str, nodes: list[str]) -> str:
    match kind:
        case "kill":
            return choice(random, KILLED)
        case "set-clock":
            return choice(random, CLOCKED)
        case _:
            return choice(random, nodes)
