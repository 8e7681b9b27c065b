"""Images that nobody uses go when the disk fills up: from a high mark down to a low one, the longest unused first.

Images that were loaded by hand and kept for all nodes stay: no registry could give them back.
Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-garbage-collection
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.base.clock import Clock
    from heeler.kubelet.figures import Disk
    from heeler.kubelet.runtime.cri import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """Percent of the disk, and the least age of an image in seconds: a kubelet's defaults."""

    high: int = 85
    low: int = 80
    min_age: float = 120.0


@dataclass(frozen=True, slots=True)
class Image:
    """`detected` and `used`: when it was first and last seen, and last in use."""

    id: str
    size: int
    detected: float
    used: float
    pinned: bool = False


def to_free(disk: Disk, policy: Policy) -> int:
    """Bytes to free now; 0 below the high mark."""
    if not disk.capacity or 100 - disk.available * 100 // disk.capacity < policy.high:
        return 0
    return max(0, disk.capacity * (100 - policy.low) // 100 - disk.available)


def unused(images: Sequence[Image], in_use: Mapping[str, None], now: float, min_age: float) -> list[Image]:
    """What may go, in the order in which it does."""
    found = [i for i in images if not i.pinned and i.id not in in_use and now - i.detected >= min_age]
    return sorted(found, key=lambda image: (image.used, image.detected, image.id))


class ImageCollector:
    """Remembers when images were used. `in_use` gives the ids of those that containers are made of."""

    def __init__(self, runtime: Runtime, clock: Clock, kept: Callable[[], Mapping[str, None]]) -> None:
        self._runtime, self._clock, self._kept = runtime, clock, kept
        self._known: dict[str, Image] = {}

    async def look(self) -> tuple[list[Image], dict[str, None]]:
        """All images, and the ids of those in use. Raises RuntimeFault."""
        now, kept = self._clock.monotonic(), self._kept()
        in_use = {str(container.image_ref): None for container in await self._runtime.containers()}
        fresh: dict[str, Image] = {}
        for image in await self._runtime.images():
            names = [*image.repo_tags, *image.repo_digests]
            known = self._known.get(image.id)
            used = bool({image.id, *names} & in_use.keys())
            if used:
                in_use[image.id] = None
            pinned = bool(image.pinned) or any(name in kept for name in names)
            before = known.used if known is not None else 0.0
            detected = known.detected if known is not None else now
            fresh[image.id] = Image(image.id, int(image.size), detected, now if used else before, pinned)
        self._known = fresh
        return list(fresh.values()), in_use

    async def free(self, wanted: int, min_age: float) -> int:
        """Remove unused images until `wanted` bytes are free; how many were. Raises RuntimeFault."""
        from heeler.kubelet.runtime.cri import RuntimeFault

        images, in_use = await self.look()
        freed = 0
        for image in unused(images, in_use, self._clock.monotonic(), min_age):
            if freed >= wanted:
                break
            try:
                await self._runtime.remove_image(image.id)
            except RuntimeFault as fault:
                log.warning("image %s is not removed: %s", image.id, fault.message)
                continue
            log.info("image %s removed to free %d bytes", image.id, image.size)
            freed += image.size
        return freed
