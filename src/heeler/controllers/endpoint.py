"""Endpoints objects of Services with a selector: the older form, which many programs still read.

https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
"""

from __future__ import annotations

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.endpointslice import SelectedServices
from heeler.controllers.endpointslice_trigger import TriggerTimes, annotated
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
        self._triggers = TriggerTimes()
        self._selected = SelectedServices(self._services, self.queue)
        self._pods.add_handler(self._selected.pod_changed)
        self._endpoints.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        service = self._services.get(key)
        current = self._endpoints.get(key)
        if service is None:
            self._triggers.forget(key)
            if current is not None and MANAGED_BY in labels_of(current):
                await self._delete(namespace, name, current)
            return
        if not endpoints.has_endpoints(service):
            return
        selected = self._pods_of(service)
        trigger = self._triggers.of(key, service, selected)
        everything = endpoints.subsets(service, _members(service, selected))
        subsets = endpoints.truncated(everything, LIMIT)
        labels = {key: value for key, value in labels_of(service).items() if key != endpoints.HEADLESS}
        labels[MANAGED_BY] = "endpoint-controller"
        if endpoints.is_headless(service):
            labels[endpoints.HEADLESS] = ""
        over = {} if subsets is everything else {OVER_CAPACITY: "truncated"}
        if current is None:
            metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
            obj: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
            metadata["annotations"] = annotated(over, trigger)
            self._endpoints.assume(await self._client.create(ENDPOINTS, obj, namespace))
            return
        annotations = meta(current).get("annotations") or {}
        if (
            (current.get("subsets") or []) == subsets
            and labels_of(current) == labels
            and annotations.get(OVER_CAPACITY) == over.get(OVER_CAPACITY)
        ):
            return
        rest = {k: v for k, v in annotations.items() if k != OVER_CAPACITY}
        metadata = {**current["metadata"], "labels": labels, "annotations": annotated({**rest, **over}, trigger)}
        done = await self._client.update(ENDPOINTS, {**current, "metadata": metadata, "subsets": subsets})
        self._endpoints.assume(done)

    def _pods_of(self, service: Object) -> list[Object]:
        selector = selectors.of_map(service["spec"]["selector"])
        found = self._pods.by_index("namespace", service["metadata"]["namespace"])
        return [pod for pod in found if selector.matches(labels_of(pod))]

    async def _delete(self, namespace: str, name: str, current: Object) -> None:
        try:
            await self._client.delete(ENDPOINTS, name, namespace, uid=current["metadata"]["uid"])
        except StatusError as error:
            if error.code != 404:
                raise
        self._endpoints.assume_deleted(current)


def _members(service: Object, selected: list[Object]) -> list[tuple[Object, tuple[endpoints.Port, ...]]]:
    """Pods and their ports; a terminating pod counts only if the Service publishes all."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    out = []
    for pod in selected:
        if not endpoints.counts(pod) or (pods.is_terminating(pod) and not publish):
            continue
        ports = endpoints.ports_of(service, pod)
        if ports or (endpoints.is_headless(service) and not service["spec"].get("ports")):
            out.append((pod, ports))
    return out
