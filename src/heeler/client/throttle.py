"""Requests a second that a client allows itself: a bucket of `burst` that fills with `qps`, as client-go has one.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/ (--kube-api-qps, --kube-api-burst)
"""

from __future__ import annotations

from heeler.base.clock import Clock


class Throttle:
    """`qps` 0 or less: nothing is held back."""

    def __init__(self, qps: float, burst: int, clock: Clock) -> None:
        self.qps, self.burst, self._clock = qps, max(1, burst), clock
        self._free = float(self.burst)
        self._at = clock.monotonic()

    async def take(self) -> None:
        """Wait for one's turn: turns are given in the order in which they are asked for."""
        if self.qps <= 0:
            return
        now = self._clock.monotonic()
        self._free = min(self.burst, self._free + (now - self._at) * self.qps) - 1.0
        self._at = now
        if self._free < 0:
            await self._clock.sleep(-self._free / self.qps)
