"""NetworkPolicies as nftables rules of one node: from policies, pods and namespaces to a ruleset. Pure.

A pod that a policy selects is closed in that direction but for what its policies allow together. Both ends are held: the
source's node looks at egress, the target's node at ingress. What is established goes on; a pod reaches itself, and its own
node reaches it and is reached by it (probes), as upstream has it. The cluster's resolver counts as a pod of kube-system
with the label k8s-app=kube-dns. Peers are sets of addresses, so that pods come and go without a change of rules.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from heeler.network.nft import PORT, PROTOCOL, SOURCE, TARGET, Json, Rule, Ruleset, match, prefix, vmap
from heeler.objects import selectors
from heeler.objects.value import Object, labels_of, meta, name_of, namespace_of

#: The mark of packets that came in through an Ingress or a port published on the host: they are held to policies as if
#: from outside.
OUTSIDE = 0x10000
ACCEPT: Json = {"accept": None}
ESTABLISHED: Json = {
    "match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": {"set": ["established", "related"]}}
}
INGRESS, EGRESS = "Ingress", "Egress"
#: How the resolver is known to policies.
DNS_NAMESPACE, DNS_LABELS = "kube-system", {"k8s-app": "kube-dns"}


@dataclass(frozen=True, slots=True)
class Pod:
    """What policies know of a pod. `ports` are (name, protocol, number) of its containers' named ports."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    ip: str
    node: str
    ports: tuple[tuple[str, str, int], ...] = ()


def pod_of(obj: Object) -> Pod | None:
    """A pod with a network of its own that has an address and has not ended; else None."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    ips = [entry.get("ip", "") for entry in status.get("podIPs") or []] or [status.get("podIP") or ""]
    ip = next((found for found in ips if found and ":" not in found), "")
    containers = [
        *(spec.get("containers") or []),
        *(c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"),
    ]
    ports = tuple(
        (str(p["name"]), str(p.get("protocol") or "TCP").lower(), int(p["containerPort"]))
        for c in containers
        for p in c.get("ports") or []
        if p.get("name")
    )
    if not ip:
        return None
    uid = str(meta(obj).get("uid", ""))
    return Pod(namespace_of(obj), name_of(obj), uid, labels_of(obj), ip, str(spec.get("nodeName") or ""), ports)


def resolver(address: str) -> Pod:
    """The cluster's resolver, as policies see it."""
    ports = (("dns", "udp", 53), ("dns-tcp", "tcp", 53))
    return Pod(DNS_NAMESPACE, "kube-dns", "", DNS_LABELS, address, "", ports)


@dataclass(slots=True)
class _World:
    pods: Sequence[Pod]
    namespaces: Mapping[str, Mapping[str, str]]
    out: Ruleset
    #: selector -> the pods that it means.
    chosen: dict[bytes, tuple[Pod, ...]] = field(default_factory=dict)


def ruleset(
    policies: Sequence[Object],
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
    node: str,
    dns: str = "",
) -> Ruleset:
    """The whole table of `node`. `namespaces` are their labels; `dns` is the address of the cluster's resolver."""
    known = [*pods, resolver(dns)] if dns else list(pods)
    world = _World(sorted(known, key=lambda pod: (pod.namespace, pod.name, pod.ip)), namespaces, Ruleset())
    _frame(world.out, dns)
    ordered = sorted(policies, key=lambda policy: (namespace_of(policy), name_of(policy)))
    for pod in world.pods:
        if pod.node != node:
            continue
        mine = [p for p in ordered if namespace_of(p) == pod.namespace and _selects(p["spec"].get("podSelector"), pod)]
        for direction, verdicts in ((EGRESS, "egress_pods"), (INGRESS, "ingress_pods")):
            held = [p for p in mine if direction in (p["spec"].get("policyTypes") or [INGRESS])]
            if held:
                rules = [rule for policy in held for rule in _rules(world, policy, pod, direction)]
                world.out.elements[verdicts][(pod.ip,)] = _chain(world.out, direction, rules)
                world.out.elements["self_pods"][(pod.ip, pod.ip)] = ""
    return world.out


def _frame(out: Ruleset, dns: str) -> None:
    for name in ("egress_pods", "ingress_pods"):
        out.sets[name], out.elements[name] = {"type": "ipv4_addr", "map": "verdict"}, {}
    out.sets["self_pods"], out.elements["self_pods"] = {"type": ["ipv4_addr", "ipv4_addr"]}, {}
    itself = [match({"concat": [SOURCE, TARGET]}, "@self_pods"), ACCEPT]
    leaving: Rule = [vmap(SOURCE, "@egress_pods")]
    arriving: Rule = [vmap(TARGET, "@ingress_pods")]
    published = match({"&": [{"meta": {"key": "mark"}}, OUTSIDE]}, 0, "!=")
    # One after the other: what one of them accepts goes on to the next, what one drops is dropped.
    for name, hook, priority, rules in (
        ("egress", "forward", 0, [leaving]),
        ("ingress", "forward", 1, [arriving]),
        ("ingress_published", "output", 1, [[published, *arriving]]),
        ("egress_dns", "input", 0, [[match(TARGET, dns), *leaving]] if dns else []),
    ):
        out.bases[name] = {"type": "filter", "hook": hook, "prio": priority, "policy": "accept"}
        out.chains[name] = [[ESTABLISHED, ACCEPT], itself, *rules] if rules else []


@lru_cache(4096)
def _parsed(text: bytes) -> selectors.LabelSelector:
    return selectors.of_object(orjson.loads(text))


def _matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    return _parsed(orjson.dumps(selector or {}, option=orjson.OPT_SORT_KEYS)).matches(labels)


def _selects(selector: Object | None, pod: Pod) -> bool:
    return _matches(selector, pod.labels)


def _chain(out: Ruleset, direction: str, rules: list[Rule]) -> str:
    """A chain that lets pass what the rules say and drops the rest; the same for pods with the same rules."""
    name = f"{'eg' if direction == EGRESS else 'in'}_{_digest(rules)}"
    out.chains[name] = [*rules, [{"drop": None}]]
    return name


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _rules(world: _World, policy: Object, pod: Pod, direction: str) -> list[Rule]:
    side, peers_key, address = ("ingress", "from", SOURCE) if direction == INGRESS else ("egress", "to", TARGET)
    out: list[Rule] = []
    for entry in policy["spec"].get(side) or []:
        peers, ports = entry.get(peers_key) or [], entry.get("ports") or []
        named = [p for p in ports if isinstance(p.get("port"), str)] if direction == EGRESS else []
        plain = _numbers([p for p in ports if p not in named], pod)
        for peer in _peers(world, namespace_of(policy), peers, address):
            out += [[*peer, *port, ACCEPT] for port in (plain if ports else [[]])]
        if named:
            out += _named(world, namespace_of(policy), peers, named)
    return out


def _numbers(ports: Sequence[Object], pod: Pod) -> list[Rule]:
    """Matches of ports by number; names are those of the pod's own containers."""
    out: list[Rule] = []
    for port in ports:
        protocol, wanted = str(port.get("protocol") or "TCP").lower(), port.get("port")
        first: Rule = [match(PROTOCOL, protocol)]
        if wanted is None:
            out.append(first)
        elif isinstance(wanted, str):
            numbers = [n for name, kind, n in pod.ports if (name, kind) == (wanted, protocol)]
            out += [[*first, match(PORT, number)] for number in dict.fromkeys(numbers)]
        elif port.get("endPort") and int(port["endPort"]) > wanted:
            out.append([*first, match(PORT, {"range": [wanted, int(port["endPort"])]})])
        else:
            out.append([*first, match(PORT, wanted)])
    return out


def _peers(world: _World, namespace: str, peers: Sequence[Object], address: Json) -> list[Rule]:
    """Matches of the other end, one a peer; without peers everybody."""
    if not peers:
        return [[]]
    out: list[Rule] = []
    for peer in peers:
        block = peer.get("ipBlock")
        if block is None:
            out.append([match(address, f"@{_addresses(world, namespace, peer)}")])
        elif ":" not in block["cidr"]:
            first: Rule = [match(address, prefix(block["cidr"]))]
            excepted = [prefix(cidr) for cidr in block.get("except") or []]
            out.append([*first, *([match(address, {"set": excepted}, "!=")] if excepted else [])])
    return out


def _chosen(world: _World, namespace: str, peer: Object) -> tuple[Pod, ...]:
    """The pods that a peer means: of the policy's namespace, or of those that its namespaceSelector selects."""
    spaces = peer.get("namespaceSelector")
    key = orjson.dumps([namespace if spaces is None else "", peer], option=orjson.OPT_SORT_KEYS)
    found = world.chosen.get(key)
    if found is None:
        if spaces is None:
            inside = {namespace}
        else:
            inside = {name for name, labels in world.namespaces.items() if _matches(spaces, labels)}
        found = tuple(p for p in world.pods if p.namespace in inside and _selects(peer.get("podSelector"), p))
        world.chosen[key] = found
    return found


def _addresses(world: _World, namespace: str, peer: Object) -> str:
    """The name of the set with a peer's addresses."""
    spaces = peer.get("namespaceSelector")
    name = f"peer_{_digest([namespace if spaces is None else '', peer])}"
    world.out.sets[name] = {"type": "ipv4_addr"}
    world.out.elements[name] = {(pod.ip,): "" for pod in _chosen(world, namespace, peer)}
    return name


def _named(world: _World, namespace: str, peers: Sequence[Object], ports: Sequence[Object]) -> list[Rule]:
    """Named ports of egress: each target pod says itself which number the name has."""
    everybody: list[Object] = [{"podSelector": {}, "namespaceSelector": {}}]
    pods = [p for peer in peers or everybody if "ipBlock" not in peer for p in _chosen(world, namespace, peer)]
    # Addresses of a block name no ports; pods whose addresses are in it do.
    blocks = [peer["ipBlock"] for peer in peers if "ipBlock" in peer]
    pods += [p for p in world.pods if any(inside(p.ip, block) for block in blocks)]
    wanted = {(str(p["port"]), str(p.get("protocol") or "TCP").lower()) for p in ports}
    found = {(p.ip, kind, number): "" for p in pods for name, kind, number in p.ports if (name, kind) in wanted}
    name = f"ports_{_digest([namespace, list(peers), list(ports)])}"
    world.out.sets[name] = {"type": ["ipv4_addr", "inet_proto", "inet_service"]}
    world.out.elements[name] = found
    key = {"concat": [TARGET, PROTOCOL, PORT]}
    return [[match(key, f"@{name}"), ACCEPT]]


def inside(ip: str, block: Object) -> bool:
    """Whether an IPv4 address is in an ipBlock and in none of its exceptions."""
    import ipaddress

    address = ipaddress.ip_address(ip)
    if address not in ipaddress.ip_network(block["cidr"], strict=False):
        return False
    return not any(address in ipaddress.ip_network(cidr, strict=False) for cidr in block.get("except") or [])
