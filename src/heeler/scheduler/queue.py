"""Pods that wait for a node: ready to be tried, waiting out a failure, or waiting for the cluster to change.

https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#interfaces — the highest priority goes
first, among equals the one that waits longest.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field

from heeler.base.clock import Clock
from heeler.base.tasks import Timer, later
from heeler.client.informer import key_of
from heeler.objects.value import Object

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 10.0
#: However quiet the cluster is, an unschedulable pod is tried again after this time.
MAX_UNSCHEDULABLE_SECONDS = 300.0


@dataclass(slots=True)
class Waiting:
    """One pod and its history of attempts."""

    pod: Object
    since: float
    attempts: int = 0
    failed_at: float = 0.0
    place: str = "active"  # active, backoff, unschedulable or trying
    timer: Timer | None = None
    moved: bool = field(default=False)  # the cluster changed while it was being tried

    def order(self) -> tuple[int, float, str]:
        return -int(self.pod["spec"].get("priority") or 0), self.since, key_of(self.pod)


class SchedulingQueue:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pods: dict[str, Waiting] = {}
        self._heap: list[tuple[tuple[int, float, str], str]] = []
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, pod: Object) -> None:
        """A pod that is new, or changed in a way that may help it."""
        key = key_of(pod)
        known = self._pods.get(key)
        if known is None or known.pod["metadata"].get("uid") != pod["metadata"].get("uid"):
            self.remove(key)
            self._pods[key] = Waiting(pod, self._clock.monotonic())
            self._activate(key)
            return
        before, known.pod = known.pod, pod
        if known.place == "unschedulable" and before["spec"] != pod["spec"]:
            self._move(key, known)
        elif known.place == "trying":
            known.moved = known.moved or before["spec"] != pod["spec"]

    def remove(self, key: str) -> None:
        known = self._pods.pop(key, None)
        if known is not None and known.timer is not None:
            known.timer.cancel()

    async def next(self) -> Waiting:
        """The next pod to try; it stays here until it is `remove`d or has `failed`."""
        while True:
            while self._heap:
                _, key = heapq.heappop(self._heap)
                known = self._pods.get(key)
                if known is not None and known.place == "active":
                    known.place, known.moved = "trying", False
                    known.attempts += 1
                    return known
            self._changed.clear()
            await self._changed.wait()

    def failed(self, key: str, *, unschedulable: bool) -> None:
        """An attempt failed: since the pod fits nowhere, or through an error (then it is tried again by itself)."""
        known = self._pods.get(key)
        if known is None:
            return
        known.failed_at = self._clock.monotonic()
        if not unschedulable or known.moved:
            known.place = "unschedulable"
            self._move(key, known)
            return
        known.place = "unschedulable"
        known.timer = later(MAX_UNSCHEDULABLE_SECONDS, lambda: self._expired(key, known))

    def move_all(self) -> None:
        """The cluster changed: pods that fitted nowhere may fit now."""
        for key, known in list(self._pods.items()):
            if known.place == "unschedulable":
                self._move(key, known)
            elif known.place == "trying":
                known.moved = True

    def _expired(self, key: str, known: Waiting) -> None:
        if self._pods.get(key) is known and known.place == "unschedulable":
            self._move(key, known)

    def _move(self, key: str, known: Waiting) -> None:
        """To the active ones, or first through what is left of its back-off."""
        if known.timer is not None:
            known.timer.cancel()
            known.timer = None
        pause = min(FIRST_BACKOFF_SECONDS * 2 ** (known.attempts - 1), MAX_BACKOFF_SECONDS) if known.attempts else 0.0
        left = known.failed_at + pause - self._clock.monotonic()
        if left <= 0:
            self._activate(key)
            return
        known.place = "backoff"
        known.timer = later(left, lambda: self._activate(key) if self._pods.get(key) is known else None)

    def _activate(self, key: str) -> None:
        known = self._pods[key]
        known.place, known.timer = "active", None
        heapq.heappush(self._heap, (known.order(), key))
        self._changed.set()
