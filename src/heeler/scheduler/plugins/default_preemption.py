"""Pods that make room for more important ones. The choice is in `preemption.py`; here is what holds a pod meanwhile."""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.scheduler.events import Hints


class DefaultPreemption:
    """A pod whose victims are being deleted is not tried until that was asked of all of them."""

    name = "DefaultPreemption"
    hints: Hints = {}

    def __init__(self, percentage: int = 10, absolute: int = 100) -> None:
        self.percentage, self.absolute = percentage, absolute
        self._making_room: dict[str, None] = {}

    def begin(self, uid: str) -> None:
        self._making_room[uid] = None

    def end(self, uid: str) -> None:
        self._making_room.pop(uid, None)

    def holds(self, pod: Object) -> str:
        if pod["metadata"].get("uid") in self._making_room:
            return "waiting for the preemption for this pod to be finished"
        return ""
