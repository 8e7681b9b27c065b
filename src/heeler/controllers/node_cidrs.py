"""Ranges of pod addresses for nodes, cut out of the cluster's range in order. Pure.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
"""

from __future__ import annotations

import ipaddress
from typing import Any

#: A cluster's range is cut into at most 2 ** 16 ranges.
MAX_BITS = 16
DEFAULT_MASK = {4: 24, 6: 64}


class CidrSet:
    """Which ranges of one cluster range are taken. Raises ValueError for a range that can't be cut so."""

    def __init__(self, cluster: str, mask: int | None = None) -> None:
        # Any: the two classes of networks have no common type, and which it is matters nowhere
        self._cluster: Any = ipaddress.ip_network(cluster, strict=False)
        self.mask = mask or DEFAULT_MASK[self._cluster.version]
        bits = self.mask - self._cluster.prefixlen
        if bits < 0:
            raise ValueError(
                "Controller: Invalid --cluster-cidr, mask size of cluster CIDR must be less than or equal to "
                "--node-cidr-mask-size configured for CIDR family"
            )
        if self.mask > self._cluster.max_prefixlen:
            raise ValueError(f"/{self.mask} is no mask of {cluster}")
        if bits > MAX_BITS:
            raise ValueError(f"New CIDR set failed; the node CIDR size is too big: {cluster} in ranges of /{self.mask}")
        self._size = 1 << bits
        self._taken: dict[int, None] = {}
        self._next = 0

    @property
    def version(self) -> int:
        return int(self._cluster.version)

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._taken)

    def take(self) -> str | None:
        """The next free range; None if all are taken."""
        for step in range(self._size):
            number = (self._next + step) % self._size
            if number not in self._taken:
                self._taken[number] = None
                self._next = number + 1
                return self._text(number)
        return None

    def occupy(self, cidr: str) -> None:
        """Somebody has this range, or part of these. What lies outside of the cluster's is nothing to us."""
        for number in self._numbers(cidr):
            self._taken[number] = None

    def release(self, cidr: str) -> None:
        for number in self._numbers(cidr):
            self._taken.pop(number, None)

    def _text(self, number: int) -> str:
        first = int(self._cluster.network_address) + (number << (self._cluster.max_prefixlen - self.mask))
        return f"{ipaddress.ip_address(first) if self.version == 4 else ipaddress.IPv6Address(first)}/{self.mask}"

    def _numbers(self, cidr: str) -> range:
        try:
            found: Any = ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            return range(0)
        if found.version != self.version or not found.overlaps(self._cluster):
            return range(0)
        shift, base = self._cluster.max_prefixlen - self.mask, int(self._cluster.network_address)
        first = max(int(found.network_address), base)
        last = min(int(found.broadcast_address), int(self._cluster.broadcast_address))
        return range((first - base) >> shift, ((last - base) >> shift) + 1)
