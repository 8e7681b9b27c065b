"""EndpointSlices of Services with a selector.

https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from __future__ import annotations

from heeler.base.tasks import together
from heeler.client.client import Client
from heeler.client.informer import Informer, key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import topology_hints
from heeler.controllers.endpointslice_plan import Changes, Wanted, bare, contents, plan
from heeler.controllers.endpointslice_trigger import TriggerTimes, annotated
from heeler.controllers.loop import Context
from heeler.controllers.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import endpoints, owners, pods

MANAGER = "endpointslice-controller.k8s.io"


class SelectedServices:
    """Tells a queue which Services a change of a pod concerns."""

    def __init__(self, services: Informer, queue: WorkQueue[str]) -> None:
        self._services, self._queue = services, queue
        services.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])
        services.add_handler(lambda old, new: queue.add(key_of(new or old or {})))

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _facts(old) == _facts(new):
            return
        namespace = (new or old or {})["metadata"]["namespace"]
        for service in self._services.by_index("namespace", namespace):
            if not endpoints.has_endpoints(service):
                continue
            selector = selectors.of_map(service["spec"]["selector"])
            if any(pod is not None and selector.matches(labels_of(pod)) for pod in (old, new)):
                self._queue.add(key_of(service))


def _facts(pod: Object) -> tuple[object, ...]:
    """What an endpoint depends on."""
    spec = pod.get("spec") or {}
    return (
        labels_of(pod),
        pods.addresses(pod),
        pods.is_ready(pod),
        pods.is_terminating(pod),
        pods.is_finished(pod),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
        meta(pod).get("uid"),
    )


class EndpointSliceController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=1.0, max_delay=1000.0)
        self._client = context.client
        self._services = context.informers.get(SERVICES)
        self._pods = context.informers.get(PODS)
        self._nodes = context.informers.get(NODES)
        self._slices = context.informers.get(ENDPOINT_SLICES)
        self._pods.add_index("namespace", lambda pod: [meta(pod).get("namespace", "")])
        self._slices.add_index("service", lambda obj: [service_key(obj)])
        self._selected = SelectedServices(self._services, self.queue)
        self._pods.add_handler(self._selected.pod_changed)
        self._events = context.recorder("endpoint-slice-controller")
        self._triggers = TriggerTimes()
        #: Services whose endpoints have hints by zone.
        self._hinted: dict[str, None] = {}
        self._slices.add_handler(self._slice_changed)
        self._nodes.add_handler(self._node_changed)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None and labels_of(obj).get(endpoints.MANAGED_BY) == MANAGER:
                self.queue.add(service_key(obj))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """A node's zone is part of its endpoints."""
        zone = _zone(old) != _zone(new)
        share = [topology_hints.counts(node) if node is not None else None for node in (old, new)]
        if not zone and share[0] == share[1]:
            return
        for service in self._services:
            if zone or topology_hints.is_wanted(service):
                self.queue.add(key_of(service))

    async def reconcile(self, key: str) -> None:
        service = self._services.get(key)
        found = self._slices.by_index("service", key)
        mine = [obj for obj in found if labels_of(obj).get(endpoints.MANAGED_BY) == MANAGER]
        if service is None or "deletionTimestamp" in service["metadata"]:
            self._hinted.pop(key, None)
            self._triggers.forget(key)
            return  # the garbage collector takes the slices
        if not endpoints.has_endpoints(service):
            return
        selector = selectors.of_map(service["spec"]["selector"])
        everything = self._pods.by_index("namespace", service["metadata"]["namespace"])
        selected = [pod for pod in everything if selector.matches(labels_of(pod))]
        trigger = self._triggers.of(key, service, selected)
        families = endpoints.families(service)
        wanted = [
            group
            for family in families
            for group in self._hint(service, family, self._wanted(service, selected, family))
        ]
        changes = plan(wanted, mine, placeholder=families[0])
        labels = _labels(service)
        changed = {name_of(obj) for obj, _, _ in changes.update}
        gone = {name_of(obj) for obj in changes.delete}
        for obj in mine:  # labels that somebody changed
            if name_of(obj) not in changed and name_of(obj) not in gone and not _has_labels(obj, labels):
                changes.update.append((obj, obj.get("ports") or [], obj.get("endpoints") or []))
        await self._perform(service, labels, changes, trigger)

    def _wanted(self, service: Object, selected: list[Object], family: str) -> list[Wanted]:
        groups: dict[tuple[endpoints.Port, ...], list[Object]] = {}
        for pod in selected:
            if not endpoints.counts(pod):
                continue
            ip = endpoints.address(pod, family)
            node = self._nodes.get(pods.node_name(pod)) if pods.node_name(pod) else None
            if ip:
                ports = endpoints.ports_of(service, pod)
                groups.setdefault(ports, []).append(endpoints.endpoint(service, pod, ip, _zone(node)))
        return [Wanted(family, ports, endpoints.with_hints(service, found)) for ports, found in groups.items()]

    def _hint(self, service: Object, family: str, groups: list[Wanted]) -> list[Wanted]:
        """Endpoints with hints by zone, for a Service that asks for them; an event says when that begins or can't be done."""
        key, about = key_of(service), {**service, "kind": "Service", "apiVersion": "v1"}
        if not topology_hints.is_wanted(service):
            if key in self._hinted:
                del self._hinted[key]
                text = f"{topology_hints.DISABLED}, addressType: {family}"
                self._events.record(about, "Warning", "TopologyAwareHintsDisabled", text)
            return groups
        everything = [one for group in groups for one in group.endpoints]
        try:
            found = topology_hints.hinted(everything, topology_hints.shares(self._nodes))
        except topology_hints.CanNotHint as error:
            self._hinted.pop(key, None)
            text = f"{error}, addressType: {family}"
            self._events.record(about, "Warning", "TopologyAwareHintsDisabled", text)
            found = topology_hints.without(everything)
        else:
            if key not in self._hinted:
                self._hinted[key] = None
                text = f"{topology_hints.ENABLED}, addressType: {family}"
                self._events.record(about, "Normal", "TopologyAwareHintsEnabled", text)
        rest = iter(found)
        return [group._replace(endpoints=[next(rest) for _ in group.endpoints]) for group in groups]

    async def _perform(self, service: Object, labels: dict[str, str], changes: Changes, trigger: str) -> None:
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        for address_type, ports, found in changes.create:
            made = await self._client.create(
                ENDPOINT_SLICES,
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "generateName": f"{name}-",
                        "namespace": namespace,
                        "labels": labels,
                        "annotations": annotated(None, trigger),
                        "ownerReferences": [owners.reference(service, "v1", "Service")],
                    },
                    "addressType": address_type,
                    **contents(ports, found),
                },
                namespace,
            )
            self._slices.assume(made)
        updates = (self._update(obj, labels, ports, found, trigger) for obj, ports, found in changes.update)
        await together(*updates)
        for obj in changes.delete:
            await delete_slice(self._client, self._slices, obj)

    async def _update(
        self, obj: Object, labels: dict[str, str], ports: list[Object], found: list[Object], trigger: str
    ) -> None:
        annotations = annotated(meta(obj).get("annotations"), trigger)
        metadata = {**obj["metadata"], "labels": labels, "annotations": annotations}
        done = await self._client.update(ENDPOINT_SLICES, {**bare(obj), "metadata": metadata, **contents(ports, found)})
        self._slices.assume(done)


async def delete_slice(client: Client, slices: Informer, obj: Object) -> None:
    """Delete a slice that may be gone already."""
    try:
        await client.delete(ENDPOINT_SLICES, name_of(obj), obj["metadata"]["namespace"], uid=obj["metadata"]["uid"])
    except StatusError as error:
        if error.code != 404:
            raise
    slices.assume_deleted(obj)


def service_key(obj: Object) -> str:
    """The key of the Service that a slice belongs to."""
    return f"{meta(obj).get('namespace', '')}/{labels_of(obj).get(endpoints.SERVICE_NAME, '')}"


def _zone(node: Object | None) -> str:
    return labels_of(node).get(endpoints.ZONE, "") if node is not None else ""


def _labels(service: Object) -> dict[str, str]:
    labels = {
        **endpoints.inherited_labels(service),
        endpoints.SERVICE_NAME: name_of(service),
        endpoints.MANAGED_BY: MANAGER,
    }
    if endpoints.is_headless(service):
        labels[endpoints.HEADLESS] = ""
    return labels


def _has_labels(obj: Object, labels: dict[str, str]) -> bool:
    return labels_of(obj) == labels
