"""Services as nftables rules: from Services and EndpointSlices to a ruleset, and from one ruleset to the next. Pure.

The layout is that of kube-proxy's nftables mode: a verdict map finds the service's chain, that picks an endpoint's
chain at random, that rewrites the destination. Packets that must come back the same way (from outside the pods, through
node ports, from a pod to itself) are marked and masqueraded. IPv4 only. Rules are nft's JSON.
Source: https://kubernetes.io/docs/reference/networking/virtual-ips/ and `man 5 libnftables-json`
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from heeler.network.nft import (
    PORT,
    PROTOCOL,
    SOURCE,
    TARGET,
    Rule,
    Ruleset,
    goto,
    jump,
    match,
    meta,
    payload,
    prefix,
    vmap,
)
from heeler.objects.value import Object, labels_of, name_of, namespace_of
from heeler.workloads.endpoints import SERVICE_NAME

#: Marks of packets that are to be masqueraded, and that are to be dropped (a nat chain can't).
MARK, DROP = 0x4000, 0x8000


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    ip: str
    port: int
    local: bool = False
    #: It ends, but still serves: taken where no other one is left.
    ending: bool = False
    #: Whether its hints name this node (trafficDistribution: PreferSameNode); None without hints of nodes.
    near: bool | None = None


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service with where it leads."""

    namespace: str
    service: str
    name: str
    protocol: str
    port: int
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...] = ()
    node_port: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    #: internalTrafficPolicy and externalTrafficPolicy are Local.
    internal_local: bool = False
    external_local: bool = False
    #: Seconds for which a client stays with its endpoint; 0 for none.
    affinity: int = 0

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.service}:{self.name}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The node's part: `relay` replaces the endpoints of default/kubernetes where the API server is on the host."""

    table: str
    node: str
    cluster_cidr: str
    service_cidr: str
    fabric_cidr: str
    uplink: bool
    relay: Endpoint | None = None
    #: The cluster's DNS address where the node itself answers at it ("": it doesn't).
    dns: str = ""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A pod's container port that is asked for on the node's own address."""

    protocol: str
    port: int
    endpoint: Endpoint


def service_ports(services: Sequence[Object], slices: Sequence[Object], settings: Settings) -> list[ServicePort]:
    """Every port of every service that has an address, in a fixed order."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for piece in slices:
        owner = labels_of(piece).get(SERVICE_NAME, "")
        if owner and piece.get("addressType", "IPv4") == "IPv4":
            by_service.setdefault((namespace_of(piece), owner), []).append(piece)
    out = []
    for service in sorted(services, key=lambda s: (namespace_of(s), name_of(s))):
        spec = service.get("spec") or {}
        ips = [
            ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip and ip != "None" and ":" not in ip
        ]
        if not ips or spec.get("type") == "ExternalName" or (settings.dns in ips and not spec.get("selector")):
            continue
        pieces = by_service.get((namespace_of(service), name_of(service)), [])
        for port in spec.get("ports") or []:
            out.append(_service_port(service, spec, port, tuple(ips), pieces, settings))
    return out


def _service_port(
    service: Object, spec: Object, port: Object, ips: tuple[str, ...], pieces: Sequence[Object], settings: Settings
) -> ServicePort:
    namespace, name, label = namespace_of(service), name_of(service), str(port.get("name") or "")
    protocol = str(port.get("protocol") or "TCP").lower()
    endpoints = _endpoints(pieces, label, settings.node)
    if settings.relay is not None and (namespace, name) == ("default", "kubernetes"):
        endpoints = (settings.relay,)
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    balanced = [e["ip"] for e in ingress if e.get("ip") and e.get("ipMode") != "Proxy"]
    external = [*(spec.get("externalIPs") or []), *balanced]
    seconds = 0
    if spec.get("sessionAffinity") == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        seconds = int(config.get("timeoutSeconds") or 10800)
    return ServicePort(
        namespace,
        name,
        label,
        protocol,
        int(port["port"]),
        ips,
        tuple(ip for ip in external if ":" not in ip),
        int(port.get("nodePort") or 0),
        endpoints,
        spec.get("internalTrafficPolicy") == "Local",
        spec.get("externalTrafficPolicy") == "Local",
        seconds,
    )


def _endpoints(pieces: Sequence[Object], label: str, node: str) -> tuple[Endpoint, ...]:
    """Ready endpoints, and those that still serve while they end."""
    found: dict[tuple[str, int], Endpoint] = {}
    for piece in pieces:
        numbers = [
            int(p["port"]) for p in piece.get("ports") or [] if str(p.get("name") or "") == label and p.get("port")
        ]
        for entry in piece.get("endpoints") or []:
            conditions = entry.get("conditions") or {}
            for number in numbers:
                for ip in (entry.get("addresses") or [])[:1]:
                    ready = conditions.get("ready") is not False
                    if ready or (conditions.get("serving") and conditions.get("terminating")):
                        known = found.get((ip, number))
                        if known is None or known.ending:
                            found[(ip, number)] = Endpoint(
                                ip, number, entry.get("nodeName") == node, not ready, _near(entry, node)
                            )
    return tuple(sorted(found.values()))


def usable(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Those that are ready; where there is none, those that still serve while they end. Hints count if all have them."""
    found = tuple(e for e in endpoints if not e.ending) or tuple(endpoints)
    if all(e.near is not None for e in found):
        return tuple(e for e in found if e.near) or found
    return found


def _near(entry: Object, node: str) -> bool | None:
    hints = (entry.get("hints") or {}).get("forNodes")
    return any(hint.get("name") == node for hint in hints) if hints else None


def usable_addresses(pieces: Sequence[Object], label: str) -> tuple[tuple[str, int], ...]:
    """The (address, port) pairs behind a service's port that take requests, by their slices."""
    return tuple((e.ip, e.port) for e in usable(_endpoints(pieces, label, "")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


NEW = match({"ct": {"key": "state"}}, "new", "in")
BY_ADDRESS = {"concat": [TARGET, PROTOCOL, PORT]}
BY_PORT = {"concat": [PROTOCOL, PORT]}
LOCAL = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")


def ruleset(ports: Sequence[ServicePort], host_ports: Sequence[HostPort], settings: Settings) -> Ruleset:
    """The whole table for these services."""
    out = Ruleset()
    _frame(out, settings)
    for port in ports:
        _port(out, port, settings)
    for wanted in host_ports:
        chain = f"hp_{_digest(repr(wanted))}"
        out.chains[chain] = [[jump("mark_masq")], *_to(out, wanted.endpoint, wanted.protocol, "")]
        out.elements["service_nodeports"].setdefault((wanted.protocol, wanted.port), chain)
    return out


def _frame(out: Ruleset, settings: Settings) -> None:
    by_address = {"type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict"}
    by_port = {"type": ["inet_proto", "inet_service"], "map": "verdict"}
    for name in ("service_ips", "no_endpoint_ips"):
        out.sets[name], out.elements[name] = by_address, {}
    for name in ("service_nodeports", "no_endpoint_nodeports"):
        out.sets[name], out.elements[name] = by_port, {}
    not_loopback = match(TARGET, prefix("127.0.0.0/8"), "!=")
    services = [
        [vmap(BY_ADDRESS, "@service_ips")],
        [LOCAL, not_loopback, vmap(BY_PORT, "@service_nodeports")],
    ]
    without = [
        [NEW, vmap(BY_ADDRESS, "@no_endpoint_ips")],
        [NEW, LOCAL, vmap(BY_PORT, "@no_endpoint_nodeports")],
    ]
    unknown: Rule = [NEW, match(TARGET, prefix(settings.service_cidr)), goto("refuse")]
    marked = {"&": [meta("mark"), MARK]}
    masquerade: list[Rule] = [
        [
            match(marked, 0, "!="),
            {"mangle": {"key": meta("mark"), "value": {"^": [meta("mark"), MARK]}}},
            {"masquerade": {"flags": "fully-random"}},
        ]
    ]
    if settings.uplink:
        inside = {"set": [prefix(c) for c in (settings.cluster_cidr, settings.service_cidr, settings.fabric_cidr)]}
        masquerade.append(
            [match(SOURCE, prefix(settings.cluster_cidr)), match(TARGET, inside, "!="), {"masquerade": None}]
        )
    out.chains |= {
        "services": services,
        "without": without,
        "mark_masq": [[{"mangle": {"key": meta("mark"), "value": {"|": [meta("mark"), MARK]}}}]],
        "mark_drop": [[{"mangle": {"key": meta("mark"), "value": {"|": [meta("mark"), DROP]}}}]],
        "dropped": [[match({"&": [meta("mark"), DROP]}, 0, "!="), {"drop": None}]],
        "refuse": [
            [match(PROTOCOL, "tcp"), {"reject": {"type": "tcp reset"}}],
            [{"reject": {"type": "icmp", "expr": "port-unreachable"}}],
        ],
    }

    def base(name: str, kind: str, hook: str, priority: int, rules: list[Rule]) -> None:
        out.bases[name] = {"type": kind, "hook": hook, "prio": priority, "policy": "accept"}
        out.chains[name] = rules

    base("nat_prerouting", "nat", "prerouting", -100, [[jump("services")]])
    base("nat_output", "nat", "output", -100, [[jump("services")]])
    base("nat_postrouting", "nat", "postrouting", 100, masquerade)
    base("filter_input", "filter", "input", -110, [[jump("dropped")], [jump("without")]])
    base("filter_forward", "filter", "forward", -110, [[jump("dropped")], [jump("without")], unknown])
    answered: list[Rule] = []
    quiet: list[Rule] = []
    if settings.dns:
        answered.append([match(TARGET, settings.dns), {"accept": None}])
        # While the agent starts anew an asker is to wait and ask again, instead of being told that nobody is here.
        unreachable = match(payload("icmp", "type"), "destination-unreachable")
        quiet.append([match(SOURCE, settings.dns), unreachable, {"drop": None}])
    base("filter_output", "filter", "output", -110, [[jump("without")], *quiet])
    # After the destinations of known services have been rewritten.
    base("filter_output_late", "filter", "output", 0, [*answered, unknown])


def _port(out: Ruleset, port: ServicePort, settings: Settings) -> None:
    local = usable([e for e in port.endpoints if e.local])
    every = usable(port.endpoints)
    inner = local if port.internal_local else every
    outside = [(ip, port.protocol, port.port) for ip in port.external_ips]
    if inner:
        # Pods that ask keep their address; what comes from elsewhere must come back the same way.
        foreign: Rule = [match(SOURCE, prefix(settings.cluster_cidr), "!="), jump("mark_masq")]
        chain = _service_chain(out, port, inner, "svc", [foreign])
        for ip in port.cluster_ips:
            out.elements["service_ips"][(ip, port.protocol, port.port)] = chain
    else:
        for ip in port.cluster_ips:
            out.elements["no_endpoint_ips"][(ip, port.protocol, port.port)] = "refuse"
    if every and (outside or port.node_port):
        if port.external_local:
            # What comes from the cluster itself, pods and nodes, is not held to the node's own endpoints.
            whole = _service_chain(out, port, every, "all", [])
            local_source = match({"fib": {"result": "type", "flags": ["saddr"]}}, "local")
            first: list[Rule] = [
                [match(SOURCE, prefix(settings.cluster_cidr)), goto(whole)],
                [local_source, jump("mark_masq")],
                [local_source, goto(whole)],
            ]
            chain = _service_chain(out, port, local, "ext", first)
        else:
            chain = _service_chain(out, port, every, "ext", [[jump("mark_masq")]])
        for key in outside:
            out.elements["service_ips"][key] = chain
        if port.node_port:
            out.elements["service_nodeports"][(port.protocol, port.node_port)] = chain
    elif not every:
        for key in outside:
            out.elements["no_endpoint_ips"][key] = "refuse"
        if port.node_port:
            out.elements["no_endpoint_nodeports"][(port.protocol, port.node_port)] = "refuse"


def _service_chain(out: Ruleset, port: ServicePort, endpoints: Sequence[Endpoint], kind: str, first: list[Rule]) -> str:
    """A chain that picks one of the endpoints; its name."""
    name = f"{kind}_{_digest(port.key)}"
    rules = list(first)
    chains = []
    for endpoint in endpoints:
        chain = f"ep_{_digest(f'{port.key}/{endpoint.ip}:{endpoint.port}')}"
        affinity = ""
        if port.affinity:
            affinity = f"aff_{chain[3:]}"
            out.sets[affinity] = {"type": "ipv4_addr", "flags": ["timeout"], "timeout": port.affinity}
            rules.append([match(SOURCE, f"@{affinity}"), goto(chain)])
        out.chains[chain] = _to(out, endpoint, port.protocol, affinity)
        chains.append(chain)
    if not chains:  # traffic from outside that only the node's own endpoints may take, and there is none
        rules.append([jump("mark_drop")])
    elif len(chains) == 1:
        rules.append([goto(chains[0])])
    else:
        pick = {"set": [[number, goto(chain)] for number, chain in enumerate(chains)]}
        rules.append([vmap({"numgen": {"mode": "random", "mod": len(chains), "offset": 0}}, pick)])
    out.chains[name] = rules
    return name


def _to(out: Ruleset, endpoint: Endpoint, protocol: str, affinity: str) -> list[Rule]:
    """An endpoint's rules: a pod that reaches itself is masqueraded; then the destination is rewritten."""
    rules: list[Rule] = [[match(SOURCE, endpoint.ip), jump("mark_masq")]]
    if affinity:
        rules.append([{"set": {"op": "update", "elem": SOURCE, "set": f"@{affinity}"}}])
    rules.append([match(PROTOCOL, protocol), {"dnat": {"addr": endpoint.ip, "port": endpoint.port}}])
    return rules
