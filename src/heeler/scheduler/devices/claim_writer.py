"""Writes what was decided about claims: allocations, for whom they are reserved, and that they are free again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from heeler.base.clock import Clock, rfc3339
from heeler.base.random import Random
from heeler.client.client import Client
from heeler.client.informer import Informer, key_of
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of
from heeler.scheduler.devices import binding
from heeler.scheduler.devices.allocator import Chosen
from heeler.scheduler.devices.extended import to_create
from heeler.scheduler.devices.known import Devices, allocation_of, reserved_for
from heeler.scheduler.devices.results import FINALIZER, allocation
from heeler.scheduler.outcome import PODS, STRATEGIC
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.pod import PodInfo

CLAIMS = GroupVersionResource("resource.k8s.io", "v1", "resourceclaims")
#: So long a pod waits for its devices' conditions, and so often it looks.
BINDING_SECONDS, LOOK_SECONDS = 600.0, 0.5
#: A write that met another one is tried again so often.
MAX_CONFLICTS = 5


class ClaimWriter:
    """`row` gives a node's row in the table; `claims` is the informer that is told of answers."""

    def __init__(
        self,
        client: Client,
        devices: Devices,
        *,
        clock: Clock,
        random: Random,
        row: Callable[[str], int | None],
        claims: Informer,
    ) -> None:
        self._client, self._devices, self._clock, self._random = client, devices, clock, random
        self.row, self._claims = row, claims

    def allocation(self, claim: Object, chosen: Sequence[Chosen], classes: Mapping[str, Object], node: str) -> Object:
        return allocation(claim, chosen, classes, node, rfc3339(self._clock.time()), self._random.uuid)

    async def reserve(self, claim: Object, found: Object | None, pod: PodInfo) -> None:
        """Write an allocation (None if the claim has one) and that the claim is the pod's. Raises StatusError."""
        current = self._devices.claims.get(key_of(claim)) or claim
        for attempt in range(MAX_CONFLICTS):
            try:
                await self._reserve(current, found, pod)
                return
            except StatusError as error:
                if error.code != 409 or attempt == MAX_CONFLICTS - 1:
                    raise
            current = await self._client.get(CLAIMS, name_of(claim), pod.namespace)
            if current["metadata"]["uid"] != claim["metadata"]["uid"]:
                raise Rejected(f"claim {name_of(claim)} was deleted in the meantime")

    async def _reserve(self, claim: Object, found: Object | None, pod: PodInfo) -> None:
        if "deletionTimestamp" in claim["metadata"]:
            raise Rejected(f"claim {name_of(claim)} got deleted in the meantime")
        if found is None and allocation_of(claim) is None:
            raise Rejected(f"claim {name_of(claim)} got deallocated elsewhere in the meantime")
        if found is not None and allocation_of(claim) is not None:
            raise Rejected(f"claim {name_of(claim)} got allocated elsewhere in the meantime")
        finalizers = claim["metadata"].get("finalizers") or []
        if found is not None and FINALIZER not in finalizers:
            guarded = {**claim, "metadata": {**claim["metadata"], "finalizers": [*finalizers, FINALIZER]}}
            claim = await self._client.update(CLAIMS, guarded)
        status = dict(claim.get("status") or {})
        if found is not None:
            status["allocation"] = found
        if not any(one.get("uid") == pod.uid for one in reserved_for(claim)):
            status["reservedFor"] = [*reserved_for(claim), {"resource": "pods", "name": pod.name, "uid": pod.uid}]
        elif found is None:
            return
        done = await self._client.update(CLAIMS, {**claim, "status": status}, subresource="status")
        self._claims.assume(done)

    async def unreserve(self, claim: Object, pod: PodInfo) -> None:
        """The pod doesn't use the claim after all; an allocation stays. Raises StatusError."""
        current = self._devices.claims.get(key_of(claim))
        if current is None or not any(one.get("uid") == pod.uid for one in reserved_for(current)):
            return
        left = [one for one in reserved_for(current) if one.get("uid") != pod.uid]
        status = {**current["status"], "reservedFor": left}
        self._claims.assume(await self._client.update(CLAIMS, {**current, "status": status}, subresource="status"))

    # claims for extended resources

    async def create(self, claim: Object) -> Object:
        """A pod's claim gets its name. Raises Rejected."""
        namespace = claim["metadata"]["namespace"]
        try:
            return await self._client.create(CLAIMS, to_create(claim), namespace)
        except StatusError as error:
            raise Rejected(f"create claim for extended resources {namespace}/: {error}") from error

    async def tell(self, claim: Object, mappings: Sequence[Object], pod: PodInfo) -> None:
        """The pod's status names the claim, and which containers use which of its requests. Raises Rejected."""
        found = {"resourceClaimName": name_of(claim), "requestMappings": mappings}
        patch: Object = {"metadata": {"uid": pod.uid}, "status": {"extendedResourceClaimStatus": found}}
        try:
            await self._client.patch(PODS, pod.name, patch, pod.namespace, type=STRATEGIC, subresource="status")
        except StatusError as error:
            raise Rejected(f"update pod {pod.namespace}/{pod.name} ExtendedResourceClaimStatus: {error}") from error

    async def delete(self, claim: Object) -> None:
        """A pod's claim isn't needed where it is allocated. Raises StatusError."""
        namespace, name, uid = claim["metadata"]["namespace"], name_of(claim), claim["metadata"]["uid"]
        try:
            for attempt in range(MAX_CONFLICTS):
                current = await self._client.get(CLAIMS, name, namespace)
                finalizers = current["metadata"].get("finalizers") or []
                if current["metadata"]["uid"] != uid:
                    return
                if FINALIZER not in finalizers:
                    break
                left = [one for one in finalizers if one != FINALIZER]
                freed = {**current, "metadata": {**current["metadata"], "finalizers": left}}
                try:
                    await self._client.update(CLAIMS, freed)
                    break
                except StatusError as error:
                    if error.code != 409 or attempt == MAX_CONFLICTS - 1:
                        raise
            await self._client.delete(CLAIMS, name, namespace, uid=uid)
        except StatusError as error:
            if error.code != 404:
                raise

    async def free(self, claim: Object) -> None:
        """Nobody needs the claim where it is: its devices may be had elsewhere. Raises StatusError."""
        status = {
            key: value
            for key, value in (claim.get("status") or {}).items()
            if key not in ("allocation", "reservedFor", "devices")
        }
        await self._client.update(CLAIMS, {**claim, "status": status}, subresource="status")

    def current(self, claim: Object) -> Object:
        """A claim as it is known now."""
        return self._devices.claims.get(key_of(claim), claim)

    async def wait_ready(self, claims: Sequence[Object], seconds: float) -> None:
        """Until the devices have the conditions that their drivers ask for. Raises Rejected when one fails, or after long."""
        until = self._clock.monotonic() + seconds
        while True:
            ready = True
            for claim in claims:
                current = self._devices.claims.get(key_of(claim))
                if current is None or current["metadata"].get("uid") != claim["metadata"].get("uid"):
                    raise Rejected(f'resourceclaim.resource.k8s.io "{name_of(claim)}" not found')
                why = binding.failure(current)
                if why:
                    raise Rejected(why)
                ready = ready and binding.is_ready(current)
            if ready:
                return
            if self._clock.monotonic() >= until:
                raise Rejected(f"{binding.TIMEOUT}: context deadline exceeded")
            await self._clock.sleep(LOOK_SECONDS)
