"""What is checked of Ingress, IngressClass, NetworkPolicy, ServiceCIDR and IPAddress."""

from __future__ import annotations

import re
from collections.abc import Iterator

from heeler.kinds.meta.checks import IMMUTABLE, numbered, optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required, too_long
from heeler.objects.value import Object

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
POLICY_TYPES = ("Ingress", "Egress")
_DOMAIN_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z")


def ingress(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for at, rule in numbered(spec.get("rules")):
        yield from _rule(rule, f"spec.rules[{at}]")
    for at, row in numbered(spec.get("tls")):
        for index, host in numbered(row.get("hosts")):
            check = names.wildcard_subdomain if "*" in host else names.subdomain
            yield from each(f"spec.tls[{at}].hosts[{index}]", host, check(host))
        if row.get("secretName"):
            name = row["secretName"]
            yield from each(f"spec.tls[{at}].secretName", name, names.subdomain(name))
    if spec.get("ingressClassName") is not None:
        name = spec["ingressClassName"]
        yield from each("spec.ingressClassName", name, names.subdomain(name))


def _rule(rule: Object, path: str) -> Iterator[Fault]:
    host = rule.get("host", "")
    if host:
        if names.parsed_address(host):
            yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        if "*" in host:
            yield from each(f"{path}.host", host, names.wildcard_subdomain(host))
        else:
            yield from each(f"{path}.host", host, names.subdomain(host))
    if rule.get("http") is not None:
        if not rule["http"].get("paths"):
            yield required(f"{path}.http.paths")
        for at, row in numbered(rule["http"].get("paths")):
            yield from _path(row, f"{path}.http.paths[{at}]")


def _path(row: Object, path: str) -> Iterator[Fault]:
    kind, text = row.get("pathType"), row.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield invalid(f"{path}.path", text, "must be an absolute path")
        if text:
            for bad in ("//", "/./", "/../", "%2f", "%2F"):
                if bad in text:
                    yield invalid(f"{path}.path", text, f"must not contain '{bad}'")
            for bad in ("/..", "/."):
                if text.endswith(bad):
                    yield invalid(f"{path}.path", text, f"cannot end with '{bad}'")
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            yield invalid(f"{path}.path", text, "must be an absolute path")
    else:
        yield not_supported(f"{path}.pathType", kind, PATH_TYPES)
    yield from _backend(row.get("backend") or {}, f"{path}.backend")


def _backend(backend: Object, path: str) -> Iterator[Fault]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from _typed_reference(resource, f"{path}.resource")
    elif service is not None:
        name = service.get("name", "")
        if not name:
            yield required(f"{path}.service.name")
        else:
            yield from each(f"{path}.service.name", name, names.label(name))
        port = service.get("port") or {}
        if port.get("name") and port.get("number"):
            yield invalid(path, "", "cannot set both port name & port number")
        elif port.get("name"):
            yield from each(f"{path}.service.port.name", port["name"], names.port_name(port["name"]))
        elif port.get("number"):
            yield from each(f"{path}.service.port.number", port["number"], names.port(port["number"]))
        else:
            yield required(path, "port name or number is required")
    else:
        yield invalid(path, "", "resource or service backend is required")


def _typed_reference(row: Object, path: str) -> Iterator[Fault]:
    if row.get("apiGroup") is not None:
        yield from each(f"{path}.apiGroup", row["apiGroup"], names.subdomain(row["apiGroup"]))
    for key in ("kind", "name"):
        if not row.get(key):
            yield required(f"{path}.{key}")
        else:
            yield from each(f"{path}.{key}", row[key], names.path_segment(row[key]))


# IngressClass.


def domain_prefixed(text: str, path: str) -> Iterator[Fault]:
    """ "example.com/name"."""
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from each(path, domain, names.subdomain(domain))
    if not _DOMAIN_PATH.match(rest):
        yield invalid(path, text, "Invalid path")


def ingress_class(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller) > 250:
        yield too_long("spec.controller", 250)
    if not controller:
        yield required("spec.controller")
    else:
        yield from domain_prefixed(controller, "spec.controller")
    parameters = spec.get("parameters")
    if parameters is not None:
        yield from _parameters(parameters, "spec.parameters")


def _parameters(row: Object, path: str) -> Iterator[Fault]:
    yield from _typed_reference(row, path)
    scope, namespace = row.get("scope"), row.get("namespace")
    if scope is None:
        yield required(f"{path}.scope")
        return
    yield from optional_one_of(scope, ("Cluster", "Namespace"), f"{path}.scope")
    if scope == "Namespace":
        if namespace is None:
            yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from each(f"{path}.namespace", namespace, names.label(namespace))
    if scope == "Cluster" and namespace is not None:
        yield forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


def ingress_class_update(new: Object, old: Object) -> Iterator[Fault]:
    controller = (new.get("spec") or {}).get("controller", "")
    if controller != (old.get("spec") or {}).get("controller", ""):
        yield invalid("spec.controller", controller, IMMUTABLE)
    yield from ingress_class(new)


# NetworkPolicy.


def network_policy(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from label_selector(spec.get("podSelector"), "spec.podSelector")
    for key, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in numbered(spec.get(key)):
            here = f"spec.{key}[{at}]"
            for index, port in numbered(rule.get("ports")):
                yield from _policy_port(port, f"{here}.ports[{index}]")
            for index, peer in numbered(rule.get(side)):
                yield from _peer(peer, f"{here}.{side}[{index}]")
    kinds = spec.get("policyTypes") or []
    if len(kinds) > 2:
        yield invalid("spec.policyTypes", kinds, "may not specify more than two policyTypes")
        return
    for at, kind in enumerate(kinds):
        if kind not in POLICY_TYPES:
            yield not_supported(f"spec.policyTypes[{at}]", kind, POLICY_TYPES)


def _policy_port(port: Object, path: str) -> Iterator[Fault]:
    protocol = port.get("protocol")
    if protocol is not None and protocol not in ("TCP", "UDP", "SCTP"):
        yield not_supported(f"{path}.protocol", protocol, ("TCP", "UDP", "SCTP"))
    number, end = port.get("port"), port.get("endPort")
    if number is None:
        if end is not None:
            yield required(f"{path}.port", "must be specified when `endPort` is specified")
    elif isinstance(number, str):
        if end is not None:
            yield invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        yield from each(f"{path}.port", number, names.port_name(number))
    else:
        yield from each(f"{path}.port", number, names.port(number))
        if end is not None:
            if end < number:
                yield invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")
            yield from each(f"{path}.endPort", end, names.port(end))


def _peer(peer: Object, path: str) -> Iterator[Fault]:
    count = 0
    for key in ("podSelector", "namespaceSelector"):
        if peer.get(key) is not None:
            count += 1
            yield from label_selector(peer[key], f"{path}.{key}")
    if peer.get("ipBlock") is not None:
        count += 1
        yield from _block(peer["ipBlock"], f"{path}.ipBlock")
    if not count:
        yield required(path, "must specify a peer")
    elif count > 1 and peer.get("ipBlock") is not None:
        yield forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: Object, path: str) -> Iterator[Fault]:
    cidr = block.get("cidr", "")
    if not cidr:
        yield required(f"{path}.cidr")
        return
    network = names.parsed_cidr(cidr)
    if network is None:
        yield invalid(f"{path}.cidr", cidr, names.CIDR)
        return
    for at, text in numbered(block.get("except")):
        here = f"{path}.except[{at}]"
        inner = names.parsed_cidr(text)
        if inner is None:
            yield invalid(here, text, names.CIDR)
        elif inner.version != network.version or inner == network or not inner.subnet_of(network):  # type: ignore[arg-type]
            yield invalid(here, text, "must be a strict subset of `cidr`")


# Addresses of services.


def service_cidr(obj: Object) -> Iterator[Fault]:
    cidrs = (obj.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        yield required("spec.cidrs", "at least one CIDR required")
    if len(cidrs) > 2:
        yield invalid("spec", obj.get("spec"), "may only hold up to 2 values")
    families = []
    for at, text in enumerate(cidrs):
        network = names.parsed_cidr(text)
        if network is None:
            yield invalid(f"spec.cidrs[{at}]", text, names.CIDR)
        else:
            families.append(network.version)
    if len(cidrs) == 2 and len(families) == 2 and families[0] == families[1]:
        yield invalid(
            "spec",
            obj.get("spec"),
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        )


def ip_address(obj: Object) -> Iterator[Fault]:
    name = obj["metadata"].get("name", "")
    address = names.parsed_address(name)
    if address is None:
        yield invalid("metadata.name", name, names.ADDRESS)
    elif str(address) != name:
        yield invalid("metadata.name", name, f'must be in canonical form ("{address}")')
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        yield required("spec.parentRef")
        return
    for key in ("resource", "name"):
        if not parent.get(key):
            yield required(f"spec.parentRef.{key}")
        else:
            yield from each(f"spec.parentRef.{key}", parent[key], names.path_segment(parent[key]))
