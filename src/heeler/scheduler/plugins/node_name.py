"""A pod that names its node goes there or nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal

REFUSAL = Refusal(("node(s) didn't match the requested node name",), True)


class NodeName:
    name = "NodeName"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        wanted = pod.pod["spec"].get("nodeName")
        if not wanted:
            return None
        return lambda node: None if node.name == wanted else REFUSAL
