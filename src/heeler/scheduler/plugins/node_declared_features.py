"""A pod goes only to nodes that declare the features that it needs.

https://kubernetes.io/docs/concepts/scheduling-eviction/node-declared-features/
"""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.scheduler.events import ADD, FEATURES, NODE, POD, UPDATE, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, refused
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Table
from heeler.workloads import node_features

REFUSAL = Refusal(("node(s) didn't match Pod's required features",), True)


def _needs_something_else(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """The pod itself was changed, and so was what it needs."""
    if old is None or new is None or new["metadata"].get("uid") != pod.uid:
        return False
    return node_features.needed_to_run(old["spec"]) != node_features.needed_to_run(new["spec"])


class NodeDeclaredFeatures:
    name = "NodeDeclaredFeatures"
    hints: Hints = {(NODE, ADD): None, (NODE, FEATURES): None, (POD, UPDATE): _needs_something_else}

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        needed = node_features.bits(node_features.needed_to_run(pod.pod["spec"]))
        if not needed:
            return None
        return lambda rows: refused((table.features.a[rows] & needed) != needed, REFUSAL)
