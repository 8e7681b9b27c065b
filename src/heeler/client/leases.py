"""Leader election by a Lease, as client-go does it: one of several processes leads, the others wait.

https://kubernetes.io/docs/concepts/architecture/leases/#leader-election
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from heeler.base.clock import Clock, rfc3339_micro
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

log = logging.getLogger(__name__)

#: Candidates ask again after up to so many times the retry period.
JITTER = 1.2
LEASES = GroupVersionResource("coordination.k8s.io", "v1", "leases")


LEASE: Object = {"apiVersion": LEASES.api_version, "kind": "Lease"}


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. Others may take over `lease` after the last renewal; the leader gives up after `renew` without one.

    Raises ValueError for terms under which two could lead at once.
    """

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if self.lease <= self.renew:
            raise ValueError("leaseDuration must be greater than renewDeadline")
        if self.renew <= JITTER * self.retry:
            raise ValueError("renewDeadline must be greater than retryPeriod*JitterFactor")
        if self.lease < 1 or self.renew < 1 or self.retry <= 0:
            raise ValueError(
                "leaseDuration and renewDeadline must be at least one second, retryPeriod greater than zero"
            )


class LostLease(Exception):
    """The lease could not be renewed in time: whoever led must stop."""


class Election:
    """One candidate. The holder is judged by how long its record stood still on our own clock, not by its times.

    `tell` is given the lease and what became of this candidate, for an event.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        identity: str,
        *,
        namespace: str = "kube-system",
        clock: Clock,
        random: Random,
        terms: Terms = Terms(),
        tell: Callable[[Object, str], None] = lambda lease, message: None,
    ) -> None:
        self._client, self._name, self._namespace, self._identity = client, name, namespace, identity
        self._clock, self._random, self._terms = clock, random, terms
        self._tell = tell
        self._seen: Object | None = None
        self._seen_at = 0.0

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to lead, then run `lead` while the lease is held. Raises LostLease; a cancellation frees the lease."""
        while not await self._try():
            await self._clock.sleep(self._terms.retry * (1 + 0.2 * self._random.fraction()))
        log.info("%s leads %s", self._identity, self._name)
        self._say("became leader")
        try:
            async with Tasks() as tasks:
                tasks.spawn(self._renew(), f"lease {self._name}")
                await lead()
        finally:
            self._say("stopped leading")
            await self._release()

    def _say(self, what: str) -> None:
        if self._seen is not None:
            self._tell({**self._seen, **LEASE}, f"{self._identity} {what}")

    async def _renew(self) -> None:
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._terms.retry)
            if await self._try():
                renewed = self._clock.monotonic()
            elif self._clock.monotonic() - renewed >= self._terms.renew:
                raise LostLease(f"{self._identity} lost the lease {self._name}")

    async def _try(self) -> bool:
        try:
            return await self._acquire()
        except (StatusError, OSError) as error:
            log.debug("lease %s: %s", self._name, error)
            return False

    async def _acquire(self) -> bool:
        now = rfc3339_micro(self._clock.time())
        spec: Object = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._terms.lease),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            obj = {**LEASE, "metadata": {"name": self._name}, "spec": spec}
            self._note(await self._client.create(LEASES, obj, self._namespace))
            return True
        old = lease.get("spec") or {}
        if self._seen is None or (self._seen.get("spec") or {}) != old:
            self._note(lease)
        holder = old.get("holderIdentity") or ""
        if holder and holder != self._identity and self._clock.monotonic() < self._seen_at + self._terms.lease:
            return False
        if holder == self._identity:
            spec["acquireTime"] = old.get("acquireTime") or now
            spec["leaseTransitions"] = old.get("leaseTransitions") or 0
        else:
            spec["leaseTransitions"] = (old.get("leaseTransitions") or 0) + 1
        self._note(await self._client.update(LEASES, {**lease, "spec": {**old, **spec}}))
        return True

    def _note(self, lease: Object) -> None:
        self._seen, self._seen_at = lease, self._clock.monotonic()

    async def _release(self) -> None:
        """Let others lead at once."""
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
            if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.update(LEASES, {**lease, "spec": spec})
        except (StatusError, OSError) as error:
            log.debug("lease %s was not freed: %s", self._name, error)
