"""Pods that nobody else will remove: of vanished nodes, never scheduled and deleted, long finished.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heeler.base.clock import rfc3339
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NODES, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods

PERIOD_SECONDS = 20.0
#: A node must be gone for so long before its pods are.
QUARANTINE_SECONDS = 40.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


class Doomed(NamedTuple):
    """A pod to remove; `message` is told in its DisruptionTarget condition unless it is empty."""

    pod: Object
    message: str


def plan(
    all_pods: Sequence[Object], nodes: dict[str, Object], missing_since: dict[str, float], now: float, threshold: int
) -> list[Doomed]:
    """Who is to go now. `missing_since`: since when a node that pods name was not there."""
    out: list[Doomed] = []
    finished = []
    for pod in all_pods:
        node = pods.node_name(pod)
        if node and node not in nodes:
            if now - missing_since.get(node, now) >= QUARANTINE_SECONDS:
                out.append(Doomed(pod, "PodGC: node no longer exists"))
        elif not node and pods.is_terminating(pod):
            out.append(Doomed(pod, ""))
        elif node and pods.is_terminating(pod) and _out_of_service(nodes[node]):
            out.append(Doomed(pod, "PodGC: node is out-of-service"))
        elif pods.is_finished(pod) and not pods.is_terminating(pod):
            finished.append(pod)
    excess = len(finished) - threshold
    if threshold > 0 and excess > 0:
        # those that were evicted say the least about what their owners did
        finished.sort(key=lambda pod: (not _was_evicted(pod), meta(pod).get("creationTimestamp", ""), name_of(pod)))
        out += [Doomed(pod, "") for pod in finished[:excess]]
    return out


def _was_evicted(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") == "Evicted"


def _out_of_service(node: Object) -> bool:
    taints = (node.get("spec") or {}).get("taints") or ()
    return not pods.is_ready(node) and any(taint.get("key") == OUT_OF_SERVICE for taint in taints)


class PodGarbageCollector:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._pods, self._nodes = context.informers.get(PODS), context.informers.get(NODES)
        self._missing: dict[str, float] = {}

    async def reconcile(self, key: str) -> None:
        """Nothing is queued: `run` looks at everything, now and then."""

    async def run(self) -> None:
        await self._pods.wait_synced()
        await self._nodes.wait_synced()
        while True:
            for doomed in self._look():
                try:
                    await self._remove(doomed)
                except (StatusError, OSError):
                    continue  # the next round tries again
            await self._context.clock.sleep(PERIOD_SECONDS)

    def _look(self) -> list[Doomed]:
        now = self._context.clock.monotonic()
        nodes = {name_of(node): node for node in self._nodes}
        named = {pods.node_name(pod): None for pod in self._pods if pods.node_name(pod)}
        self._missing = {name: self._missing.get(name, now) for name in named if name not in nodes}
        return plan(list(self._pods), nodes, self._missing, now, self._context.settings.terminated_pod_gc_threshold)

    async def _remove(self, doomed: Doomed) -> None:
        pod = doomed.pod
        name, namespace = name_of(pod), pod["metadata"]["namespace"]
        if doomed.message and not pods.is_finished(pod):
            condition = {
                "type": "DisruptionTarget",
                "status": "True",
                "lastTransitionTime": rfc3339(self._context.clock.time()),
                "reason": "DeletionByPodGC",
                "message": doomed.message,
            }
            patch: Object = {"status": {"phase": "Failed", "conditions": [condition]}}
            await self._client.patch(
                PODS, name, patch, namespace, type="application/strategic-merge-patch+json", subresource="status"
            )
        try:
            await self._client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"], grace_seconds=0)
        except StatusError as error:
            if error.code != 404:
                raise
