"""How fast pods are driven off dead nodes: a rate for each zone, which falls when much of the zone is dead. Pure.

A zone that is wholly dead, or most of it, rather means that the control plane can't see it. If that holds for all of
them, nobody is evicted any more. https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from heeler.objects.value import Object, labels_of
from heeler.workloads import pods

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
OLD_REGION, OLD_ZONE = "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"
#: Nodes with this label don't count for the state of their zone.
EXCLUDED = "node.kubernetes.io/exclude-disruption"
#: Fewer dead nodes than this are no disruption of a zone, whatever their share.
FEWEST_DEAD = 3


class State(Enum):
    NORMAL = "normal"
    PARTIAL = "partial disruption"
    FULL = "full disruption"


class Change(Enum):
    """What an update of the zones means for all nodes: nothing, or that the control plane lost, or found again, all of them."""

    NONE = "none"
    LOST = "lost"
    FOUND = "found"


class Counts(NamedTuple):
    ready: int
    dead: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Nodes a second, as kube-controller-manager's flags of these names."""

    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    large_cluster_size_threshold: int = 50
    unhealthy_zone_threshold: float = 0.55


def zone_of(node: Object) -> str:
    """Region and zone; "" if a node has neither."""
    labels = labels_of(node)
    region, zone = labels.get(REGION) or labels.get(OLD_REGION), labels.get(ZONE) or labels.get(OLD_ZONE)
    return f"{region or ''}:{zone or ''}" if region or zone else ""


def count(nodes: Iterable[Object]) -> dict[str, Counts]:
    """The nodes of each zone, by whether they are ready."""
    out: dict[str, Counts] = {}
    for node in nodes:
        if EXCLUDED in labels_of(node):
            continue
        ready, dead = out.get(zone_of(node), Counts(0, 0))
        is_ready = pods.has_condition(node, "Ready")
        out[zone_of(node)] = Counts(ready + is_ready, dead + (not is_ready))
    return out


def state_of(found: Counts, threshold: float) -> State:
    if found.dead and not found.ready:
        return State.FULL
    if found.dead >= FEWEST_DEAD and found.dead / (found.dead + found.ready) >= threshold:
        return State.PARTIAL
    return State.NORMAL


@dataclass(slots=True)
class _Zone:
    """`rate`: nodes a second; `free`: how many right now (one at the most), as of `at`."""

    state: State
    rate: float
    free: float
    at: float


@dataclass(slots=True)
class Zones:
    rates: Rates = Rates()
    _zones: dict[str, _Zone] = field(default_factory=dict)

    def update(self, counts: Mapping[str, Counts], now: float) -> Change:
        """Take over how many nodes of each zone are ready now."""
        states = {name: state_of(found, self.rates.unhealthy_zone_threshold) for name, found in counts.items()}
        were_lost = bool(self._zones) and all(zone.state is State.FULL for zone in self._zones.values())
        are_lost = bool(states) and all(state is State.FULL for state in states.values())
        for name in [name for name in self._zones if name not in counts]:
            del self._zones[name]
        for name, state in states.items():
            rate = 0.0 if are_lost else self._rate(state, sum(counts[name]))
            zone = self._zones.get(name)
            if zone is None:
                self._zones[name] = _Zone(state, rate, 1.0, now)
            else:
                self._fill(zone, now)
                zone.state, zone.rate = state, rate
        if are_lost and not were_lost:
            return Change.LOST
        return Change.FOUND if were_lost and not are_lost else Change.NONE

    def _rate(self, state: State, size: int) -> float:
        if state is not State.PARTIAL:
            return self.rates.node_eviction_rate
        large = size > self.rates.large_cluster_size_threshold
        return self.rates.secondary_node_eviction_rate if large else 0.0

    def seconds_left(self, name: str, now: float) -> float | None:
        """Seconds until a node of a zone may be given up; None if none may."""
        zone = self._zones.get(name)
        if zone is None or zone.rate <= 0:
            return None
        self._fill(zone, now)
        return max(0.0, (1.0 - zone.free) / zone.rate)

    def take(self, name: str) -> None:
        """A node of the zone is given up."""
        self._zones[name].free -= 1.0

    @staticmethod
    def _fill(zone: _Zone, now: float) -> None:
        zone.free, zone.at = min(1.0, zone.free + (now - zone.at) * zone.rate), now
