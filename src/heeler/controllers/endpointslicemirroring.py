"""EndpointSlices of Endpoints objects that somebody keeps by hand, for Services without a selector.

https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#endpointslice-mirroring
"""

from __future__ import annotations

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import endpointslice_trigger
from heeler.controllers.endpointslice import delete_slice, service_key
from heeler.controllers.endpointslice_plan import Changes, Wanted, bare, contents, plan
from heeler.controllers.loop import Context
from heeler.controllers.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import endpoints, owners

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: More addresses of one subset are not mirrored.
LIMIT = 1000


class EndpointSliceMirroringController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue(first_delay=1.0, max_delay=1000.0)
        self._client = context.client
        self._services = context.informers.get(SERVICES)
        self._endpoints = context.informers.get(ENDPOINTS)
        self._slices = context.informers.get(ENDPOINT_SLICES)
        self._slices.add_index("service", lambda obj: [service_key(obj)])
        self._services.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        self._endpoints.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        self._slices.add_handler(self._slice_changed)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None and labels_of(obj).get(endpoints.MANAGED_BY) == MANAGER:
                self.queue.add(service_key(obj))

    async def reconcile(self, key: str) -> None:
        service, source = self._services.get(key), self._endpoints.get(key)
        found = self._slices.by_index("service", key)
        mine = [obj for obj in found if labels_of(obj).get(endpoints.MANAGED_BY) == MANAGER]
        if service is None or source is None or service["spec"].get("selector") or not mirrored(source):
            for obj in mine:
                await delete_slice(self._client, self._slices, obj)
            return
        await self._perform(source, mine, plan(wanted(source), mine))

    async def _perform(self, source: Object, mine: list[Object], changes: Changes) -> None:
        labels = {
            **endpoints.inherited_labels(source),
            endpoints.SERVICE_NAME: name_of(source),
            endpoints.MANAGED_BY: MANAGER,
        }
        kept_back = (LAST_APPLIED, endpointslice_trigger.ANNOTATION)
        annotations = {k: v for k, v in (meta(source).get("annotations") or {}).items() if k not in kept_back}
        namespace = source["metadata"]["namespace"]
        for address_type, ports, found in changes.create:
            metadata: Object = {
                "generateName": f"{name_of(source)}-",
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owners.reference(source, "v1", "Endpoints")],
            }
            obj: Object = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": address_type,
                **contents(ports, found),
            }
            self._slices.assume(await self._client.create(ENDPOINT_SLICES, obj, namespace))
        touched = {name_of(obj) for obj, _, _ in changes.update} | {name_of(obj) for obj in changes.delete}
        stale = [
            (obj, obj.get("ports") or [], obj.get("endpoints") or [])
            for obj in mine
            if name_of(obj) not in touched
            and (labels_of(obj) != labels or (meta(obj).get("annotations") or {}) != annotations)
        ]
        for obj, ports, found in [*changes.update, *stale]:
            metadata = {**obj["metadata"], "labels": labels, "annotations": annotations}
            changed = {**bare(obj), "metadata": metadata, **contents(ports, found)}
            self._slices.assume(await self._client.update(ENDPOINT_SLICES, changed))
        for obj in changes.delete:
            await delete_slice(self._client, self._slices, obj)


def mirrored(source: Object) -> bool:
    return (
        labels_of(source).get(SKIP) != "true"
        and LEADER not in (meta(source).get("annotations") or {})
        and "endpoints.kubernetes.io/managed-by" not in labels_of(source)
    )


def wanted(source: Object) -> list[Wanted]:
    """The endpoints of every subset, those with the same ports together."""
    groups: dict[tuple[str, tuple[endpoints.Port, ...]], list[Object]] = {}
    for subset in source.get("subsets") or ():
        ports = tuple(
            endpoints.Port(p.get("name") or "", p["port"], p.get("protocol") or "TCP", p.get("appProtocol") or "")
            for p in subset.get("ports") or ()
        )
        count = 0
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                if count >= LIMIT:
                    break
                count += 1
                family = "IPv6" if ":" in address["ip"] else "IPv4"
                groups.setdefault((family, ports), []).append(_endpoint(address, ready))
    return [Wanted(family, ports, found) for (family, ports), found in groups.items()]


def _endpoint(address: Object, ready: bool) -> Object:
    out: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            out[field] = address[field]
    return out
