"""Devices for all claims of a pod on one node, or none: tries them in order and goes back where that doesn't work out.

Pure. https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heeler.objects.quantities import Quantity, parse
from heeler.objects.value import Object, name_of
from heeler.scheduler.devices.pools import Device, DeviceId, Pool
from heeler.scheduler.devices.selecting import Selecting, SelectorError, attribute, split
from heeler.workloads.taints import tolerated

#: A claim has no more results.
MAX_RESULTS = 32
#: So many devices are tried for a pod on a node before it is given up.
MAX_STEPS = 100_000
HARD_EFFECTS = ("NoSchedule", "NoExecute")
ALL, EXACT_COUNT = "All", "ExactCount"


class AllocationError(ValueError):
    """Something is wrong with a claim or a pool, so that it can't be said whether devices fit."""


class OutOfTimeError(Exception):
    """The search on a node took too long."""


def never() -> bool:
    return False


@dataclass(slots=True)
class Use:
    """What is taken of devices, by claims that are allocated or are being so."""

    #: Devices that one request has for itself.
    exclusive: dict[DeviceId, None] = field(default_factory=dict)
    #: Of shared devices: how many requests have them, and what these consume of each capacity (in 10⁻⁹).
    shared: dict[DeviceId, int] = field(default_factory=dict)
    consumed: dict[DeviceId, dict[str, int]] = field(default_factory=dict)

    def add_result(self, result: Object) -> None:
        """A result of an allocation; administrators' access takes nothing."""
        if result.get("adminAccess"):
            return
        device = DeviceId(result["driver"], result["pool"], result["device"])
        if "shareID" in result:
            amounts = {name: parse(str(text)).nano for name, text in (result.get("consumedCapacity") or {}).items()}
            self.share(device, amounts, 1)
        else:
            self.exclusive[device] = None

    def share(self, device: DeviceId, amounts: Mapping[str, int], sign: int) -> None:
        self.shared[device] = self.shared.get(device, 0) + sign
        taken = self.consumed.setdefault(device, {})
        for name, amount in amounts.items():
            taken[name] = taken.get(name, 0) + sign * amount

    def is_used(self, device: DeviceId) -> bool:
        return device in self.exclusive or self.shared.get(device, 0) > 0

    def copy(self) -> Use:
        return Use(dict(self.exclusive), dict(self.shared), {key: dict(value) for key, value in self.consumed.items()})


@dataclass(slots=True)
class Chosen:
    """One device for one request of a claim."""

    claim: int
    request: str
    device: Device
    wish: Object
    consumed: dict[str, Quantity] | None = None
    #: Which of the alternatives of a request it was; None where there is no choice.
    alternative: int | None = None


@dataclass(slots=True)
class _Slot:
    """A request with as many devices as it is for: those that are wanted exactly, or the next one of so many."""

    claim: int
    name: str
    wish: Object
    exactly: list[Device] | None
    count: int
    alternative: int | None


class Allocator:
    """For the claims of one pod. `classes` by name; `use` is what others have; `is_late` says that a search must end."""

    def __init__(
        self,
        claims: Sequence[Object],
        classes: Mapping[str, Object],
        use: Use,
        selecting: Selecting,
        is_late: Callable[[], bool] = never,
    ) -> None:
        self._claims, self._classes, self._selecting = claims, classes, selecting
        self._use, self._is_late = use, is_late

    def allocate(self, pools: Sequence[Pool]) -> list[Chosen] | None:
        """The devices for all claims; None if there aren't enough. Raises AllocationError and OutOfTimeError."""
        search = _Search(self, pools)
        return search.chosen if search.run() else None

    def selects(self, claim: Object, name: str, wish: Object, device: Device) -> bool:
        """Is a device of the class, and as the request wants it?"""
        device_class = self._classes.get(wish.get("deviceClassName", ""))
        if device_class is None:
            return False
        where = f"claim {claim['metadata'].get('namespace', '')}/{name_of(claim)}, request {name}"
        try:
            return self._selecting.matches(
                device_class["spec"].get("selectors") or [], device
            ) and self._selecting.matches(wish.get("selectors") or [], device)
        except SelectorError as error:
            raise AllocationError(f"{where}: {error}") from error


class _Search:
    """One node's search."""

    def __init__(self, allocator: Allocator, pools: Sequence[Pool]) -> None:
        self._a, self._pools = allocator, pools
        self._by_device = {device.id: pool for pool in pools for device in pool.devices}
        self._use = allocator._use.copy()
        self._counters = {id(pool): _counters_left(pool, self._use) for pool in pools if pool.counters}
        self._selected: dict[tuple[int, str, DeviceId], bool] = {}
        self._steps = 0
        self.chosen: list[Chosen] = []

    def run(self) -> bool:
        # what is wrong with any request is told, also with one that the search wouldn't come to
        ways = [
            [slot for slot in self._slots(at, request) if slot is not None]
            for at, claim in enumerate(self._a._claims)
            for request in ((claim["spec"].get("devices") or {}).get("requests") or ())
        ]
        return self._requests(ways, 0)

    def _requests(self, ways: list[list[_Slot]], at: int) -> bool:
        """Devices for the requests from the `at`-th on."""
        if at == len(ways):
            return True
        return any(self._fill(slot, 0, lambda: self._requests(ways, at + 1)) for slot in ways[at])

    def _slots(self, claim: int, request: Object) -> Iterator[_Slot | None]:
        """The ways to meet a request: one, or each of its alternatives."""
        if "exactly" in request:
            yield self._slot(claim, request["name"], request["exactly"], None)
        for index, one in enumerate(request.get("firstAvailable") or ()):
            yield self._slot(claim, f"{request['name']}/{one['name']}", one, index)

    def _slot(self, claim: int, name: str, wish: Object, alternative: int | None) -> _Slot | None:
        if (wish.get("allocationMode") or EXACT_COUNT) != ALL:
            return _Slot(claim, name, wish, None, int(wish.get("count") or 1), alternative)
        devices = []
        for pool in self._pools:
            self._check(pool)
            if pool.incomplete:
                text = f"asks for all devices, but resource pool {pool.driver}/{pool.name} is currently being updated"
                raise AllocationError(f"{self._where(claim)}, request {_own(name)}: {text}")
            devices += [
                device
                for device in pool.devices
                if self._selects(claim, name, wish, device) and _consumption(wish, device) is not None
            ]
        return _Slot(claim, name, wish, devices, len(devices), alternative) if devices else None

    def _where(self, claim: int) -> str:
        one = self._a._claims[claim]
        return f"claim {one['metadata'].get('namespace', '')}/{name_of(one)}"

    @staticmethod
    def _check(pool: Pool) -> None:
        if pool.invalid:
            raise AllocationError(f"pool {pool.driver}/{pool.name} is invalid: {pool.invalid}")

    def _fill(self, slot: _Slot, index: int, then: Callable[[], bool]) -> bool:
        """Devices for a slot from the `index`-th on, and then the rest."""
        if index == slot.count:
            return then()
        if sum(one.claim == slot.claim for one in self.chosen) >= MAX_RESULTS:
            return False
        if slot.exactly is not None:
            return self._try(slot, slot.exactly[index], index, then)
        last = self._last_of(slot, index)
        for pool in self._pools:
            self._check(pool)
            if pool.incomplete:
                continue
            for device in pool.devices:
                # a request has a device once, and takes them in one order only: others would be the same once more
                if last is not None and not self._comes_after(device, last):
                    continue
                if self._selects(slot.claim, slot.name, slot.wish, device) and self._try(slot, device, index, then):
                    return True
        return False

    def _last_of(self, slot: _Slot, index: int) -> Device | None:
        return self.chosen[-1].device if index else None

    def _comes_after(self, device: Device, last: Device) -> bool:
        order = [one.id for pool in self._pools for one in pool.devices]
        return order.index(device.id) > order.index(last.id)

    def _try(self, slot: _Slot, device: Device, index: int, then: Callable[[], bool]) -> bool:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise AllocationError(f"{self._where(slot.claim)}: gave up after {MAX_STEPS} devices")
        if self._a._is_late():
            raise OutOfTimeError
        admin = bool(slot.wish.get("adminAccess"))
        if not admin and not (self._is_free(slot, device) and self._takes_counters(device, 1)):
            return False
        one = Chosen(slot.claim, slot.name, device, slot.wish, None, slot.alternative)
        if not self._meets_constraints(one):
            if slot.exactly is not None:
                text = f"cannot add device {device.id} because a claim constraint would not be satisfied"
                raise AllocationError(f"{self._where(slot.claim)}, request {_own(slot.name)}: {text}")
            self._give_back(device, admin)
            return False
        if not admin:
            wanted = _consumption(slot.wish, device)
            if wanted is None or (device.shared and not self._has_capacity(device, wanted)):
                self._give_back(device, admin)
                return False
            one.consumed = wanted if device.shared else None
        self._take(one, admin, 1)
        if self._fill(slot, index + 1, then):
            return True
        self._take(one, admin, -1)
        self._give_back(device, admin)
        return False

    def _give_back(self, device: Device, admin: bool) -> None:
        if not admin:
            self._takes_counters(device, -1)

    def _is_free(self, slot: _Slot, device: Device) -> bool:
        if device.id in self._use.exclusive:
            return False
        if not device.shared and self._use.shared.get(device.id):
            return False
        tolerations = slot.wish.get("tolerations") or ()
        return all(taint.get("effect") not in HARD_EFFECTS or tolerated(tolerations, taint) for taint in device.taints)

    def _has_capacity(self, device: Device, consumed: Mapping[str, Quantity]) -> bool:
        taken = self._use.consumed.get(device.id, {})
        capacity = device.spec.get("capacity") or {}
        return all(
            taken.get(name, 0) + amount.nano <= parse(str(capacity[name]["value"])).nano
            for name, amount in consumed.items()
        )

    def _takes_counters(self, device: Device, sign: int) -> bool:
        """Use up (or give back) what a device consumes of its pool's counters; False if there isn't enough."""
        wanted = _counted(device.spec)
        if not wanted or (sign > 0 and self._use.is_used(device.id)):
            return True
        left = self._counters.get(id(self._by_device[device.id]), {})
        if sign > 0 and any(left.get(key, 0) < amount for key, amount in wanted.items()):
            return False
        if sign < 0 and self._use.is_used(device.id):
            return True
        for key, amount in wanted.items():
            left[key] = left.get(key, 0) - sign * amount
        return True

    def _take(self, one: Chosen, admin: bool, sign: int) -> None:
        if sign > 0:
            self.chosen.append(one)
        else:
            self.chosen.pop()
        if admin:
            return
        device = one.device.id
        if one.consumed is not None:
            self._use.share(device, {name: amount.nano for name, amount in one.consumed.items()}, sign)
        elif sign > 0:
            self._use.exclusive[device] = None
        else:
            del self._use.exclusive[device]

    def _selects(self, claim: int, name: str, wish: Object, device: Device) -> bool:
        key = (claim, name, device.id)
        if key not in self._selected:
            self._selected[key] = self._a.selects(self._a._claims[claim], name, wish, device)
        return self._selected[key]

    def _meets_constraints(self, one: Chosen) -> bool:
        """With those that were chosen before for the same claim."""
        claim = self._a._claims[one.claim]
        for constraint in (claim["spec"].get("devices") or {}).get("constraints") or ():
            named = constraint.get("requests") or ()
            if not covers(named, one.request):
                continue
            others = [c.device for c in self.chosen if c.claim == one.claim and covers(named, c.request)]
            wanted = constraint.get("matchAttribute") or constraint.get("distinctAttribute") or ""
            value = _attribute(one.device, wanted)
            if value is None:
                return False
            equal = (_attribute(other, wanted) == value for other in others)
            if "matchAttribute" in constraint:
                if not all(equal):
                    return False
            elif any(equal):
                return False
        return True


def _own(name: str) -> str:
    """A request's name, or an alternative's without its request's, as errors tell it."""
    return name.rpartition("/")[2]


def covers(names: Sequence[str], request: str) -> bool:
    """Are a constraint or a configuration about a request, or one of its alternatives? Without names about all."""
    return not names or request in names or request.partition("/")[0] in names


def _attribute(device: Device, name: str) -> Any:
    """An attribute by its full name, with its type; None without it."""
    domain, own = split(name, device.id.driver)
    for key, value in (device.spec.get("attributes") or {}).items():
        if split(key, device.id.driver) == (domain, own):
            return next(iter(value), ""), attribute(value)
    return None


def _counted(device: Object) -> dict[tuple[str, str], int]:
    """(counter set, counter) -> how much a device consumes."""
    return {
        (one["counterSet"], name): parse(str(counter["value"])).nano
        for one in device.get("consumesCounters") or ()
        for name, counter in (one.get("counters") or {}).items()
    }


def _counters_left(pool: Pool, use: Use) -> dict[tuple[str, str], int]:
    left = {(group, name): value for group, counters in pool.counters.items() for name, value in counters.items()}
    for name, device in pool.everywhere.items():
        if use.is_used(DeviceId(pool.driver, pool.name, name)):
            for key, amount in _counted(device).items():
                left[key] = left.get(key, 0) - amount
    return left


def _consumption(wish: Object, device: Device) -> dict[str, Quantity] | None:
    """What a request consumes of each capacity; None if the device hasn't that much, or doesn't give such amounts."""
    wanted = (wish.get("capacity") or {}).get("requests") or {}
    capacity = device.spec.get("capacity") or {}
    if any(name not in capacity for name in wanted):
        return None
    out = {}
    for name, given in capacity.items():
        has = parse(str(given["value"]))
        asked = _rounded(parse(str(wanted[name])) if name in wanted else None, given.get("requestPolicy"), has)
        if asked is None or has < asked:
            return None
        out[name] = asked
    return out


def _rounded(asked: Quantity | None, policy: Object | None, has: Quantity) -> Quantity | None:
    """An amount as a capacity's policy gives it out; None if it doesn't."""
    if policy is None:
        return has if asked is None else asked
    if asked is None:
        return parse(str(policy["default"])) if "default" in policy else has
    values = [parse(str(one)) for one in policy.get("validValues") or ()]
    if values:
        return next((one for one in values if asked <= one), None)
    limits = policy.get("validRange")
    if not limits:
        return asked
    least = parse(str(limits["min"]))
    if asked < least:
        return least
    if "step" in limits:
        step = parse(str(limits["step"])).nano
        more = -(-(asked.nano - least.nano) // step) * step
        asked = Quantity(least.nano + more, asked.family)
    if "max" in limits and parse(str(limits["max"])) < asked:
        return None
    return asked
