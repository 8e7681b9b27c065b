"""Devices for all claims of a pod on one node, or none: tries them in order and goes back where that doesn't work out.

Pure. https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from heeler.objects.quantities import Quantity, parse
from heeler.objects.value import Object, name_of
from heeler.scheduler.devices.pools import Device, DeviceId, Pool
from heeler.scheduler.devices.selecting import Selecting, SelectorError, attribute, split
from heeler.workloads.taints import tolerated

#: A claim has no more results.
MAX_RESULTS = 32
#: So many times a device is looked at for a pod on a node before it is given up, however much time is left.
MAX_STEPS = 100_000
HARD_EFFECTS = ("NoSchedule", "NoExecute")
ALL, EXACT_COUNT = "All", "ExactCount"


class AllocationError(ValueError):
    """Something is wrong with a claim or a pool, so that it can't be said whether devices fit."""


class InvalidPoolsError(Exception):
    """There aren't enough devices on a node, where some can't be used as something is wrong with their pool."""


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


@dataclass(slots=True, eq=False)
class _Slot:
    """A request with as many devices as it is for: those that are wanted exactly, or the next ones of so many."""

    claim: int
    name: str
    wish: Object
    exactly: list[Device] | None
    count: int
    alternative: int | None
    #: Class and selectors: requests for the same select the same.
    selecting: bytes

    @property
    def is_admin(self) -> bool:
        return bool(self.wish.get("adminAccess"))


class _Outcome(Enum):
    """How a part of the search ended. TOO_MANY: no other devices will help, the claim's results are too many."""

    FOUND, NOTHING, TOO_MANY = "found", "nothing", "too many"


#: A part of the search, which hands out the parts below it and is sent how they ended: claims may be for thousands of
#: devices together, more than Python's stack has room for.
_Part = Generator["_Part", _Outcome, _Outcome]
#: What two devices have in common of which one may stand for the other.
_Likeness = tuple[object, ...]


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
        self.claims, self._classes, self._selecting = claims, classes, selecting
        self.use, self.is_late = use, is_late

    def allocate(self, pools: Sequence[Pool]) -> list[Chosen] | None:
        """The devices for all claims; None if there aren't enough.

        Raises AllocationError, OutOfTimeError, and InvalidPoolsError if there aren't enough in the pools that can be used.
        """
        search = _Search(self, pools)
        if search.run():
            return search.chosen
        if any(pool.invalid and not pool.incomplete for pool in pools):
            raise InvalidPoolsError("invalid resource pools were encountered")
        return None

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


class _Candidates:
    """The devices that a request may have, in order; each is only looked at when those before it don't do."""

    def __init__(self, found: Iterator[Device]) -> None:
        self._rest = found
        self.known: list[Device] = []
        self.all_known = False

    def at(self, index: int) -> Device | None:
        while len(self.known) <= index and not self.all_known:
            device = next(self._rest, None)
            if device is None:
                self.all_known = True
            else:
                self.known.append(device)
        return self.known[index] if index < len(self.known) else None


class _Search:
    """One node's search.

    Where a device didn't lead to an end, others of its likeness wouldn't either, and fewer devices than are wanted needn't
    be tried at all: what is found is what trying everything finds first.
    """

    def __init__(self, allocator: Allocator, pools: Sequence[Pool]) -> None:
        self._a, self._pools = allocator, pools
        self._by_device = {device.id: pool for pool in pools for device in pool.devices}
        self._use = allocator.use.copy()
        self._counters = {id(pool): _counters_left(pool, self._use) for pool in pools if pool.counters}
        self._selected: dict[tuple[bytes, DeviceId], bool] = {}
        self._attributes: dict[tuple[DeviceId, str], Any] = {}
        self._likeness: dict[DeviceId, _Likeness] = {}
        self._results = [0] * len(allocator.claims)
        #: The claims to which the search gives a device, until it goes back.
        self._holders: dict[DeviceId, list[int]] = {}
        self._steps = 0
        self._ways: list[tuple[int, list[_Slot | None]]] = []
        #: A slot of each way to select devices.
        self._kinds: dict[tuple[bytes, bool], _Slot] = {}
        self.chosen: list[Chosen] = []

    def run(self) -> bool:
        # what is wrong with any request is told, also with one that the search wouldn't come to
        for at, claim in enumerate(self._a.claims):
            least = 0
            for request in _requests(claim):
                slots = list(self._slots(at, request))
                fewest = min((slot.count if slot is not None else 0 for slot in slots), default=0)
                if fewest > MAX_RESULTS - least:
                    limit = f"exceeds the claim limit of {MAX_RESULTS}, with {least} already accounted for"
                    raise AllocationError(
                        f"{self._where(at)}, request {request['name']}: adding {fewest} devices {limit}"
                    )
                least += fewest
                self._ways.append((at, slots))
                self._kinds |= {(slot.selecting, slot.is_admin): slot for slot in slots if slot is not None}
        return _ended(self._request(0)) is _Outcome.FOUND

    def _request(self, at: int) -> _Part:
        """Devices for the requests from the `at`-th on."""
        if at == len(self._ways):
            return _Outcome.FOUND
        claim, slots = self._ways[at]
        outcome = _Outcome.NOTHING
        for number, slot in enumerate(slots):
            found = _Outcome.NOTHING
            if slot is not None:
                found = yield self._fill(slot, at, self._candidates(slot), 0, 0, {})
            if found is _Outcome.FOUND:
                return found
            if number == 0 or outcome is _Outcome.TOO_MANY:
                outcome = found
        if at and self._ways[at - 1][0] != claim:
            return _Outcome.NOTHING  # with other devices for the claims before, this one may need fewer
        return outcome

    def _slots(self, claim: int, request: Object) -> Iterator[_Slot | None]:
        """The ways to meet a request: one, or each of its alternatives; None for one that can't be met."""
        if "exactly" in request:
            yield self._slot(claim, request["name"], request["exactly"], None)
        for index, one in enumerate(request.get("firstAvailable") or ()):
            yield self._slot(claim, f"{request['name']}/{one['name']}", one, index)

    def _slot(self, claim: int, name: str, wish: Object, alternative: int | None) -> _Slot | None:
        selecting = orjson.dumps([wish.get("deviceClassName"), wish.get("selectors")], option=orjson.OPT_SORT_KEYS)
        slot = _Slot(claim, name, wish, None, int(wish.get("count") or 1), alternative, selecting)
        if (wish.get("allocationMode") or EXACT_COUNT) != ALL:
            return slot
        slot.exactly = []
        for pool in self._pools:
            if pool.incomplete or pool.invalid:
                state = "being updated" if pool.incomplete else "invalid"
                text = f"asks for all devices, but resource pool {pool.driver}/{pool.name} is currently {state}"
                raise AllocationError(f"{self._where(claim)}, request {_own(name)}: {text}")
            slot.exactly += [
                device
                for device in pool.devices
                if self._selects(slot, device) and _consumption(wish, device) is not None
            ]
        slot.count = len(slot.exactly)
        return slot if slot.exactly else None

    def _where(self, claim: int) -> str:
        one = self._a.claims[claim]
        return f"claim {one['metadata'].get('namespace', '')}/{name_of(one)}"

    def _candidates(self, slot: _Slot) -> _Candidates:
        """Those devices that are free now; while the slot is filled nobody else takes any."""
        return _Candidates(
            device
            for pool in self._pools
            if not (pool.incomplete or pool.invalid)
            for device in pool.devices
            if self._step() and self._is_free(slot, device) and self._selects(slot, device)
            if slot.is_admin or _is_tolerated(slot, device)
        )

    def _step(self) -> bool:
        """Another device is looked at. Raises OutOfTimeError."""
        self._steps += 1
        if self._steps > MAX_STEPS or self._a.is_late():
            raise OutOfTimeError
        return True

    def _fill(
        self, slot: _Slot, at: int, candidates: _Candidates, index: int, first: int, failed: dict[_Likeness, None]
    ) -> _Part:
        """Devices for a slot from the `index`-th on, of the candidates from the `first` on, and then the requests after it.

        `failed` are the likenesses of devices that didn't lead to an end here or before."""
        wanted = slot.count - index
        if not wanted:
            outcome = yield self._request(at + 1)
            return outcome
        if wanted > MAX_RESULTS - self._results[slot.claim]:
            return _Outcome.TOO_MANY
        if slot.exactly is not None:
            outcome = yield self._try(slot, slot.exactly[index], self._fill(slot, at, candidates, index + 1, 0, failed))
            return outcome
        failed = dict(failed)
        # a request takes devices in one order only: others would be the same once more
        while (device := candidates.at(first)) is not None:
            if candidates.all_known and not self._may_suffice(slot, candidates.known[first:], wanted, failed):
                break
            first += 1
            if failed and self._likeness_of(device) in failed:
                continue
            outcome = yield self._try(slot, device, self._fill(slot, at, candidates, index + 1, first, failed))
            if outcome is not _Outcome.NOTHING:
                return outcome
            failed[self._likeness_of(device)] = None
        return _Outcome.NOTHING

    def _may_suffice(self, slot: _Slot, devices: list[Device], wanted: int, failed: Mapping[_Likeness, None]) -> bool:
        """Are as many of the devices as are wanted still possible?"""
        if len(devices) < wanted:
            return False
        for device in devices:
            self._step()
            if not (failed and self._likeness_of(device) in failed) and self._meets_constraints(slot, device):
                wanted -= 1
                if not wanted:
                    return True
        return False

    def _likeness_of(self, device: Device) -> _Likeness:
        """All that decides about a device, for any of the requests; shared devices are like no others."""
        known = self._likeness.get(device.id)
        if known is None:
            known = self._likeness[device.id] = self._made_likeness(device)
        return known

    def _made_likeness(self, device: Device) -> _Likeness:
        if device.shared or any(slot.is_admin for slot in self._kinds.values()):
            return (device.id,)
        try:
            selected = tuple(self._selects(slot, device) for slot in self._kinds.values())
        except AllocationError:  # it isn't said as long as the search doesn't come to it
            return (device.id,)
        constrained = {_constrained(constraint): None for claim in self._a.claims for constraint in _constraints(claim)}
        spec = device.spec
        counters = spec.get("consumesCounters")
        return (
            selected,
            tuple(self._attribute(device, name) for name in constrained),
            orjson.dumps([spec.get("capacity"), device.taints, counters], option=orjson.OPT_SORT_KEYS),
            device.id[:2] if counters else None,
        )

    def _try(self, slot: _Slot, device: Device, then: _Part) -> _Part:
        self._step()
        admin = slot.is_admin
        free = self._is_free(slot, device) and (admin or _is_tolerated(slot, device))
        if not free or not (admin or self._takes_counters(device, 1)):
            return _Outcome.NOTHING
        one = Chosen(slot.claim, slot.name, device, slot.wish, None, slot.alternative)
        if not self._meets_constraints(slot, device):
            if slot.exactly is not None:
                text = f"cannot add device {device.id} because a claim constraint would not be satisfied"
                raise AllocationError(f"{self._where(slot.claim)}, request {_own(slot.name)}: {text}")
            self._give_back(device, admin)
            return _Outcome.NOTHING
        if not admin:
            wanted = _consumption(slot.wish, device)
            if wanted is None or (device.shared and not self._has_capacity(device, wanted)):
                self._give_back(device, admin)
                return _Outcome.NOTHING
            one.consumed = wanted if device.shared else None
        self._take(one, admin, 1)
        outcome = yield then
        if outcome is not _Outcome.FOUND:
            self._take(one, admin, -1)
            self._give_back(device, admin)
        return outcome

    def _give_back(self, device: Device, admin: bool) -> None:
        if not admin:
            self._takes_counters(device, -1)

    def _is_free(self, slot: _Slot, device: Device) -> bool:
        """Does nobody have it? Administrators may have what others have, but nothing twice in a claim."""
        holders = self._holders.get(device.id, ())
        if slot.is_admin:
            return slot.claim not in holders
        return (
            not holders
            and device.id not in self._use.exclusive
            and (device.shared or not self._use.shared.get(device.id))
        )

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
        self._results[one.claim] += sign
        holders = self._holders.setdefault(one.device.id, [])
        if sign > 0:
            self.chosen.append(one)
            if not one.device.shared:
                holders.append(one.claim)
        else:
            self.chosen.pop()
            if not one.device.shared:
                holders.pop()
        if admin:
            return
        device = one.device.id
        if one.consumed is not None:
            self._use.share(device, {name: amount.nano for name, amount in one.consumed.items()}, sign)
        elif sign > 0:
            self._use.exclusive[device] = None
        else:
            del self._use.exclusive[device]

    def _selects(self, slot: _Slot, device: Device) -> bool:
        key = (slot.selecting, device.id)
        if key not in self._selected:
            if self._a.is_late():
                raise OutOfTimeError
            self._selected[key] = self._a.selects(self._a.claims[slot.claim], slot.name, slot.wish, device)
        return self._selected[key]

    def _attribute(self, device: Device, name: str) -> Any:
        key = (device.id, name)
        if key not in self._attributes:
            self._attributes[key] = _attribute(device, name)
        return self._attributes[key]

    def _meets_constraints(self, slot: _Slot, device: Device) -> bool:
        """With those that were chosen before for the same claim."""
        for constraint in _constraints(self._a.claims[slot.claim]):
            named = constraint.get("requests") or ()
            if not covers(named, slot.name):
                continue
            others = (c.device for c in self.chosen if c.claim == slot.claim and covers(named, c.request))
            wanted = _constrained(constraint)
            value = self._attribute(device, wanted)
            if value is None:
                return False
            equal = (self._attribute(other, wanted) == value for other in others)
            if "matchAttribute" in constraint:
                if not all(equal):
                    return False
            elif any(equal):
                return False
        return True


def _ended(part: _Part) -> _Outcome:
    """Goes through a search's parts, the deepest first."""
    parts, outcome = [part], None
    while True:
        try:
            below = parts[-1].send(outcome)  # type: ignore[arg-type]  # nothing is sent to one that begins
        except StopIteration as end:
            parts.pop()
            if not parts:
                return end.value  # type: ignore[no-any-return]
            outcome = end.value
        else:
            parts.append(below)
            outcome = None


def _requests(claim: Object) -> Sequence[Object]:
    return (claim["spec"].get("devices") or {}).get("requests") or ()


def _constraints(claim: Object) -> Sequence[Object]:
    return (claim["spec"].get("devices") or {}).get("constraints") or ()


def _constrained(constraint: Object) -> str:
    """The attribute that a constraint is about."""
    return constraint.get("matchAttribute") or constraint.get("distinctAttribute") or ""


def _is_tolerated(slot: _Slot, device: Device) -> bool:
    tolerations = slot.wish.get("tolerations") or ()
    return all(taint.get("effect") not in HARD_EFFECTS or tolerated(tolerations, taint) for taint in device.taints)


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
