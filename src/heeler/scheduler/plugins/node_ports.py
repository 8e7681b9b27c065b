"""Host ports that a pod wants must be free on its node."""

from __future__ import annotations

from collections.abc import Sequence

from heeler.scheduler.cache import NodeInfo, PodInfo
from heeler.scheduler.plugins.plugin import Check, Refusal

REFUSAL = Refusal(("node(s) didn't have free ports for the requested pod ports",))
ANY = "0.0.0.0"


class NodePorts:
    name = "NodePorts"

    def prepare(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Check | None:
        if not pod.ports:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            for protocol, address, port in pod.ports:
                taken = node.ports.get((protocol, port))
                if taken and (address == ANY or ANY in taken or address in taken):
                    return REFUSAL
            return None

        return check
