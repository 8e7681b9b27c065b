"""Pools of devices as their drivers publish them in ResourceSlices, and which of them a node can use.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#resourceslice
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from heeler.objects.quantities import parse
from heeler.objects.value import Object, labels_of, name_of
from heeler.workloads import affinity
from heeler.workloads.device_taints import selects


class DeviceId(NamedTuple):
    """What tells one device from all others."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(slots=True, eq=False)
class Device:
    """One device, and the slice that publishes it."""

    id: DeviceId
    spec: Object
    slice: Object
    #: Its own, and those of rules.
    taints: list[Object]

    @property
    def shared(self) -> bool:
        """May several requests have it at a time?"""
        return bool(self.spec.get("allowMultipleAllocations"))

    @property
    def place(self) -> Object:
        """What says on which nodes it is: itself, where the slice leaves that to devices."""
        spec: Object = self.slice["spec"]
        return self.spec if spec.get("perDeviceNodeSelection") else spec


@dataclass(slots=True, eq=False)
class Pool:
    """`devices` that a node can use. Of an `incomplete` pool not all slices are there yet; `invalid` says what is wrong."""

    driver: str
    name: str
    devices: list[Device] = field(default_factory=list)
    incomplete: bool = False
    invalid: str = ""
    #: Counter set -> counter -> thousand-millionths that it has; devices that are taken use them up.
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    #: All devices of the pool, those of other nodes too: their use of counters counts.
    everywhere: dict[str, Object] = field(default_factory=dict)


class Published:
    """All slices, sorted into pools, with the taints of `rules`. Made anew when one of them changed."""

    def __init__(self, slices: Iterable[Object], rules: Iterable[Object] = ()) -> None:
        self._rules = sorted(rules, key=name_of)
        found: dict[tuple[str, str], list[Object]] = {}
        for one in sorted(slices, key=name_of):
            spec = one["spec"]
            found.setdefault((spec["driver"], spec["pool"]["name"]), []).append(one)
        self._pools = [(key, _current(found[key])) for key in sorted(found)]

    def for_node(self, node: Object) -> list[Pool]:
        """The pools that have devices for a node."""
        out = []
        for (driver, name), slices in self._pools:
            pool = self._pool(driver, name, slices, node)
            if pool.devices or (
                (pool.incomplete or pool.invalid) and any(_has_some(one["spec"], node) for one in slices)
            ):
                out.append(pool)
        # a device that needs no preparation outside is better than one that does
        out.sort(key=lambda pool: any("bindingConditions" in device.spec for device in pool.devices))
        return out

    def _pool(self, driver: str, name: str, slices: list[Object], node: Object) -> Pool:
        pool = Pool(driver, name)
        pool.incomplete = len(slices) != int(slices[0]["spec"]["pool"].get("resourceSliceCount") or 0)
        names: dict[str, None] = {}
        for one in slices:
            spec = one["spec"]
            for counters in spec.get("sharedCounters") or ():
                values = {
                    key: parse(str(counter["value"])).nano for key, counter in (counters.get("counters") or {}).items()
                }
                if counters["name"] in pool.counters:
                    pool.invalid = pool.invalid or f"duplicate counter set name {counters['name']}"
                pool.counters[counters["name"]] = values
            devices = spec.get("devices") or ()
            # names are told apart among the slices that have something for the node
            own = [device["name"] for device in devices] if _has_some(spec, node) else []
            for device_name in own:
                if device_name in names:
                    pool.invalid = pool.invalid or f"duplicate device name {device_name}"
                names[device_name] = None
            for device in devices:
                pool.everywhere[device["name"]] = device
                made = Device(DeviceId(driver, name, device["name"]), device, one, device.get("taints") or [])
                if _is_for(made.place, node):
                    of_rules = [rule["spec"]["taint"] for rule in self._rules if selects(rule, made.id)]
                    made.taints = [*made.taints, *of_rules]
                    pool.devices.append(made)
        if not pool.incomplete:
            pool.invalid = pool.invalid or _missing_counter(pool)
        return pool


def _missing_counter(pool: Pool) -> str:
    """What a device consumes of that the pool hasn't got, or ""."""
    for device in pool.everywhere.values():
        for one in device.get("consumesCounters") or ():
            there = pool.counters.get(one["counterSet"])
            if there is None:
                return f"counter set {one['counterSet']} not found"
            for name in one.get("counters") or ():
                if name not in there:
                    return f"counter {name} not found in counter set {one['counterSet']}"
    return ""


def _has_some(spec: Object, node: Object) -> bool:
    """Has a slice anything for a node? Counters are for all."""
    if spec.get("sharedCounters"):
        return True
    if spec.get("perDeviceNodeSelection"):
        return any(_is_for(device, node) for device in spec.get("devices") or ())
    return _is_for(spec, node)


def _current(slices: list[Object]) -> list[Object]:
    """Those of the newest generation."""
    newest = max(one["spec"]["pool"].get("generation", 0) for one in slices)
    return [one for one in slices if one["spec"]["pool"].get("generation", 0) == newest]


def _is_for(place: Object, node: Object) -> bool:
    """Can a node use what is there?"""
    if place.get("allNodes"):
        return True
    if place.get("nodeName"):
        return bool(place["nodeName"] == name_of(node))
    terms = (place.get("nodeSelector") or {}).get("nodeSelectorTerms") or ()
    return any(affinity.term_matches(term, labels_of(node), name_of(node)) for term in terms)
