"""The cluster's names, looked up in Services, EndpointSlices and Namespaces as they are now. No I/O.

Source: https://github.com/kubernetes/dns/blob/master/docs/specification.md (version 1.1.0)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from heeler.objects.value import Object, labels_of, name_of, namespace_of
from heeler.workloads.endpoints import SERVICE_NAME

SCHEMA = "1.1.0"
#: A service's share among the targets of an SRV record: the whole, divided by their number.
WEIGHT = 100


class Srv(NamedTuple):
    priority: int
    weight: int
    port: int
    target: str


#: What stands at a name: record type -> its values. Names are absolute, without the dot at the end.
Node = dict[str, list[str | Srv]]
Key = tuple[str, str]


class Endpoint(NamedTuple):
    """An address behind a headless Service; `label` is its own name below the Service's."""

    address: str
    label: str
    ports: tuple[tuple[str, str, int], ...]


class Records:
    """All that is known. The three `…_changed` keep it up to date; `generation` counts the changes.

    `services` and `namespaces` are read as they are: mirrors that somebody else keeps.
    """

    def __init__(
        self, services: Mapping[Key, Object], namespaces: Mapping[Key, Object], *, domain: str, address: str
    ) -> None:
        self.domain, self.address, self.generation = domain, address, 0
        self._services, self._namespaces = services, namespaces
        self._slices: dict[Key, dict[str, Object]] = {}
        self._names: dict[str, list[str]] | None = None

    def object_changed(self, old: Object | None, new: Object | None) -> None:
        """A Service or a Namespace."""
        self.generation += 1
        self._names = None

    def slice_changed(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is None:
                continue
            key = (namespace_of(obj), labels_of(obj).get(SERVICE_NAME, ""))
            pieces = self._slices.setdefault(key, {})
            pieces.pop(name_of(obj), None)
            if obj is new:
                pieces[name_of(obj)] = obj
            if not pieces:
                del self._slices[key]
        self.object_changed(old, new)

    def node(self, labels: Sequence[str]) -> Node | None:
        """What stands at a name below the domain (its labels, lower case); None where there is no such name."""
        match list(labels):
            case []:
                return {"NS": [f"ns.dns.{self.domain}"]}
            case ["dns-version"]:
                return {"TXT": [SCHEMA]}
            case ["dns"] | ["svc"] | ["pod"]:
                return {}
            case ["ns", "dns"]:
                return _addresses([self.address])
            case [namespace, "svc" | "pod"]:
                return {} if ("", namespace) in self._namespaces else None
            case [dashed, namespace, "pod"]:
                return self._pod(dashed, namespace)
            case [*front, service, namespace, "svc"]:
                found = self._services.get((namespace, service))
                return self._of_service(found, front, f"{service}.{namespace}.svc.{self.domain}") if found else None
        return None

    def _pod(self, dashed: str, namespace: str) -> Node | None:
        """The name of an address: not compared with the pods that there are (CoreDNS: "pods insecure")."""
        address = _undashed(dashed)
        return _addresses([address]) if address and ("", namespace) in self._namespaces else None

    def _of_service(self, service: Object, front: list[str], name: str) -> Node | None:
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            target = str(spec.get("externalName") or "").rstrip(".").lower()
            return {"CNAME": [target]} if not front and target else None
        headless = spec.get("clusterIP") == "None"
        endpoints = self._endpoints(service) if headless or (front and not front[-1].startswith("_")) else []
        match front:
            case []:
                return self._whole(spec, endpoints, name, headless)
            case [label] if not label.startswith("_"):
                addresses = [e.address for e in endpoints if e.label == label]
                return _addresses(addresses) if addresses else None
            case [protocol]:
                known = {str(p.get("protocol") or "TCP").lower() for p in spec.get("ports") or []}
                return {} if protocol[1:] in known else None
            case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
                return self._port(spec, endpoints, name, port[1:], protocol[1:], headless)
        return None

    def _whole(self, spec: Object, endpoints: list[Endpoint], name: str, headless: bool) -> Node | None:
        if not headless:
            addresses = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip]
            ports = dict.fromkeys(Srv(0, WEIGHT, int(p["port"]), name) for p in spec.get("ports") or [])
            return {**_addresses(addresses), **({"SRV": list(ports)} if ports else {})}
        if not endpoints:
            return None
        targets = [(f"{e.label}.{name}", number) for e in endpoints for _, _, number in e.ports]
        return {**_addresses([e.address for e in endpoints]), **_srv(targets)}

    def _port(
        self, spec: Object, endpoints: list[Endpoint], name: str, port: str, protocol: str, headless: bool
    ) -> Node | None:
        if headless:
            targets = [
                (f"{e.label}.{name}", number)
                for e in endpoints
                for p, kind, number in e.ports
                if (p, kind) == (port, protocol)
            ]
        else:
            targets = [
                (name, int(p["port"]))
                for p in spec.get("ports") or []
                if p.get("name") == port and str(p.get("protocol") or "TCP").lower() == protocol
            ]
        return _srv(targets) or None

    def _endpoints(self, service: Object) -> list[Endpoint]:
        """Those that are ready (or to be published all the same: the slices say ready then), in a fixed order."""
        out: dict[Endpoint, None] = {}
        for piece in self._slices.get((namespace_of(service), name_of(service)), {}).values():
            ports = tuple(
                (str(p.get("name") or ""), str(p.get("protocol") or "TCP").lower(), int(p["port"]))
                for p in piece.get("ports") or []
                if p.get("port")
            )
            for entry in piece.get("endpoints") or []:
                if (entry.get("conditions") or {}).get("ready") is False:
                    continue
                for address in entry.get("addresses") or []:
                    out[Endpoint(address, str(entry.get("hostname") or _dashed(address)).lower(), ports)] = None
        return sorted(out)

    def names(self, address: str) -> list[str]:
        """The names of an address (PTR): of the Service that has it, else of the headless Services' endpoints."""
        if self._names is None:
            self._names = {}
            for address_, name in self._all_names():
                known = self._names.setdefault(address_, [])
                if name not in known:
                    known.append(name)
        return self._names.get(address, [])

    def _all_names(self) -> Iterator[tuple[str, str]]:
        headless = []
        for (namespace, service), obj in sorted(self._services.items()):
            spec = obj.get("spec") or {}
            name = f"{service}.{namespace}.svc.{self.domain}"
            if spec.get("clusterIP") == "None":
                headless.append((obj, name))
            elif spec.get("type") != "ExternalName":
                for ip in spec.get("clusterIPs") or [spec.get("clusterIP")]:
                    if ip:
                        yield ip, name
        for obj, name in headless:
            for endpoint in self._endpoints(obj):
                yield endpoint.address, f"{endpoint.label}.{name}"


def _addresses(found: Sequence[str]) -> Node:
    out: Node = {}
    for address in dict.fromkeys(found):
        out.setdefault("AAAA" if ":" in address else "A", []).append(address)
    return out


def _srv(targets: Sequence[tuple[str, int]]) -> Node:
    known = dict.fromkeys(targets)
    weight = max(1, WEIGHT // len(known)) if known else 0
    return {"SRV": [Srv(0, weight, port, target) for target, port in known]} if known else {}


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _undashed(label: str) -> str:
    """10-1-2-3 or fd00--1 as an address; "" if it is none."""
    for text in (label.replace("-", "."), label.replace("-", ":")):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return ""


def reverse(labels: Sequence[str]) -> str:
    """The address of a name below in-addr.arpa or ip6.arpa (lower case labels); "" if it is none."""
    try:
        if list(labels[-2:]) == ["in-addr", "arpa"] and len(labels) == 6:
            return str(ipaddress.IPv4Address(".".join(reversed(labels[:-2]))))
        if list(labels[-2:]) == ["ip6", "arpa"] and len(labels) == 34 and all(len(x) == 1 for x in labels[:-2]):
            return str(ipaddress.IPv6Address(int("".join(reversed(labels[:-2])), 16)))
    except ValueError:
        pass
    return ""
