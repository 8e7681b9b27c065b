"""NetworkPolicy as the documentation tells it, written apart from the product: who may talk to whom.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

Object = dict[str, Any]

#: Named ports that every pod of the model has.
PORTS = {("TCP", "http"): 80, ("TCP", "alt"): 81, ("UDP", "dns"): 80}
PROBES = (("TCP", 80), ("TCP", 81), ("UDP", 80))


@dataclass(frozen=True)
class Place:
    """A pod: its namespace, name, labels and address."""

    namespace: str
    name: str
    ip: str
    labels: dict[str, str] = field(hash=False, default_factory=dict)


def selected(selector: Object, labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        has, values = labels.get(term["key"]), term.get("values") or []
        good = {
            "In": has in values,
            "NotIn": has not in values,
            "Exists": has is not None,
            "DoesNotExist": has is None,
        }
        if not good[term["operator"]]:
            return False
    return True


def allowed(
    policies: list[Object], spaces: dict[str, dict[str, str]], source: Place, target: Place, protocol: str, port: int
) -> bool:
    """Whether a connection comes about: both ends must agree; a pod always reaches itself."""
    if source == target:
        return True
    out = _open(policies, spaces, source, target, "Egress", "egress", "to", protocol, port)
    return out and _open(policies, spaces, target, source, "Ingress", "ingress", "from", protocol, port)


def _open(
    policies: list[Object],
    spaces: dict[str, dict[str, str]],
    own: Place,
    other: Place,
    kind: str,
    rules: str,
    peers: str,
    protocol: str,
    port: int,
) -> bool:
    isolated = False
    for policy in policies:
        spec, namespace = policy["spec"], policy["metadata"]["namespace"]
        if (
            namespace != own.namespace
            or kind not in spec["policyTypes"]
            or not selected(spec["podSelector"], own.labels)
        ):
            continue
        isolated = True
        for rule in spec.get(rules) or []:
            froms, ports = rule.get(peers), rule.get("ports")
            if froms and not any(_is_peer(peer, namespace, spaces, other) for peer in froms):
                continue
            if ports and not any(_is_port(entry, protocol, port) for entry in ports):
                continue
            return True
    return not isolated


def _is_peer(peer: Object, namespace: str, spaces: dict[str, dict[str, str]], other: Place) -> bool:
    if "ipBlock" in peer:
        address = ip_address(other.ip)
        excepted = any(address in ip_network(cidr) for cidr in peer["ipBlock"].get("except") or [])
        return address in ip_network(peer["ipBlock"]["cidr"]) and not excepted
    if "namespaceSelector" in peer:
        if not selected(peer["namespaceSelector"], spaces[other.namespace]):
            return False
    elif other.namespace != namespace:
        return False
    return selected(peer.get("podSelector") or {}, other.labels)


def _is_port(entry: Object, protocol: str, port: int) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return PORTS.get((protocol, wanted)) == port
    return bool(wanted <= port <= entry.get("endPort", wanted))


def table(
    policies: list[Object], spaces: dict[str, dict[str, str]], places: list[Place]
) -> dict[tuple[str, ...], bool]:
    """Every pair of pods and every probe -> whether it passes."""
    return {
        (f"{a.namespace}/{a.name}", f"{b.namespace}/{b.name}", protocol, str(port)): allowed(
            policies, spaces, a, b, protocol, port
        )
        for a in places
        for b in places
        for protocol, port in PROBES
    }


def draw(random: Random, places: list[Place], count: int) -> list[Object]:
    """So many policies by chance, that use every part of the language."""
    return [_policy(random, places, number) for number in range(count)]


def _selector(random: Random) -> Object:
    return random.choice(
        [
            {},
            {"matchLabels": {"pod": random.choice("abc")}},
            {"matchExpressions": [{"key": "pod", "operator": random.choice(["In", "NotIn"]), "values": ["a", "b"]}]},
            {"matchExpressions": [{"key": "odd", "operator": random.choice(["Exists", "DoesNotExist"])}]},
        ]
    )


def _space_selector(random: Random) -> Object:
    return random.choice([{}, {"matchLabels": {"ns": random.choice("xy")}}])


def _peer(random: Random, places: list[Place]) -> Object:
    kind = random.randrange(4)
    if kind == 0:
        return {"podSelector": _selector(random)}
    if kind == 1:
        return {"namespaceSelector": _space_selector(random)}
    if kind == 2:
        return {"podSelector": _selector(random), "namespaceSelector": _space_selector(random)}
    one, other = random.choice(places), random.choice(places)
    block: Object = {
        "cidr": random.choice([f"{one.ip}/32", str(ip_network(f"{one.ip}/30", strict=False)), "0.0.0.0/0"])
    }
    if other.ip != one.ip and ip_address(other.ip) in ip_network(block["cidr"]):
        block["except"] = [f"{other.ip}/32"]
    return {"ipBlock": block}


def _port(random: Random) -> Object:
    protocol = random.choice(["TCP", "TCP", "UDP"])
    options: list[Object] = [{}, {"port": 80}, {"port": 81}, {"port": 80, "endPort": 90}, {"port": 81, "endPort": 81}]
    options.append({"port": "dns" if protocol == "UDP" else random.choice(["http", "alt", "none"])})
    return {"protocol": protocol, **random.choice(options)}


def _policy(random: Random, places: list[Place], number: int) -> Object:
    def rules(peers: str) -> list[Object]:
        out = []
        for _ in range(random.randrange(3)):
            rule: Object = {}
            if random.random() < 0.8:
                rule[peers] = [_peer(random, places) for _ in range(random.randint(1, 2))]
            if random.random() < 0.7:
                rule["ports"] = [_port(random) for _ in range(random.randint(1, 2))]
            out.append(rule)
        return out

    types = random.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    spec: Object = {"podSelector": _selector(random), "policyTypes": types}
    if "Ingress" in types:
        spec["ingress"] = rules("from")
    if "Egress" in types:
        spec["egress"] = rules("to")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"p{number}", "namespace": random.choice("xy")},
        "spec": spec,
    }
