"""What is checked of Endpoints and EndpointSlice. https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.service_rules import PROTOCOLS, special_address
from heeler.kinds.meta.checks import IMMUTABLE, numbered, one_of
from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, invalid, not_supported, required, too_many
from heeler.objects.value import Object

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100
MAX_PORTS = 20000
MAX_HINTS = 8


def endpoints(obj: Object) -> Iterator[Fault]:
    for at, subset in numbered(obj.get("subsets")):
        here = f"subsets[{at}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(here, "must specify `addresses` or `notReadyAddresses`")
        for key in ("addresses", "notReadyAddresses"):
            for index, address in numbered(subset.get(key)):
                yield from _address(address, f"{here}.{key}[{index}]")
        ports = subset.get("ports") or []
        for index, port in enumerate(ports):
            yield from _port(port, len(ports) > 1, f"{here}.ports[{index}]")


def _address(address: Object, path: str) -> Iterator[Fault]:
    if address.get("hostname"):
        yield from each(f"{path}.hostname", address["hostname"], names.label(address["hostname"]))
    if address.get("nodeName") is not None:
        yield from each(f"{path}.nodeName", address["nodeName"], names.subdomain(address["nodeName"]))
    ip = address.get("ip", "")
    yield from special_address(ip, f"{path}.ip")
    if names.parsed_address(ip) is None:  # upstream looks twice
        yield invalid(f"{path}.ip", ip, "must be a valid IP address")


def _port(port: Object, needs_name: bool, path: str) -> Iterator[Fault]:
    name = port.get("name", "")
    if needs_name and not name:
        yield required(f"{path}.name")
    elif name:
        yield from each(f"{path}.name", name, names.label(name))
    yield from each(f"{path}.port", port.get("port", 0), names.port(port.get("port", 0)))
    yield from one_of(port.get("protocol"), PROTOCOLS, f"{path}.protocol")
    if port.get("appProtocol") is not None:
        yield from each(f"{path}.appProtocol", port["appProtocol"], names.qualified(port["appProtocol"]))


def slice_rules(obj: Object) -> Iterator[Fault]:
    kind = obj.get("addressType", "")
    yield from one_of(kind, ADDRESS_TYPES, "addressType")
    rows = obj.get("endpoints") or []
    if len(rows) > MAX_ENDPOINTS:
        yield too_many("endpoints", len(rows), MAX_ENDPOINTS)
    for at, row in enumerate(rows):
        yield from _endpoint(row, kind, f"endpoints[{at}]")
    yield from _slice_ports(obj.get("ports") or [])
    for at, row in enumerate(rows):
        count = len(row.get("addresses") or [])
        if not count:
            yield required(f"endpoints[{at}].addresses")
        elif count > MAX_ADDRESSES:
            yield too_many(f"endpoints[{at}].addresses", count, MAX_ADDRESSES)


def _endpoint(row: Object, kind: str, path: str) -> Iterator[Fault]:
    for at, text in numbered(row.get("addresses")):
        here = f"{path}.addresses[{at}]"
        if kind == "FQDN":
            yield from each(here, text, names.fully_qualified_domain(text))
        elif kind in ("IPv4", "IPv6"):
            address = names.parsed_address(text)
            if address is None:
                yield invalid(here, text, names.ADDRESS)
                continue
            if f"IPv{address.version}" != kind:
                article = "an" if kind == "IPv4" or kind == "IPv6" else "a"
                yield invalid(f"{path}.addresses", text, f"must be {article} {kind} address")
            yield from special_address(text, here)
    if row.get("nodeName") is not None:
        yield from each(f"{path}.nodeName", row["nodeName"], names.subdomain(row["nodeName"]))
    if row.get("hostname") is not None:
        yield from each(f"{path}.hostname", row["hostname"], names.label(row["hostname"]))
    if row.get("hints") is not None:
        yield from _hints(row["hints"], f"{path}.hints")


def _hints(hints: Object, path: str) -> Iterator[Fault]:
    for key, check in (("forZones", names.label_value), ("forNodes", names.subdomain)):
        rows = hints.get(key) or []
        if len(rows) > MAX_HINTS:
            yield too_many(f"{path}.{key}", len(rows), MAX_HINTS)
            continue
        seen: set[str] = set()
        for at, row in enumerate(rows):
            here, name = f"{path}.{key}[{at}].name", row.get("name", "")
            if name in seen:
                yield duplicate(here, name)
            seen.add(name)
            yield from each(here, name, check(name))


def _slice_ports(ports: list[Object]) -> Iterator[Fault]:
    if len(ports) > MAX_PORTS:
        yield too_many("ports", len(ports), MAX_PORTS)
    seen: set[str] = set()
    for at, port in enumerate(ports):
        here, name = f"ports[{at}]", port.get("name") or ""
        if name:
            yield from each(f"{here}.name", name, names.label(name))
        if name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name)
        protocol = port.get("protocol")
        if protocol is None:
            yield required(f"{here}.protocol")
        elif protocol not in PROTOCOLS:
            yield not_supported(f"{here}.protocol", protocol, PROTOCOLS)
        if port.get("appProtocol") is not None:
            yield from each(f"{here}.appProtocol", port["appProtocol"], names.qualified(port["appProtocol"]))


def slice_update(new: Object, old: Object) -> Iterator[Fault]:
    yield from slice_rules(new)
    if new.get("addressType") != old.get("addressType"):
        yield invalid("addressType", None, IMMUTABLE)
