"""Pods with scheduling gates are held back until all of these are removed.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/
"""

from __future__ import annotations

from heeler.objects.value import Object
from heeler.scheduler.events import GATES, POD, Hints


class SchedulingGates:
    name = "SchedulingGates"
    hints: Hints = {(POD, GATES): None}

    def holds(self, pod: Object) -> str:
        gates = pod["spec"].get("schedulingGates") or ()
        if not gates:
            return ""
        return f"waiting for scheduling gates: [{' '.join(str(gate.get('name')) for gate in gates)}]"
