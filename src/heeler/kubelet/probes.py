"""The probes of running containers: startup first, then liveness and readiness, each in its own rhythm.

The results go into a pod's memory (`Health`); the plan decides what follows from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.base.together import end
from heeler.kubelet.checks import Outcome
from heeler.kubelet.pods.views import Health
from heeler.objects.value import Object

#: Seconds until the second look at a container that has just started.
FIRST_PAUSE = 0.05
#: (a probe's specification, the container's, its id) -> the outcome
Check = Callable[[Object, Object, str], Awaitable[Outcome]]
#: (container's specification, "Readiness", what went wrong)
Tell = Callable[[Object, str, str], None]


class Prober:
    """All probes of one container in its present life."""

    def __init__(
        self,
        container: Object,
        health: Health,
        check: Check,
        tell: Tell,
        changed: Callable[[], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._container, self.health, self._check, self._tell = container, health, check, tell
        self._changed, self._clock, self._random = changed, clock, random
        self._tasks: list[asyncio.Task[None]] = []
        #: The pod is to end: it may get unready, but nobody restarts it any more.
        self.ending = False

    def start(self) -> None:
        """Begin probing; `stop` ends it."""
        for kind in ("startup", "liveness", "readiness"):
            if f"{kind}Probe" in self._container:
                self._tasks.append(asyncio.ensure_future(self._run(kind, self._container[f"{kind}Probe"])))

    async def stop(self) -> None:
        await end(self._tasks)
        self._tasks = []

    async def _run(self, kind: str, probe: Object) -> None:
        period = max(1.0, float(probe.get("periodSeconds") or 10))
        await self._clock.sleep(float(probe.get("initialDelaySeconds") or 0))
        needed = int(probe.get("successThreshold") or 1)
        allowed = int(probe.get("failureThreshold") or 3)
        good = bad = 0
        if await self._early(kind, probe, period):
            good = 1
            if good >= needed and self._succeeded(kind):
                return
            await self._clock.sleep(period)
        while not (self.ending and kind != "readiness"):
            if kind != "startup" and not self.health.started:
                await self._clock.sleep(min(period, 0.25))
                continue
            outcome = await self._check(probe, self._container, self.health.container)
            if outcome.ok:
                good, bad = good + 1, 0
            else:
                good, bad = 0, bad + 1
                self._tell(self._container, kind.title(), outcome.text)
            if good >= needed and self._succeeded(kind):
                return
            if bad >= allowed:
                self._failed(kind)
                if kind != "readiness":
                    return
            # A little early or late, so that many pods' probes don't fall together.
            await self._clock.sleep(period * (0.98 + 0.04 * self._random.fraction()))

    async def _early(self, kind: str, probe: Object, period: float) -> bool:
        """Look more often during the first period: most programs are up after a moment, and nobody has to wait a whole
        period for that. Failures don't count yet and aren't told."""
        pause, waited = FIRST_PAUSE, 0.0
        while waited + pause < period:
            if (kind == "startup" or self.health.started) and (
                await self._check(probe, self._container, self.health.container)
            ).ok:
                return True
            await self._clock.sleep(pause)
            waited, pause = waited + pause, pause * 2
        return False

    def _succeeded(self, kind: str) -> bool:
        """Note it; True when this probe has done its work."""
        if kind == "startup":
            self.health.started = True
            if "readinessProbe" not in self._container:
                self.health.ready = True
            self._changed()
            return True
        if kind == "readiness" and not self.health.ready:
            self.health.ready = True
            self._changed()
        return False

    def _failed(self, kind: str) -> None:
        if kind == "readiness":
            if self.health.ready:
                self.health.ready = False
                self._changed()
            return
        self.health.failed = kind
        self._changed()
