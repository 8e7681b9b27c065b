"""What every cluster has from its first moment: namespaces, roles, priority classes, the API server's own Service.

Runs at every start and puts back what is missing; default roles get rules that were added since.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING

from heeler.apiserver.bootstrap import flow_control, local_path, own
from heeler.apiserver.bootstrap.roles import default_objects
from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.loops import legacy_tokens
from heeler.apiserver.services import NETWORKING, ServiceHooks
from heeler.base.clock import rfc3339
from heeler.kinds.kind import Kind
from heeler.objects import apply
from heeler.objects.decode import decode
from heeler.objects.value import Object
from heeler.store.store import KeyExists, KeyNotFound, RevisionMismatch, StoreUnavailable
from heeler.workloads.endpoints import SERVICE_NAME

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

MANAGER = "kube-apiserver"
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
PRIORITIES = (
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
)


async def bootstrap(server: ApiServer) -> None:
    """Create what is missing."""
    objects = [{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": n}} for n in NAMESPACES]
    await _ensure_all(server, [(obj, MANAGER) for obj in objects])
    more = local_path.objects() if server.settings.local_path else []
    flow = flow_control.objects(rfc3339(server.clock.time()))
    first = [*default_objects(), *own.objects(), *_priorities(), *_network(server), *more]
    first.append(legacy_tokens.tracking(server.clock.time()))
    wanted = [(obj, MANAGER) for obj in first] + [(obj, flow_control.MANAGER) for obj in flow]
    await _ensure_all(server, wanted)
    await _kubernetes_service(server)
    hooks = server.hooks.get(("", "services"))
    if isinstance(hooks, ServiceHooks):
        await hooks.repair()
    await server.freshen()


def _priorities() -> list[Object]:
    return [
        {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name},
            "value": value,
            "description": description,
        }
        for name, value, description in PRIORITIES
    ]


def _network(server: ApiServer) -> list[Object]:
    return [
        {
            "kind": "ServiceCIDR",
            "apiVersion": f"{NETWORKING}/v1",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [server.settings.service_cluster_ip_range]},
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "",
                        "message": "Kubernetes default Service CIDR is ready",
                        "lastTransitionTime": rfc3339(server.clock.time()),
                    }
                ]
            },
        }
    ]


async def _kubernetes_service(server: ApiServer) -> None:
    """The Service `kubernetes`: the first address of the range, and this server behind it."""
    network = ipaddress.ip_network(server.settings.service_cluster_ip_range)
    address = str(network[1])
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": server.settings.advertise_port}
    service: Object = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ipFamilies": [f"IPv{network.version}"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [port],
            "sessionAffinity": "None",
        },
    }
    hooks = server.hooks.get(("", "services"))
    if isinstance(hooks, ServiceHooks):
        await hooks._create_address(service, address)
    await ensure(server, service)
    own = server.settings.advertise_address
    number = server.settings.advertise_port
    ports = [{"name": "https", "port": number, "protocol": "TCP"}]
    await ensure(
        server,
        {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {SERVICE_NAME: "kubernetes"},
            },
            "addressType": f"IPv{ipaddress.ip_address(own).version}",
            "endpoints": [{"addresses": [own], "conditions": {"ready": True}}],
            "ports": ports,
        },
        replace=("endpoints", "ports"),
    )
    await ensure(
        server,
        {
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{"addresses": [{"ip": own}], "ports": ports}],
        },
        replace=("subsets",),
    )


async def _ensure_all(server: ApiServer, wanted: list[tuple[Object, str]]) -> None:
    """Objects with their managers, all at once. At most starts they are as they should be: then nothing is waited for."""
    missing = [one for one in wanted if not _is_there(server, one[0])]
    await asyncio.gather(*(ensure(server, obj, manager=manager) for obj, manager in missing))


def _place(server: ApiServer, obj: Object) -> tuple[Kind, str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = server.kinds.by_kind(group, version, obj["kind"])
    assert kind is not None, obj["kind"]
    metadata = obj["metadata"]
    return kind, key_of(kind, metadata.get("namespace", ""), metadata["name"])


def _is_there(server: ApiServer, obj: Object) -> bool:
    """Is it there, with all that it needs?"""
    kind, key = _place(server, obj)
    found = server.cache.of(kind).items.get(key)
    return found is not None and not _updates(found.object(), obj, ())


async def ensure(server: ApiServer, obj: Object, replace: tuple[str, ...] = (), manager: str = MANAGER) -> None:
    """Create an object unless it is there; parts named in `replace` are kept as given, roles get missing rules."""
    kind, key = _place(server, obj)
    version = obj["apiVersion"].rpartition("/")[2]
    found = server.cache.of(kind).items.get(key)
    if found is not None:
        await _refresh(server, found, obj, replace)
        return
    draft, _ = decode(obj, kind.type(version))
    draft |= {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
    now = rfc3339(server.clock.time())
    draft["metadata"] |= {"uid": server.random.uuid(), "creationTimestamp": now}
    kind.default(draft, version)
    managed = apply.track_update(
        None, draft, kind.type(version), manager=manager, api_version=obj["apiVersion"], now=now
    )
    status = draft.get("status")
    kind.prepare_create(draft, now)
    if obj.get("status"):
        draft["status"] = status
    if managed:
        draft["metadata"]["managedFields"] = managed
    try:
        await server.store.create(key, encode(draft))
    except KeyExists:  # another server was faster
        return


def _updates(obj: Object, wanted: Object, replace: tuple[str, ...]) -> Object:
    """The parts of the object that change, as they will be."""
    out = {part: wanted.get(part) for part in replace if obj.get(part) != wanted.get(part)}
    annotations = obj["metadata"].get("annotations") or {}
    if annotations.get("rbac.authorization.kubernetes.io/autoupdate") == "true":
        for part in ("rules", "subjects"):
            missing = [r for r in wanted.get(part) or () if r not in (obj.get(part) or ())]
            if missing:
                out[part] = [*(obj.get(part) or ()), *missing]
    return out


async def _refresh(server: ApiServer, found: Item, wanted: Object, replace: tuple[str, ...]) -> None:
    updates = _updates(found.object(), wanted, replace)
    if updates:
        try:
            await server.store.update(found.key, encode({**found.object(), **updates}), found.revision)
        except (RevisionMismatch, KeyNotFound):
            pass  # somebody else is at it; the next start looks again
        except StoreUnavailable as error:  # a full disk: what is there can be read, and room be made
            log.warning("%s is not brought up to date: %s", found.key, error)
