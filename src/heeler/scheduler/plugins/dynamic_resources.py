"""Devices that a pod claims: it goes where they are, and they are allocated to it before it is bound.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, NoReturn

import numpy as np

from heeler.base.aside import PATIENCE, PATIENT_UNITS, Costly
from heeler.base.clock import Clock
from heeler.client.informer import key_of
from heeler.kinds.meta.resource_rules import is_extended
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of
from heeler.scheduler.devices import binding
from heeler.scheduler.devices.allocator import (
    AllocationError,
    Allocator,
    Chosen,
    InvalidPoolsError,
    OutOfTimeError,
)
from heeler.scheduler.devices.claim_writer import BINDING_SECONDS, ClaimWriter
from heeler.scheduler.devices.extended import Special, is_of, special_claim, special_of
from heeler.scheduler.devices.known import Devices, MissingClaim, allocation_of, reserved_for, usable_on
from heeler.scheduler.devices.pools import Pool
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.events import (
    ADD,
    ALLOCATABLE,
    DELETE,
    DEVICE_CLASS,
    GENERATED,
    LABEL,
    NODE,
    POD,
    RESOURCE_CLAIM,
    RESOURCE_SLICE,
    UPDATE,
    Hints,
)
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.plugin import Check, PluginError, Refusal, looped, normalised, refused
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table
from heeler.workloads.extended_resources import is_special
from heeler.workloads.resources import FIRST

log = logging.getLogger(__name__)

ELSEWHERE = Refusal(("resourceclaim not available on the node",), True)
TOO_FEW = Refusal(("cannot allocate all claims",), True)
#: A claim that was made for the pod's extended resources when it was tried before: it goes first.
STALE = Refusal(("cannot schedule extended resource claim",), True)
NOT_OFFERED = Refusal(("cannot fit resource",), True)
IN_USE = "resourceclaim in use"
#: So long devices are looked for on one node.
FILTER_SECONDS = 10.0
#: So long a decision may keep the loop waiting with searches for devices.
PATIENCE_SECONDS = 0.05
#: A claim is reserved for so many pods at the most.
MAX_RESERVED = 256
#: Alternatives of a request: the first is worth so much.
FIRST_ALTERNATIVE = 8


#: Tells an event about a pod: reason, action, note.
Record = Callable[[PodInfo, str, str, str], None]


class SlowSearch(BaseException):
    """A search for devices takes longer than the loop may wait. No error: who decides lets `go_on` run in a thread and decides
    anew, which finds its answer. Nothing else may be decided meanwhile."""

    def __init__(self, go_on: Callable[[], None]) -> None:
        super().__init__()
        self.go_on = go_on


#: What came of a search: devices, None, or the error that is raised.
_Answer = Callable[[], "list[Chosen] | None"]
#: Which resources by which classes, which open claims in which versions, and on which node.
_Question = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], str]


class _Offer(NamedTuple):
    """What a row has for a pod: the claims that aren't allocated yet, and devices for them. `special` is the last of these
    claims where the row doesn't offer all extended resources itself."""

    open: list[Object]
    chosen: list[Chosen]
    special: Special | None = None


class _Plan(NamedTuple):
    """What one decision found. Rows that were promised to others are asked about apart, with a plan of their own each: `found`,
    by row, is shared by all of them."""

    claims: list[Object]
    open: list[Object]
    found: dict[int, _Offer]
    #: Allocated claims that some node can't use, by uid.
    elsewhere: dict[str, Object]
    #: The pod's claim for extended resources from before.
    stale: Object | None = None


@dataclass(slots=True)
class _Reserved:
    """What is to be written for a pod that has a node; `allocation` is None for a claim that has one. `mappings`: of the claim
    for extended resources, which is `made` before it is allocated."""

    claim: Object
    allocation: Object | None = None
    mappings: list[Object] | None = None
    made: bool = False


class _Limit:
    """How long searches may take: each so many seconds, all of them together only as long as the loop may wait."""

    def __init__(self, clock: Clock | None, seconds: float) -> None:
        """0 seconds: as long as it takes. Without a clock no time passes."""
        self._clock, self._seconds = clock, seconds
        self._until = self._patience = math.inf
        self._waits_until = clock.monotonic() + PATIENCE_SECONDS if clock is not None else math.inf
        self._is_over = False
        #: A search was given up since the loop would have waited for too long.
        self.is_impatient = False

    def begin(self, *, patient: bool) -> None:
        """A search begins; `patient`: nobody waits for it."""
        self.is_impatient = False
        if self._clock is not None:
            self._until = self._clock.monotonic() + self._seconds if self._seconds else math.inf
        self._patience = math.inf if patient else self._waits_until

    def wait_anew(self) -> None:
        """A search went on where nobody waited: the loop has had its turn."""
        if self._clock is not None:
            self._waits_until = self._clock.monotonic() + PATIENCE_SECONDS

    def end(self) -> None:
        """Nobody wants to know any more: a search that still runs ends soon."""
        self._is_over = True

    def is_late(self) -> bool:
        if self._clock is None:
            return self._is_over
        now = self._clock.monotonic()
        self.is_impatient = self._patience <= now < self._until
        return self.is_impatient or self._is_over or now >= self._until


class _Decision(NamedTuple):
    """The one under way: whose it is, how long its searches may take, and what came of them."""

    pod: PodInfo
    limit: _Limit
    answers: dict[_Question, _Answer]


def _raise(error: Exception) -> NoReturn:
    raise error


class DynamicResources:
    """`writer` writes allocations; None in tests of decisions. `filter_seconds`: so long devices are looked for on one node;
    0: as long as it takes. Without a `clock` no time passes. `record` tells an event: (pod, reason, action, note)."""

    name = "DynamicResources"

    def __init__(
        self,
        devices: Devices,
        writer: ClaimWriter | None = None,
        binding_seconds: float = BINDING_SECONDS,
        filter_seconds: float = FILTER_SECONDS,
        clock: Clock | None = None,
        record: Record | None = None,
    ) -> None:
        self._devices, self._writer, self._binding_seconds = devices, writer, binding_seconds
        self._filter_seconds, self._clock, self._record = filter_seconds, clock, record
        self._selecting = Selecting()
        #: The last decision's, by uid of the pod: one at the most.
        self._plans: dict[str, _Plan] = {}
        #: By uid of the pod.
        self._reserved: dict[str, list[_Reserved]] = {}
        self._decision: _Decision | None = None
        self.hints: Hints = {
            (RESOURCE_CLAIM, ADD): self._claim_helps,
            (RESOURCE_CLAIM, UPDATE): self._claim_helps,
            (RESOURCE_CLAIM, DELETE): self._claim_helps,
            (POD, GENERATED): self._is_this,
            (RESOURCE_SLICE, ADD): None,
            (RESOURCE_SLICE, UPDATE): None,
            (RESOURCE_SLICE, DELETE): None,
            (DEVICE_CLASS, ADD): None,
            (DEVICE_CLASS, UPDATE): None,
            (NODE, ADD): None,
            (NODE, LABEL): None,
            (NODE, ALLOCATABLE): None,
        }

    # before a pod is tried

    def holds(self, pod: Object) -> str:
        """A claim that isn't there yet holds the pod back."""
        if not pod["spec"].get("resourceClaims"):
            return ""
        try:
            self._devices.claims_of(pod)
        except MissingClaim as error:
            return str(error)
        return ""

    @staticmethod
    def _is_this(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        return new is not None and new["metadata"].get("uid") == pod.uid

    def _claim_helps(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """Its own claim, once all are there; or another one that gave devices back."""
        claim = new or old
        assert claim is not None
        try:
            own = self._devices.claims_of(pod.pod)
        except MissingClaim:
            return False
        if any(one["metadata"].get("uid") == claim["metadata"].get("uid") for one in own):
            return old is None or old.get("status") != claim.get("status")
        if new is None and is_special(claim) and is_of(claim, pod.pod["metadata"]):
            return True
        had = old is not None and allocation_of(old) is not None
        return had and (new is None or allocation_of(new) is None)

    # the decision

    def forget(self) -> None:
        """A decision is over: what its searches came to is of no use to the next one, and one that still runs ends soon."""
        if self._decision is not None:
            self._decision.limit.end()
        self._decision = None

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        if self._decision is None or pod is not self._decision.pod:
            self.forget()
            self._decision = _Decision(pod, _Limit(self._clock, self._filter_seconds), {})
        before = self._plans.pop(pod.uid, None)
        self._plans.clear()
        extended = self._extended(pod)
        if not extended and not pod.pod["spec"].get("resourceClaims"):
            return None
        try:
            claims = self._devices.claims_of(pod.pod)
        except MissingClaim as error:
            return Refusal((str(error),), True)
        if not claims and not extended:
            return None
        for claim in claims:
            if allocation_of(claim) is not None and not _can_be_reserved(claim, pod):
                return Refusal((IN_USE,), True)
            if claim["metadata"]["uid"] in self._devices.pending:
                where = f"{pod.namespace}/{name_of(claim)}"
                return Refusal((f"resource claim {where} is in the process of being allocated",), True)
            missing = self._missing_class(claim) if allocation_of(claim) is None else ""
            if missing:
                return Refusal((missing,), True)
        stale = special_of(pod.pod, self._devices.claims.values()) if extended else None
        open_ = [claim for claim in claims if allocation_of(claim) is None]
        plan = self._plans[pod.uid] = _Plan(claims, open_, before.found if before else {}, {}, stale)
        return (
            self._refused(STALE) if stale is not None else looped(self._checking(self._decision, plan, extended, table))
        )

    @staticmethod
    def _refused(refusal: Refusal) -> Check:
        return lambda rows: refused(np.ones(len(rows), np.bool_), refusal)

    def _extended(self, pod: PodInfo) -> dict[str, str | None]:
        """Extended resources that the pod asks for, with the classes that have devices for them (None for one that is only
        a node's to give); empty if no class has any."""
        asked = [name for name, amount in pod.requests.items() if amount > 0 and name not in FIRST]
        if not asked:
            return {}
        found = {name: self._devices.class_for(name) for name in asked}
        if not any(found.values()):
            return {}
        return {name: None if one is None else name_of(one) for name, one in found.items() if one or is_extended(name)}

    def _checking(
        self, decision: _Decision, plan: _Plan, extended: dict[str, str | None], table: Table
    ) -> Callable[[int], Refusal | None]:
        """One row's check. Nodes that don't offer the same extended resources want the same claim."""
        searches: dict[tuple[str, ...], tuple[Allocator, _Offer]] = {}
        pod, limit, answers = decision
        hopeless = [one["metadata"]["uid"] for one in plan.claims if self._is_hopeless(one)]
        opened = tuple((one["metadata"]["uid"], one["metadata"].get("resourceVersion", "")) for one in plan.open)

        def search(lacking: tuple[str, ...]) -> tuple[Allocator, _Offer]:
            if lacking not in searches:
                classes = {name: found for name in lacking if (found := extended[name]) is not None}
                special = special_claim(pod.pod, classes) if classes else None
                claims = plan.open if special is None else [*plan.open, special.claim]
                allocator = Allocator(claims, self._devices.classes, self._devices.use, self._selecting, limit.is_late)
                searches[lacking] = allocator, _Offer(claims, [], special)
            return searches[lacking]

        def answered(allocator: Allocator, pools: Sequence[Pool], *, patient: bool) -> _Answer:
            limit.begin(patient=patient)
            waiting = None if patient else PATIENCE.set([PATIENT_UNITS])
            try:
                found = allocator.allocate(pools)
            except (InvalidPoolsError, AllocationError, OutOfTimeError) as error:
                return partial(_raise, error)
            except Costly:
                limit.is_impatient = True
                return lambda: None
            finally:
                if waiting is not None:
                    PATIENCE.reset(waiting)
            return lambda: found

        def answer(allocator: Allocator, lacking: tuple[str, ...], node: Object) -> _Answer:
            wanted = tuple((name, extended[name] or "") for name in lacking)
            key = (wanted, opened, name_of(node))
            if key not in answers:
                pools = self._devices.published.for_node(node)
                found = answered(allocator, pools, patient=False)
                if limit.is_impatient:

                    def go_on() -> None:
                        answers[key] = answered(allocator, pools, patient=True)
                        limit.wait_anew()

                    raise SlowSearch(go_on)
                answers[key] = found
            return answers[key]

        def check(row: int) -> Refusal | None:
            node = table.node(row)
            lacking = tuple(name for name in extended if not table.has(name)[row])
            if any(extended[name] is None and not _offers(node, name) for name in lacking):
                return NOT_OFFERED
            for claim in plan.claims:
                allocation = allocation_of(claim)
                if allocation is not None and (claim["metadata"]["uid"] in hopeless or not usable_on(allocation, node)):
                    plan.elsewhere[claim["metadata"]["uid"]] = claim
                    return ELSEWHERE
            allocator, offer = search(lacking)
            if not offer.open:
                plan.found[row] = offer
                return None
            try:
                found = answer(allocator, lacking, node)()
            except InvalidPoolsError as error:
                return Refusal((str(error),), True)
            except AllocationError as error:
                raise PluginError(f'running "{self.name}" filter plugin: {error}') from error
            except OutOfTimeError as error:
                text = f"node {name_of(node)}: timed out trying to allocate devices"
                raise PluginError(f'running "{self.name}" filter plugin: {text}') from error
            if found is None:
                return TOO_FEW
            plan.found[row] = offer._replace(chosen=found)
            return None

        return check

    def _is_hopeless(self, claim: Object) -> bool:
        """Do the devices of an allocated claim not become ready?"""
        now = self._clock.time() if self._clock is not None else 0.0
        return binding.waits(claim) and binding.is_hopeless(claim, self._binding_seconds, now)

    def _missing_class(self, claim: Object) -> str:
        """A class that a request names and that isn't there, as it is told; "" if all are."""
        for request in (claim["spec"].get("devices") or {}).get("requests") or ():
            wishes = [(request["name"], request["exactly"])] if "exactly" in request else []
            wishes += [(f"{request['name']}/{one['name']}", one) for one in request.get("firstAvailable") or ()]
            for name, wish in wishes:
                if wish.get("deviceClassName") not in self._devices.classes:
                    return f"request {name}: device class {wish.get('deviceClassName')} does not exist"
        return ""

    def rate(self, pod: PodInfo, table: Table, rows: Rows) -> Ints | None:
        """Nodes where earlier alternatives of requests are possible are better."""
        plan = self._plans.get(pod.uid)
        if plan is None or not any(_has_alternatives(claim) for claim in plan.open):
            return None
        worth = [_worth(plan.found[int(row)].chosen if int(row) in plan.found else ()) for row in rows]
        return normalised(np.array(worth, np.int64))

    def chosen(self, pod: PodInfo, row: int) -> list[tuple[str, Chosen]]:
        """The devices that the last decision found for a pod on a row, with the names of their claims."""
        offer = self._offer(self._plans.get(pod.uid), row)
        return [(name_of(offer.open[one.claim]), one) for one in offer.chosen]

    def special(self, pod: PodInfo, row: int) -> Special | None:
        """The claim for extended resources that the last decision found for a pod on a row."""
        return self._offer(self._plans.get(pod.uid), row).special

    @staticmethod
    def _offer(plan: _Plan | None, row: int | None) -> _Offer:
        nothing = _Offer([], [])
        return nothing if plan is None or row is None else plan.found.get(row, nothing)

    # around the binding

    def reserve(self, pod: PodInfo, node: str) -> None:
        """The devices are the pod's from now on."""
        plan = self._plans.pop(pod.uid, None)
        if plan is None or self._writer is None:
            return
        offer = self._offer(plan, self._writer.row(node))
        if plan.open and not offer.open:
            raise Rejected("claim allocation not found for node")
        todo = [_Reserved(claim) for claim in plan.claims if allocation_of(claim) is not None]
        for at, claim in enumerate(offer.open):
            own = [one for one in offer.chosen if one.claim == at]
            allocation = self._writer.allocation(claim, own, self._devices.classes, node)
            self._devices.set_pending(claim, allocation)
            is_own = offer.special is not None and claim is offer.special.claim
            todo.append(_Reserved(claim, allocation, offer.special.mappings if offer.special and is_own else None))
        if todo:
            self._reserved[pod.uid] = todo

    def unreserve(self, pod: PodInfo, node: str) -> None:
        for one in self._reserved.pop(pod.uid, ()):
            if one.allocation is not None:
                self._devices.drop_pending(one.claim)

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        return pod.uid in self._reserved

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Write the allocations, and wait until the devices are ready where that takes somebody else."""
        assert self._writer is not None
        for one in self._reserved[pod.uid]:
            if one.mappings is not None:
                made = await self._writer.create(one.claim)
                self._devices.written(one.claim, made)
                one.claim, one.made = made, True
            await self._writer.reserve(one.claim, one.allocation, pod)
            if one.mappings is not None:
                await self._writer.tell(one.claim, one.mappings, pod)
        claims = [one.claim for one in self._reserved[pod.uid]]
        if any(binding.waits(self._writer.current(claim)) for claim in claims):
            if self._record is not None:
                note = f"waiting for binding conditions for device on node {node}"
                self._record(pod, "BindingConditionsPending", "Scheduling", note)
            await self._writer.wait_ready(claims, self._binding_seconds)

    async def take_back(self, pod: PodInfo, node: str) -> None:
        """The pod's own claim goes, others aren't the pod's any more."""
        assert self._writer is not None
        for one in self._reserved.get(pod.uid, ()):
            try:
                if one.made:
                    await self._writer.delete(one.claim)
                elif one.mappings is None:
                    await self._writer.unreserve(one.claim, pod)
            except (StatusError, OSError) as error:
                # what is left is found at the next attempt
                log.warning("giving back %s of %s failed: %s", key_of(one.claim), pod.key, error)

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self.unreserve(pod, node)

    def freeable(self, pod: PodInfo) -> Object | None:
        """After a pod found no node: a claim that holds it elsewhere and that nobody else needs, or its own from before."""
        plan = self._plans.pop(pod.uid, None)
        if plan is None:
            return None
        for claim in plan.elsewhere.values():
            if all(one.get("uid") == pod.uid for one in reserved_for(claim)):
                return claim
        return plan.stale


def _offers(node: Object, resource: str) -> bool:
    """Does a node name a resource, be it with nothing of it?"""
    status = node.get("status") or {}
    return resource in (status.get("allocatable") or status.get("capacity") or {})


def _can_be_reserved(claim: Object, pod: PodInfo) -> bool:
    reserved = reserved_for(claim)
    return any(one.get("uid") == pod.uid for one in reserved) or len(reserved) < MAX_RESERVED


def _has_alternatives(claim: Object) -> bool:
    return any("firstAvailable" in one for one in (claim["spec"].get("devices") or {}).get("requests") or ())


def _worth(chosen: Sequence[Chosen]) -> int:
    """The earlier the alternatives, the more; each request counts once."""
    found = {(one.claim, one.request): one.alternative for one in chosen if one.alternative is not None}
    return sum(FIRST_ALTERNATIVE - alternative for alternative in found.values())
