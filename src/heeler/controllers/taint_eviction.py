"""Pods leave nodes with a NoExecute taint that they don't tolerate, or tolerate for a time only.

https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""

from __future__ import annotations

from heeler.base.clock import rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import NODES, PODS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of
from heeler.workloads import pods
from heeler.workloads.taints import NO_EXECUTE, eviction_delay


class TaintEvictionController:
    """Keys are pods."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("taint-eviction-controller")
        self._pods, self._nodes = context.informers.get(PODS), context.informers.get(NODES)
        self._pods.add_index("node", lambda pod: [pods.node_name(pod)])
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)
        #: pods that are to leave: (uid, since when, at what moment).
        self._due: dict[str, tuple[str, float, float]] = {}

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        if new is None:
            self._due.pop(key, None)
            return
        before = (pods.node_name(old), (old.get("spec") or {}).get("tolerations")) if old is not None else None
        if pods.node_name(new) and before != (pods.node_name(new), new["spec"].get("tolerations")):
            self.queue.add(key)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if _taints(old) == _taints(new):
            return
        for pod in self._pods.by_index("node", name_of(new or old or {})):
            self.queue.add(key_of(pod))

    async def reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        node = self._nodes.get(pods.node_name(pod)) if pod is not None else None
        if pod is None or node is None or pods.is_terminating(pod):
            self._due.pop(key, None)
            return
        now = self._context.clock.monotonic()
        delay = eviction_delay((pod.get("spec") or {}).get("tolerations") or (), _taints(node))
        uid = pod["metadata"]["uid"]
        planned = self._due.get(key)
        if planned is not None and planned[0] != uid:
            planned = None
        if delay is None or not _taints(node):
            if self._due.pop(key, None) is not None and planned is not None:
                self._event(pod, f"Cancelling deletion of Pod {key}")
            return
        since = planned[1] if planned is not None else now
        at = since + delay
        self._due[key] = (uid, since, at)
        if at > now:
            self.queue.add_after(key, at - now)
            return
        await self._evict(key, pod)

    async def _evict(self, key: str, pod: Object) -> None:
        namespace, name = pod["metadata"]["namespace"], name_of(pod)
        self._event(pod, f"Marking for deletion Pod {key}")
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": rfc3339(self._context.clock.time()),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        patch: Object = {"status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                PODS, name, patch, namespace, type="application/strategic-merge-patch+json", subresource="status"
            )
            await self._client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise
        self._due.pop(key, None)

    def _event(self, pod: Object, message: str) -> None:
        self._events.record({"kind": "Pod", "apiVersion": "v1", **pod}, "Normal", "TaintManagerEviction", message)


def _taints(node: Object | None) -> list[Object]:
    found = ((node.get("spec") or {}).get("taints") or ()) if node is not None else ()
    return [taint for taint in found if taint.get("effect") == NO_EXECUTE]
