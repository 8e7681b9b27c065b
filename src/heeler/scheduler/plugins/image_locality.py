"""Nodes that have a pod's images already are better, the more so the larger and rarer the images are."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import MAX_SCORE

MIB = 1024 * 1024
MIN_THRESHOLD = 23 * MIB
MAX_CONTAINER_THRESHOLD = 1000 * MIB


class ImageLocality:
    name = "ImageLocality"
    weight = 1

    def rate(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
        if not any(node.images for node in nodes):
            return None
        spec = pod.pod["spec"]
        names = [
            _normal(c.get("image") or "")
            for c in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        ]
        having = {name: sum(name in node.images for node in nodes) for name in names}
        top = MAX_CONTAINER_THRESHOLD * max(1, len(names))
        out = []
        for node in nodes:
            size = sum(node.images.get(name, 0) * having[name] // len(nodes) for name in names)
            size = min(max(size, MIN_THRESHOLD), top)
            out.append(MAX_SCORE * (size - MIN_THRESHOLD) // (top - MIN_THRESHOLD))
        return out


def _normal(name: str) -> str:
    """An image name with its tag."""
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"
