"""Which endpoints a Service has: the ports of a pod, whether it is ready to serve, and what is said of it.

https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from heeler.objects.value import Object, labels_of, meta
from heeler.workloads import pods

HEADLESS = "service.kubernetes.io/headless"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
ZONE = "topology.kubernetes.io/zone"


class Port(NamedTuple):
    name: str
    port: int
    protocol: str
    app_protocol: str = ""


def is_headless(service: Object) -> bool:
    return (service["spec"].get("clusterIP") or "") == "None"


def has_endpoints(service: Object) -> bool:
    """Whether a controller makes endpoints for it."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def ports_of(service: Object, pod: Object) -> tuple[Port, ...]:
    """The ports of a pod behind a Service; those whose name the pod doesn't know are left out."""
    out = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _number(port, pod, protocol)
        if number:
            out.append(Port(port.get("name") or "", number, protocol, port.get("appProtocol") or ""))
    return tuple(out)


def _number(port: Object, pod: Object, protocol: str) -> int:
    target = port.get("targetPort")
    if target is None or target == "" or target == 0:
        return int(port["port"])
    if isinstance(target, int):
        return target
    for container in pods.containers(pod):
        for known in container.get("ports") or ():
            if known.get("name") == target and (known.get("protocol") or "TCP") == protocol:
                return int(known["containerPort"])
    return 0


def counts(pod: Object) -> bool:
    """Whether it is an endpoint at all: it has an address and has not ended."""
    return bool(pods.addresses(pod)) and not pods.is_finished(pod)


def address(pod: Object, family: str) -> str:
    """The pod's address of a family (IPv4, IPv6), "" if it has none."""
    return next((ip for ip in pods.addresses(pod) if (":" in ip) == (family == "IPv6")), "")


def families(service: Object) -> list[str]:
    found = service["spec"].get("ipFamilies") or []
    return list(found) or ["IPv4"]


def endpoint(service: Object, pod: Object, ip: str, zone: str) -> Object:
    """The entry of an EndpointSlice."""
    serving, terminating = pods.is_ready(pod), pods.is_terminating(pod)
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    out: Object = {
        "addresses": [ip],
        "conditions": {
            "ready": publish or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": _target(pod),
    }
    if pods.node_name(pod):
        out["nodeName"] = pods.node_name(pod)
    if zone:
        out["zone"] = zone
    name = hostname(service, pod)
    if name:
        out["hostname"] = name
    return out


def _target(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def hostname(service: Object, pod: Object) -> str:
    """A pod that names the Service as its subdomain is known by its own name."""
    spec = pod.get("spec") or {}
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        return str(spec["hostname"])
    return ""


def with_hints(service: Object, endpoints: list[Object]) -> list[Object]:
    """Endpoints with the hints that a traffic distribution asks for."""
    wish = service["spec"].get("trafficDistribution") or ""
    if wish not in ("PreferClose", "PreferSameZone", "PreferSameNode"):
        return endpoints
    out = []
    for one in endpoints:
        hints: Object = {}
        if one["conditions"]["ready"] and one.get("zone"):
            hints["forZones"] = [{"name": one["zone"]}]
        if one["conditions"]["ready"] and wish == "PreferSameNode" and one.get("nodeName"):
            hints["forNodes"] = [{"name": one["nodeName"]}]
        out.append({**one, "hints": hints} if hints else one)
    return out


def slice_ports(ports: Iterable[Port]) -> list[Object]:
    return [
        {
            "name": port.name,
            "port": port.port,
            "protocol": port.protocol,
            **({"appProtocol": port.app_protocol} if port.app_protocol else {}),
        }
        for port in ports
    ]


def inherited_labels(owner: Object) -> dict[str, str]:
    """An owner's labels that its slices get as well."""
    kept_back = (SERVICE_NAME, MANAGED_BY, HEADLESS)
    return {key: value for key, value in labels_of(owner).items() if key not in kept_back}


def subsets(service: Object, members: Iterable[tuple[Object, tuple[Port, ...]]]) -> list[Object]:
    """The `subsets` of an Endpoints object: addresses of the same ports together."""
    groups: dict[tuple[Port, ...], tuple[list[Object], list[Object]]] = {}
    for pod, ports in members:
        ip = address(pod, families(service)[0])
        if not ip:
            continue
        entry: Object = {"ip": ip, "targetRef": _target(pod)}
        if pods.node_name(pod):
            entry["nodeName"] = pods.node_name(pod)
        name = hostname(service, pod)
        if name:
            entry["hostname"] = name
        ready, not_ready = groups.setdefault(ports, ([], []))
        if service["spec"].get("publishNotReadyAddresses") or pods.is_ready(pod):
            ready.append(entry)
        else:
            not_ready.append(entry)
    out = []
    for ports, (ready, not_ready) in sorted(groups.items()):
        subset: Object = {}
        if ready:
            subset["addresses"] = sorted(ready, key=_place)
        if not_ready:
            subset["notReadyAddresses"] = sorted(not_ready, key=_place)
        if ports:
            subset["ports"] = [
                {
                    **({"name": p.name} if p.name else {}),
                    "port": p.port,
                    "protocol": p.protocol,
                    **({"appProtocol": p.app_protocol} if p.app_protocol else {}),
                }
                for p in sorted(ports)
            ]
        out.append(subset)
    return out


def truncated(found: list[Object], limit: int) -> list[Object]:
    """Subsets of at most so many addresses, the same list if they are: ready ones first, of each subset its share."""
    ready, waiting = (sum(len(one.get(key) or ()) for one in found) for key in ("addresses", "notReadyAddresses"))
    if ready + waiting <= limit:
        return found
    key, number, room = ("addresses", ready, limit) if ready > limit else ("notReadyAddresses", waiting, limit - ready)
    left, out = room, []
    for one in found:
        own = one.get(key) or []
        kept = own[: min(math.ceil(len(own) / number * room), left)]
        left -= len(kept)
        without = ("addresses", "notReadyAddresses") if ready > limit else ("notReadyAddresses",)
        cut = {name: value for name, value in one.items() if name not in without} | ({key: kept} if kept else {})
        if cut.get("addresses") or cut.get("notReadyAddresses"):
            out.append(cut)
    return out


def _place(entry: Object) -> tuple[str, str]:
    return entry["ip"], (entry.get("targetRef") or {}).get("uid", "")


def identity(one: Object) -> tuple[str, str]:
    """What makes two entries the same endpoint: its addresses and its target."""
    return ",".join(one.get("addresses") or ()), (one.get("targetRef") or {}).get("uid", "")


def namespace(obj: Object) -> str:
    return str(meta(obj).get("namespace", ""))
