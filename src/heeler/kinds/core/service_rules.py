"""What is checked of a Service, and what an update may change. https://kubernetes.io/docs/concepts/services-networking/service/"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from heeler.kinds.meta.checks import numbered, one_of, optional_one_of, port_or_name
from heeler.kinds.meta.objectmeta import each, label_rules
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required
from heeler.objects.value import Object

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
FAMILIES = ("IPv4", "IPv6")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
KUBELET_PORT = 10250
MAX_AFFINITY_SECONDS = 86400


def headless(spec: Object) -> bool:
    return spec.get("clusterIPs") == ["None"] or spec.get("clusterIP") == "None"


def rules(service: Object) -> Iterator[Fault]:
    spec = service["spec"]
    path = "spec"
    ports, kind = spec.get("ports") or [], spec.get("type", "")
    if not ports and not headless(spec) and kind != "ExternalName":
        yield required(f"{path}.ports")
    yield from _by_type(spec, kind, path)
    seen: set[str] = set()
    for at, port in numbered(ports):
        yield from _port(port, len(ports) > 1, seen, f"{path}.ports[{at}]")
    yield from label_rules(spec.get("selector"), f"{path}.selector")
    yield from _affinity(spec, path)
    yield from _addresses(spec, path)
    yield from _external_ips(spec, path)
    yield from one_of(kind, TYPES, f"{path}.type")
    if kind == "ClusterIP":
        for at, port in numbered(ports):
            if port.get("nodePort"):
                yield forbidden(f"{path}.ports[{at}].nodePort", "may not be used when `type` is 'ClusterIP'")
    yield from _unique_ports(ports, path)
    yield from _source_ranges(service, path)
    yield from _balanced(spec, kind, path)
    yield from _traffic(spec, kind, path)


def _by_type(spec: Object, kind: str, path: str) -> Iterator[Fault]:
    if kind == "LoadBalancer":
        for at, port in numbered(spec.get("ports")):
            if port.get("port") == KUBELET_PORT:
                yield invalid(
                    f"{path}.ports[{at}]",
                    port["port"],
                    f"may not expose port {KUBELET_PORT} externally since it is used by kubelet",
                )
    if kind in ("LoadBalancer", "NodePort") and headless(spec):
        yield invalid(f"{path}.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key):
                yield forbidden(f"{path}.{key}", "may not be set for ExternalName services")
        name = spec.get("externalName", "")
        if name:
            yield from each(f"{path}.externalName", name.removesuffix("."), names.subdomain(name.removesuffix(".")))
        else:
            yield required(f"{path}.externalName")


def _port(port: Object, needs_name: bool, seen: set[str], path: str) -> Iterator[Fault]:
    name = port.get("name", "")
    if needs_name and not name:
        yield required(f"{path}.name")
    elif name:
        yield from each(f"{path}.name", name, names.label(name))
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
    yield from each(f"{path}.port", port.get("port", 0), names.port(port.get("port", 0)))
    yield from one_of(port.get("protocol"), PROTOCOLS, f"{path}.protocol")
    yield from port_or_name(port.get("targetPort", 0), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        yield from each(f"{path}.appProtocol", port["appProtocol"], names.qualified(port["appProtocol"]))


def _affinity(spec: Object, path: str) -> Iterator[Fault]:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    yield from one_of(affinity, ("ClientIP", "None"), f"{path}.sessionAffinity")
    here = f"{path}.sessionAffinityConfig"
    if affinity == "ClientIP":
        client = (config or {}).get("clientIP")
        if config is None:
            yield required(here, "when session affinity type is ClientIP")
        elif client is None:
            yield required(f"{here}.clientIP", "when session affinity type is ClientIP")
        elif client.get("timeoutSeconds") is None:
            yield required(f"{here}.clientIP.timeoutSeconds", "when session affinity type is ClientIP")
        elif not 0 < client["timeoutSeconds"] <= MAX_AFFINITY_SECONDS:
            yield invalid(
                f"{here}.clientIP.timeoutSeconds",
                client["timeoutSeconds"],
                f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}",
            )
    elif affinity == "None" and config is not None:
        yield forbidden(here, "must not be set when session affinity is None")


def _addresses(spec: Object, path: str) -> Iterator[Fault]:
    """Cluster addresses, their families and the policy on families."""
    first, given = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if first and given and given[0] != first:
        yield invalid(f"{path}.clusterIPs", given, "first value must match `clusterIP`")
    elif given and not first:
        yield invalid(f"{path}.clusterIPs", given, "must be empty when `clusterIP` is not specified")
    seen: set[str] = set()
    for at, family in numbered(spec.get("ipFamilies")):
        if family not in FAMILIES:
            yield not_supported(f"{path}.ipFamilies[{at}]", family, FAMILIES)
        if family in seen:
            yield duplicate(f"{path}.ipFamilies[{at}]", family)
        seen.add(family)
    yield from optional_one_of(spec.get("ipFamilyPolicy"), POLICIES, f"{path}.ipFamilyPolicy")
    for at, address in numbered(given):
        if address == "None" and len(given) == 1:
            continue
        if address == "None":
            yield invalid(f"{path}.clusterIPs[{at}]", address, "may not be set to None with other IPs")
            continue
        yield from each(f"{path}.clusterIPs[{at}]", address, names.address(address))
    if len(given) > 2:
        yield invalid(f"{path}.clusterIPs", given, "may only hold up to 2 values")


def special_address(text: str, path: str) -> Iterator[Fault]:
    """An address that other machines can reach: not unspecified, loopback, link-local nor multicast."""
    address = names.parsed_address(text)
    if address is None:
        yield invalid(path, text, names.ADDRESS)
        return
    if address.is_unspecified:
        yield invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        yield invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        yield invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if isinstance(address, ipaddress.IPv4Address):
        link_local_group = address in ipaddress.ip_network("224.0.0.0/24")
    else:
        link_local_group = address in ipaddress.ip_network("ff02::/16")
    if link_local_group:
        yield invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def leading_zeros(text: str) -> bool:
    """An IPv4 address with numbers written in a form that some read as octal."""
    parts = text.split(".")
    return (
        len(parts) == 4
        and all(p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts)
        and any(len(p) > 1 and p.startswith("0") for p in parts)
    )


def _external_ips(spec: Object, path: str) -> Iterator[Fault]:
    for at, text in numbered(spec.get("externalIPs")):
        here = f"{path}.externalIPs[{at}]"
        if leading_zeros(text):
            yield invalid(here, text, "must not have leading 0s")
        else:
            yield from special_address(text, here)


def _unique_ports(ports: list[Object], path: str) -> Iterator[Fault]:
    seen: set[tuple[str, int]] = set()
    for at, port in numbered(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            shown = {
                "Name": "",
                "Protocol": key[0],
                "AppProtocol": None,
                "Port": key[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield duplicate(f"{path}.ports[{at}]", shown)
        seen.add(key)
    seen = set()
    for at, port in numbered(ports):
        if not port.get("nodePort"):
            continue
        key = (port.get("protocol", ""), port["nodePort"])
        if key in seen:
            yield duplicate(f"{path}.ports[{at}].nodePort", port["nodePort"])
        seen.add(key)


def _source_ranges(service: Object, path: str) -> Iterator[Fault]:
    spec = service["spec"]
    ranges, here = spec.get("loadBalancerSourceRanges"), f"{path}.LoadBalancerSourceRanges"
    if not ranges:
        return
    if spec.get("type") != "LoadBalancer":
        yield forbidden(here, ONLY_BALANCED)
    for at, text in numbered(ranges):
        if names.parsed_cidr(text.strip()) is None:
            yield invalid(f"{here}[{at}]", text, names.CIDR)


def _balanced(spec: Object, kind: str, path: str) -> Iterator[Fault]:
    ports = spec.get("allocateLoadBalancerNodePorts")
    if kind == "LoadBalancer" and ports is None:
        yield required(f"{path}.allocateLoadBalancerNodePorts")
    if kind != "LoadBalancer" and ports is not None:
        yield forbidden(f"{path}.allocateLoadBalancerNodePorts", ONLY_BALANCED)
    name = spec.get("loadBalancerClass")
    if name is not None:
        if kind != "LoadBalancer":
            yield forbidden(f"{path}.loadBalancerClass", ONLY_BALANCED)
        else:
            yield from each(f"{path}.loadBalancerClass", name, names.qualified(name))


def external(spec: Object) -> bool:
    """The service can be reached from outside of the cluster."""
    return spec.get("type") in ("NodePort", "LoadBalancer") or (
        spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def _traffic(spec: Object, kind: str, path: str) -> Iterator[Fault]:
    policy = spec.get("externalTrafficPolicy", "")
    here = f"{path}.externalTrafficPolicy"
    if policy and not external(spec):
        yield invalid(here, policy, "may only be set for externally-accessible services")
    elif external(spec):
        if not policy:
            yield required(here, "may only be set for externally-accessible services")
        elif policy not in ("Cluster", "Local"):
            yield not_supported(here, policy, ("Cluster", "Local"))
    check = spec.get("healthCheckNodePort", 0)
    if check < 0:
        yield invalid(f"{path}.healthCheckNodePort", check, "must be greater than or equal to 0")
    elif check and not (kind == "LoadBalancer" and policy == "Local"):
        yield invalid(
            f"{path}.healthCheckNodePort",
            check,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )
    inner = spec.get("internalTrafficPolicy")
    if inner is None and kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        yield required(f"{path}.internalTrafficPolicy")
    yield from optional_one_of(inner, ("Cluster", "Local"), f"{path}.internalTrafficPolicy")
    yield from optional_one_of(
        spec.get("trafficDistribution"),
        ("PreferClose", "PreferSameZone", "PreferSameNode"),
        f"{path}.trafficDistribution",
    )


def update_rules(new: Object, old: Object) -> Iterator[Fault]:
    """A changed service: its addresses stay."""
    spec, was = new["spec"], old["spec"]
    yield from _addresses_stay(spec, was, "spec")
    name, before = spec.get("loadBalancerClass"), was.get("loadBalancerClass")
    if spec.get("type") == was.get("type") == "LoadBalancer" and name != before:
        yield invalid("spec.loadBalancerClass", name, "may not change once set")
    yield from rules(new)


def _addresses_stay(spec: Object, was: Object, path: str) -> Iterator[Fault]:
    if spec.get("type") == "ExternalName" or was.get("type") == "ExternalName":
        return
    given, before = spec.get("clusterIPs") or [], was.get("clusterIPs") or []
    if not before or not before[0]:
        return
    if not given or given[0] != before[0]:
        yield invalid(f"{path}.clusterIPs[0]", given, "may not change once set")
        return
    families, families_before = spec.get("ipFamilies") or [], was.get("ipFamilies") or []
    if families and families_before and families[0] != families_before[0]:
        yield invalid(f"{path}.ipFamilies[0]", families, "may not change once set")


def status_rules(new: Object, old: Object) -> Iterator[Fault]:
    """What is checked of a written status."""
    spec = new["spec"]
    for at, row in numbered(((new.get("status") or {}).get("loadBalancer") or {}).get("ingress")):
        here = f"status.loadBalancer.ingress[{at}]"
        if row.get("ip"):
            yield from each(f"{here}.ip", row["ip"], names.address(row["ip"]))
            if spec.get("type") == "LoadBalancer" and row.get("ipMode") is None:
                yield required(f"{here}.ipMode", "must be specified when `ip` is set")
        elif row.get("ipMode") is not None:
            yield forbidden(f"{here}.ipMode", "may not be specified when `ip` is not set")
        if row.get("ipMode") is not None and row["ipMode"] not in ("Proxy", "VIP"):
            yield not_supported(f"{here}.ipMode", row["ipMode"], ("Proxy", "VIP"))
        if row.get("hostname"):
            yield from each(f"{here}.hostname", row["hostname"], names.subdomain(row["hostname"]))
            if names.parsed_address(row["hostname"]):
                yield invalid(f"{here}.hostname", row["hostname"], "must be a DNS name, not an IP address")


def warnings(new: Object, old: Object | None) -> Iterator[str]:
    """Deprecated annotations and fields."""
    spec = new["spec"]
    annotations = new["metadata"].get("annotations") or {}
    hints = "service.kubernetes.io/topology-aware-hints"
    if hints in annotations:
        yield f"annotation {hints} is deprecated, please use service.kubernetes.io/topology-mode instead"
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
    if spec.get("externalIPs"):
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec.get("type") == "ExternalName" and spec.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if spec.get("sessionAffinity") == "ClientIP" and headless(spec):
        yield "spec.SessionAffinity is ignored for headless services"
