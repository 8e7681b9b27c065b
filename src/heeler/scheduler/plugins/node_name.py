"""A pod that names its node goes there or nowhere."""

from __future__ import annotations

from heeler.scheduler.events import ADD, NODE, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, looped
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Table

REFUSAL = Refusal(("node(s) didn't match the requested node name",), True)


class NodeName:
    name = "NodeName"
    hints: Hints = {(NODE, ADD): None}

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        wanted = pod.pod["spec"].get("nodeName")
        if not wanted:
            return None
        return looped(lambda row: None if table.names[row] == wanted else REFUSAL)
