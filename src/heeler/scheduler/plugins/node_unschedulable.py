"""Nodes that are cordoned take no new pods but those that tolerate it."""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.scheduler.events import ADD, NODE, POD, TAINT, TOLERATION, Hints
from heeler.scheduler.plugins.plugin import Check, Refusal, refused
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.table import Table
from heeler.workloads.taints import NO_SCHEDULE, tolerated

CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": NO_SCHEDULE}
REFUSAL = Refusal(("node(s) were unschedulable",), True)


def _uncordoned(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Only a node that is open now, and was not before, helps."""
    return not _is_cordoned(new) and (old is None or _is_cordoned(old))


def _tolerates_now(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    return new is not None and new["metadata"].get("uid") == pod.uid and _tolerates(new)


def _tolerates(pod: Object) -> bool:
    return tolerated(pod["spec"].get("tolerations") or (), CORDON)


def _is_cordoned(node: Object | None) -> bool:
    return bool(((node or {}).get("spec") or {}).get("unschedulable"))


class NodeUnschedulable:
    name = "NodeUnschedulable"
    hints: Hints = {(NODE, ADD): _uncordoned, (NODE, TAINT): _uncordoned, (POD, TOLERATION): _tolerates_now}

    def prepare(self, pod: PodInfo, table: Table) -> Check | None:
        if not table.cordoned or tolerated(pod.template.tolerations, CORDON):
            return None
        return lambda rows: refused(table.unschedulable.a[rows], REFUSAL)
