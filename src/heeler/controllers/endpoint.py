"""Endpoints objects of Services with a selector: the older form, which many programs still read.

https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.endpointslice import SelectedServices
from heeler.controllers.loop import Context
from heeler.controllers.resources import ENDPOINTS, PODS, SERVICES
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta
from heeler.workloads import endpoints, pods

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
LIMIT = 1000


class EndpointController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._services = context.informers.get(SERVICES)
        self._pods = context.informers.get(PODS)
        self._endpoints = context.informers.get(ENDPOINTS)
        self._pods.add_index("namespace", lambda pod: [meta(pod).get("namespace", "")])
        self._selected = SelectedServices(self._services, self.queue)
        self._pods.add_handler(self._selected.pod_changed)
        self._endpoints.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self._services.get(key)
        current = self._endpoints.get(key)
        if service is None:
            if current is not None and MANAGED_BY in labels_of(current):
                await self._delete(namespace, name, current)
            return
        if not endpoints.has_endpoints(service):
            return
        members = self._members(service)
        subsets = endpoints.subsets(service, members, LIMIT)
        labels = {key: value for key, value in labels_of(service).items() if key != endpoints.HEADLESS}
        labels[MANAGED_BY] = "endpoint-controller"
        if endpoints.is_headless(service):
            labels[endpoints.HEADLESS] = ""
        over = {OVER_CAPACITY: "truncated"} if len(members) > LIMIT else {}
        if current is None:
            metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
            obj: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
            if over:
                metadata["annotations"] = over
            self._endpoints.assume(await self._client.create(ENDPOINTS, obj, namespace))
            return
        annotations = {k: v for k, v in (meta(current).get("annotations") or {}).items() if k != OVER_CAPACITY} | over
        if (
            (current.get("subsets") or []) == subsets
            and labels_of(current) == labels
            and (meta(current).get("annotations") or {}) == annotations
        ):
            return
        metadata = {**current["metadata"], "labels": labels}
        metadata.pop("annotations", None)
        if annotations:
            metadata["annotations"] = annotations
        done = await self._client.update(ENDPOINTS, {**current, "metadata": metadata, "subsets": subsets})
        self._endpoints.assume(done)

    def _members(self, service: Object) -> list[tuple[Object, tuple[endpoints.Port, ...]]]:
        """Pods and their ports; a terminating pod counts only if the Service publishes all."""
        selector = selectors.of_map(service["spec"]["selector"])
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        out = []
        for pod in self._pods.by_index("namespace", service["metadata"]["namespace"]):
            if not endpoints.counts(pod) or not selector.matches(labels_of(pod)):
                continue
            if pods.is_terminating(pod) and not publish:
                continue
            ports = endpoints.ports_of(service, pod)
            if ports or (endpoints.is_headless(service) and not service["spec"].get("ports")):
                out.append((pod, ports))
        return out

    async def _delete(self, namespace: str, name: str, current: Object) -> None:
        try:
            await self._client.delete(ENDPOINTS, name, namespace, uid=current["metadata"]["uid"])
        except StatusError as error:
            if error.code != 404:
                raise
        self._endpoints.assume_deleted(current)
