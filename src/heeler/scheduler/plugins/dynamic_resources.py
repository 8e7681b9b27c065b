"""Devices that a pod claims: it goes where they are, and they are allocated to it before it is bound.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from heeler.objects.value import Object, name_of
from heeler.scheduler.devices.allocator import AllocationError, Allocator, Chosen
from heeler.scheduler.devices.claim_writer import BINDING_SECONDS, ClaimWriter
from heeler.scheduler.devices.known import Devices, MissingClaim, allocation_of, reserved_for, usable_on
from heeler.scheduler.devices.selecting import Selecting
from heeler.scheduler.events import (
    ADD,
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
from heeler.scheduler.plugins.plugin import Check, PluginError, Refusal, looped, normalised
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Ints, Rows, Table

ELSEWHERE = Refusal(("resourceclaim not available on the node",), True)
TOO_FEW = Refusal(("cannot allocate all claims",), True)
IN_USE = "resourceclaim in use"
#: A claim is reserved for so many pods at the most.
MAX_RESERVED = 256
#: Alternatives of a request: the first is worth so much.
FIRST_ALTERNATIVE = 8


class _Plan(NamedTuple):
    """What one decision found: by row, the devices of each claim that isn't allocated yet."""

    claims: list[Object]
    open: list[Object]
    found: dict[int, list[Chosen]]
    #: Allocated claims that some node can't use, by uid.
    elsewhere: dict[str, Object]


class DynamicResources:
    """`writer` writes allocations; None in tests of decisions."""

    name = "DynamicResources"

    def __init__(
        self, devices: Devices, writer: ClaimWriter | None = None, binding_seconds: float = BINDING_SECONDS
    ) -> None:
        self._devices, self._writer, self._binding_seconds = devices, writer, binding_seconds
        self._selecting = Selecting()
        #: The last decision's, by uid of the pod.
        self._plans: dict[str, _Plan] = {}
        #: What is to be written for pods that have a node, by uid: (claim, allocation or None if it has one).
        self._reserved: dict[str, list[tuple[Object, Object | None]]] = {}
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
        had = old is not None and allocation_of(old) is not None
        return had and (new is None or allocation_of(new) is None)

    # the decision

    def prepare(self, pod: PodInfo, table: Table) -> Check | Refusal | None:
        self._plans.pop(pod.uid, None)
        if not pod.pod["spec"].get("resourceClaims"):
            return None
        try:
            claims = self._devices.claims_of(pod.pod)
        except MissingClaim as error:
            return Refusal((str(error),), True)
        if not claims:
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
        allocations = [allocation_of(one) for one in claims]
        open_ = [claim for claim, found in zip(claims, allocations, strict=True) if found is None]
        plan = self._plans[pod.uid] = _Plan(claims, open_, {}, {})
        allocator = Allocator(open_, self._devices.classes, self._devices.use, self._selecting)

        def check(row: int) -> Refusal | None:
            node = table.node(row)
            for claim, allocation in zip(claims, allocations, strict=True):
                if allocation is not None and not usable_on(allocation, node):
                    plan.elsewhere[claim["metadata"]["uid"]] = claim
                    return ELSEWHERE
            if not open_:
                return None
            try:
                found = allocator.allocate(self._devices.published.for_node(node))
            except AllocationError as error:
                raise PluginError(f'running "{self.name}" filter plugin: {error}') from error
            if found is None:
                return TOO_FEW
            plan.found[row] = found
            return None

        return looped(check)

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
        return normalised(np.array([_worth(plan.found.get(int(row), ())) for row in rows], np.int64))

    def chosen(self, pod: PodInfo, row: int) -> list[tuple[str, Chosen]]:
        """The devices that the last decision found for a pod on a row, with the names of their claims."""
        plan = self._plans.get(pod.uid)
        found = plan.found.get(row, ()) if plan is not None else ()
        return [(name_of(plan.open[one.claim]), one) for one in found] if plan is not None else []

    # around the binding

    def reserve(self, pod: PodInfo, node: str) -> None:
        """The devices are the pod's from now on."""
        plan = self._plans.pop(pod.uid, None)
        if plan is None or self._writer is None:
            return
        row = self._writer.row(node)
        chosen = plan.found.get(row, []) if row is not None else []
        todo: list[tuple[Object, Object | None]] = []
        for claim in plan.claims:
            if claim in plan.open:
                own = [one for one in chosen if plan.open[one.claim] is claim]
                allocation = self._writer.allocation(claim, own, self._devices.classes, node)
                self._devices.set_pending(claim, allocation)
                todo.append((claim, allocation))
            else:
                todo.append((claim, None))
        self._reserved[pod.uid] = todo

    def unreserve(self, pod: PodInfo, node: str) -> None:
        for claim, allocation in self._reserved.pop(pod.uid, ()):
            if allocation is not None:
                self._devices.drop_pending(claim)

    def needs_pre_bind(self, pod: PodInfo, node: str) -> bool:
        return pod.uid in self._reserved

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Write the allocations, and wait until the devices are ready where that takes somebody else."""
        assert self._writer is not None
        for claim, allocation in self._reserved[pod.uid]:
            await self._writer.reserve(claim, allocation, pod)
        await self._writer.wait_ready([claim for claim, _ in self._reserved[pod.uid]], self._binding_seconds)

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self.unreserve(pod, node)

    def freeable(self, pod: PodInfo) -> Object | None:
        """After a pod found no node: a claim that holds it elsewhere and that nobody else needs."""
        plan = self._plans.pop(pod.uid, None)
        if plan is None:
            return None
        for claim in plan.elsewhere.values():
            if all(one.get("uid") == pod.uid for one in reserved_for(claim)):
                return claim
        return None


def _can_be_reserved(claim: Object, pod: PodInfo) -> bool:
    reserved = reserved_for(claim)
    return any(one.get("uid") == pod.uid for one in reserved) or len(reserved) < MAX_RESERVED


def _has_alternatives(claim: Object) -> bool:
    return any("firstAvailable" in one for one in (claim["spec"].get("devices") or {}).get("requests") or ())


def _worth(chosen: Sequence[Chosen]) -> int:
    """The earlier the alternatives, the more; each request counts once."""
    found = {(one.claim, one.request): one.alternative for one in chosen if one.alternative is not None}
    return sum(FIRST_ALTERNATIVE - alternative for alternative in found.values())
