"""The Service `kube-dns`: the face of the resolvers that Heeler's nodes have, with each ready node as an endpoint.

Nodes with a resolver say so by an annotation. A Service of this name that has a selector is somebody else's (a CoreDNS of
their own): it is left alone.
"""

from __future__ import annotations

import ipaddress

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import ENDPOINT_SLICES, NODES, SERVICES
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import endpoints, owners

#: On a node that answers DNS questions at the cluster's DNS address and at its own.
ANNOTATION = "heeler.dev/cluster-dns"
MANAGER = "cluster-dns.heeler.dev"
NAMESPACE, NAME, SLICE = "kube-system", "kube-dns", "kube-dns-nodes"
LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS"}
#: (name, protocol) of the Service's ports; the port is always 53.
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
_KEY = f"{NAMESPACE}/{NAME}"
_KUBERNETES = "default/kubernetes"


def address(kubernetes: Object) -> str:
    """The cluster's DNS address: the tenth of the Services' range, whose first one `kubernetes` has."""
    first = ipaddress.ip_address((kubernetes.get("spec") or {}).get("clusterIP") or "0.0.0.0")
    return str(first + 9)


def service(ip: str) -> Object:
    ports = [{"name": name, "port": 53, "protocol": protocol, "targetPort": 53} for name, protocol in PORTS]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports},
    }


def answering(nodes: list[Object]) -> list[Object]:
    """The endpoints that nodes with a resolver make, by name."""
    out = []
    for node in sorted(nodes, key=name_of):
        status = node.get("status") or {}
        ip = next((a["address"] for a in status.get("addresses") or [] if a.get("type") == "InternalIP"), "")
        if not ip or (meta(node).get("annotations") or {}).get(ANNOTATION) != "true":
            continue
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
        conditions = {"ready": ready, "serving": ready, "terminating": False}
        out.append({"addresses": [ip], "conditions": conditions, "nodeName": name_of(node)})
    return out


class ClusterDnsController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._nodes, self._services = context.informers.get(NODES), context.informers.get(SERVICES)
        self._slices = context.informers.get(ENDPOINT_SLICES)
        self._nodes.add_handler(self._node_changed)
        self._services.add_handler(self._changed)
        self._slices.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if key_of(new or old or {}) in (_KEY, _KUBERNETES, f"{NAMESPACE}/{SLICE}"):
            self.queue.add(_KEY)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if answering([old] if old else []) != answering([new] if new else []):
            self.queue.add(_KEY)

    async def reconcile(self, key: str) -> None:
        found, kubernetes = self._services.get(_KEY), self._services.get(_KUBERNETES)
        wanted = answering(list(self._nodes))
        if found is not None and "deletionTimestamp" in found["metadata"]:
            return
        if found is None:
            if not wanted or kubernetes is None:
                return
            found = await self._client.create(SERVICES, service(address(kubernetes)), NAMESPACE)
            self._services.assume(found)
        current = self._slices.get(f"{NAMESPACE}/{SLICE}")
        if found["spec"].get("selector"):
            if current is not None:
                await self._delete(current)
            return
        await self._put(found, current, wanted)

    async def _put(self, owner: Object, current: Object | None, wanted: list[Object]) -> None:
        ports = [{"name": name, "port": 53, "protocol": protocol} for name, protocol in PORTS]
        labels = {**LABELS, endpoints.SERVICE_NAME: NAME, endpoints.MANAGED_BY: MANAGER}
        if current is None:
            metadata = {
                "name": SLICE,
                "namespace": NAMESPACE,
                "labels": labels,
                "ownerReferences": [owners.reference(owner, "v1", "Service")],
            }
            made = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": "IPv4",
                "endpoints": wanted,
                "ports": ports,
            }
            self._slices.assume(await self._client.create(ENDPOINT_SLICES, made, NAMESPACE))
        elif (current.get("endpoints") or []) != wanted:
            self._slices.assume(await self._client.update(ENDPOINT_SLICES, {**current, "endpoints": wanted}))

    async def _delete(self, current: Object) -> None:
        try:
            await self._client.delete(ENDPOINT_SLICES, SLICE, NAMESPACE, uid=current["metadata"]["uid"])
        except StatusError as error:
            if error.code != 404:
                raise
        self._slices.assume_deleted(current)
