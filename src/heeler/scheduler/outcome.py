"""What is written about a pod that found no node: its condition, an event, and those that must make room for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from heeler.base.clock import Clock, rfc3339
from heeler.client.client import Client, PatchType
from heeler.client.informer import Informer
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.pod import PodInfo
from heeler.workloads import pods

log = logging.getLogger(__name__)

PODS = GroupVersionResource("", "v1", "pods")
STRATEGIC: PatchType = "application/strategic-merge-patch+json"
#: Why a pod has no node yet.
UNSCHEDULABLE, SCHEDULER_ERROR = "Unschedulable", "SchedulerError"


def about(info: PodInfo) -> Object:
    """The pod as an event names it."""
    return {"kind": "Pod", "apiVersion": "v1", **info.pod}


class Outcomes:
    """Writes; `pods` is the informer that is told of the answers."""

    def __init__(self, client: Client, pods: Informer, budgets: Informer, clock: Clock) -> None:
        self._client, self._pods, self._budgets, self._clock = client, pods, budgets, clock

    async def write_condition(
        self, info: PodInfo, reason: str, message: str, *, promised: str = "", released: bool = False
    ) -> None:
        """PodScheduled is False. `promised`: the node where room is made; `released`: there is no such node any more."""
        current = self._pods.get(info.key)
        if current is None or current["metadata"].get("uid") != info.uid:
            return
        known = pods.condition(current, "PodScheduled") or {}
        nominated = (current.get("status") or {}).get("nominatedNodeName") or ""
        wanted = promised or ("" if released else nominated)
        same = (known.get("status"), known.get("reason"), known.get("message")) == ("False", reason, message)
        if same and nominated == wanted:
            return
        now = rfc3339(self._clock.time())
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": known.get("lastTransitionTime") if known.get("status") == "False" else now,
            "reason": reason,
            "message": message,
        }
        patch: Object = {"status": {"conditions": [condition]}}
        if wanted != nominated:
            patch["status"]["nominatedNodeName"] = wanted or None
        self._pods.assume(await self._patch_status(info, patch))

    async def forget_promise(self, info: PodInfo) -> None:
        """A more important pod takes the room that was made for this one."""
        try:
            self._pods.assume(await self._patch_status(info, {"status": {"nominatedNodeName": None}}))
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def evict(self, victim: PodInfo, scheduler: str) -> None:
        """A victim makes room."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": rfc3339(self._clock.time()),
            "reason": "PreemptionByScheduler",
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        }
        try:
            await self._patch_status(victim, {"status": {"conditions": [condition]}})
            await self._client.delete(PODS, victim.name, victim.namespace, uid=victim.uid)
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def _patch_status(self, info: PodInfo, patch: Object) -> Object:
        return await self._client.patch(PODS, info.name, patch, info.namespace, type=STRATEGIC, subresource="status")

    def protected(self, victims: Sequence[PodInfo]) -> list[bool]:
        """Which victims, taken in this order, a disruption budget has no room for."""
        budgets = [(one, selectors.of_object(one["spec"].get("selector"))) for one in self._budgets]
        left = [int((budget.get("status") or {}).get("disruptionsAllowed") or 0) for budget, _ in budgets]
        out = []
        for victim in victims:
            held = False
            for i, (budget, selector) in enumerate(budgets):
                if budget["metadata"].get("namespace") != victim.namespace or selector.everything:
                    continue
                if victim.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                    continue  # its disruption is counted already
                if victim.labels and selector.matches(victim.labels):
                    left[i] -= 1
                    held = held or left[i] < 0
            out.append(held)
        return out
