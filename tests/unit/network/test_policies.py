"""NetworkPolicies as rules: what the rules of the two nodes let pass is what the documentation says, for any policies."""

from __future__ import annotations

import asyncio
import ipaddress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.network import policies, transaction
from heeler.network.guard import slim
from heeler.network.nft import Ruleset
from heeler.network.policies import Pod
from heeler.objects.value import Object
from tests import policy_model
from tests.policy_model import PORTS, Place
from tests.unit.network.test_services import apply
from tests.unit.network.test_services import table as whole

SPACES = {"x": {"ns": "x"}, "y": {"ns": "y"}}
PLACES = [
    Place(ns, name, f"10.244.{node}.{i + 2}", {"pod": name, **({"odd": "1"} if name != "b" else {})})
    for i, (ns, name, node) in enumerate(
        [("x", "a", 0), ("x", "b", 1), ("x", "c", 0), ("y", "a", 1), ("y", "b", 0), ("y", "c", 1)]
    )
]


def node_of(place: Place) -> str:
    return f"n{place.ip.split('.')[2]}"


NAMED = tuple((name, kind.lower(), number) for (kind, name), number in PORTS.items())
PODS = [Pod(p.namespace, p.name, f"{p.namespace}{p.name}", p.labels, p.ip, node_of(p), NAMED) for p in PLACES]


class Packet(dict[str, Any]):
    """Fields by the names that nft gives them."""


def passes(made: Ruleset, hook: str, packet: Packet) -> bool:
    """What nft would do with a packet: each base chain of the hook in the order of priorities."""
    bases = sorted((b["prio"], name) for name, b in made.bases.items() if b["hook"] == hook)
    return all(_chain(made, name, packet) != "drop" for _, name in bases)


def _chain(made: Ruleset, name: str, packet: Packet) -> str:
    for rule in made.chains[name]:
        verdict = _rule(made, rule, packet)
        if verdict:
            return verdict
    return ""


def _rule(made: Ruleset, rule: list[Object], packet: Packet) -> str:
    for step in rule:
        [(kind, body)] = step.items()
        if kind == "match":
            if not _match(made, body, packet):
                return ""
        elif kind == "vmap":
            chain = made.elements[body["data"][1:]].get((_value(body["key"], packet),))
            return _chain(made, chain, packet) if chain else ""
        else:
            return str(kind)
    return ""


def _value(left: Object, packet: Packet) -> Any:
    [(kind, body)] = left.items()
    if kind == "payload":
        return packet[body["field"]]
    if kind == "meta":
        return packet.get(body["key"], 0)
    if kind == "ct":
        return packet["state"]
    if kind == "&":
        return _value(body[0], packet) & body[1]
    assert kind == "concat"
    return tuple(_value(part, packet) for part in body)


def _match(made: Ruleset, body: Object, packet: Packet) -> bool:
    value = _value(body["left"], packet)
    found = _holds(made, value, body["right"])
    return found != (body["op"] == "!=")


def _holds(made: Ruleset, value: Any, right: Any) -> bool:
    if isinstance(right, str) and right.startswith("@"):
        return (value if isinstance(value, tuple) else (value,)) in made.elements[right[1:]]
    if isinstance(right, dict) and "set" in right:
        return any(_holds(made, value, one) for one in right["set"])
    if isinstance(right, dict) and "prefix" in right:
        return ipaddress.ip_address(value) in ipaddress.ip_network(
            f"{right['prefix']['addr']}/{right['prefix']['len']}"
        )
    if isinstance(right, dict):
        return bool(right["range"][0] <= value <= right["range"][1])
    return bool(value == right)


def compiled(found: list[Object], dns: str = "") -> dict[str, Ruleset]:
    return {node: policies.ruleset(found, PODS, SPACES, node, dns) for node in ("n0", "n1")}


def packet(source: str, target: str, protocol: str = "tcp", port: int = 80, **more: Any) -> Packet:
    return Packet(saddr=source, daddr=target, l4proto=protocol, dport=port, state="new", **more)


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_what_passes_is_what_the_documentation_says(seed: int, count: int) -> None:
    found = policy_model.draw(Random(seed), PLACES, count)
    made = compiled(found)
    for a in PLACES:
        for b in PLACES:
            for protocol, port in policy_model.PROBES:
                sent = packet(a.ip, b.ip, protocol.lower(), port)
                got = all(passes(made[node], "forward", sent) for node in {node_of(a), node_of(b)})
                assert got == policy_model.allowed(found, SPACES, a, b, protocol, port), (a, b, protocol, port, found)


@given(st.integers(0, 2**32), st.integers(0, 4), st.integers(0, 4))
def test_a_delta_leads_to_the_same_table_as_making_it_anew(seed: int, before: int, after: int) -> None:
    random = Random(seed)
    old, new = (compiled(policy_model.draw(random, PLACES, count))["n0"] for count in (before, after))
    have: dict[str, Any] = {}
    apply(have, transaction.full("t", old))
    change = transaction.delta("t", old, new)
    if change is not None:
        apply(have, change)
    assert have == whole(new)


def policy(**spec: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": "x"}, "spec": {"podSelector": {}, **spec}}


def test_what_is_established_goes_on_and_nodes_reach_their_pods() -> None:
    made = compiled([policy(policyTypes=["Ingress", "Egress"])])["n0"]
    pod = PLACES[0].ip
    assert not passes(made, "forward", packet("192.0.2.1", pod))
    assert passes(made, "forward", packet("192.0.2.1", pod) | {"state": "established"})
    assert passes(made, "output", packet("100.64.0.10", pod))
    assert passes(made, "input", packet(pod, "100.64.0.10"))


def test_what_is_published_on_the_host_comes_from_outside() -> None:
    closed, opened = policy(policyTypes=["Ingress"]), policy(ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])
    sent = packet("100.64.0.10", PLACES[0].ip, mark=policies.OUTSIDE)
    assert not passes(compiled([closed])["n0"], "output", sent)
    assert passes(compiled([opened])["n0"], "output", sent)


def test_the_resolver_is_a_pod_of_kube_system() -> None:
    closed = policy(policyTypes=["Egress"])
    rule = {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]}
    sent = packet(PLACES[0].ip, "10.96.0.10", "udp", 53)
    spaces = {**SPACES, "kube-system": {}}

    def made(*found: Object) -> Ruleset:
        return policies.ruleset(found, PODS, spaces, "n0", "10.96.0.10")

    assert not passes(made(closed), "input", sent)
    assert passes(made(closed, policy(policyTypes=["Egress"], egress=[rule])), "input", sent)
    named = {**rule, "ports": [{"port": "dns", "protocol": "UDP"}]}
    assert passes(made(policy(policyTypes=["Egress"], egress=[named])), "input", sent)
    assert not passes(made(policy(policyTypes=["Egress"], egress=[named])), "input", sent | {"dport": 54})


def test_pods_with_the_same_rules_share_a_chain_and_come_and_go_without_a_change_of_rules() -> None:
    found = [policy(ingress=[{"from": [{"podSelector": {}}]}])]
    made = compiled(found)["n0"]
    assert len(set(made.elements["ingress_pods"].values())) == 1
    fewer = policies.ruleset(found, [p for p in PODS if p.name != "b"], SPACES, "n0")
    assert fewer.chains == made.chains and fewer.elements != made.elements


@pytest.mark.parametrize(
    ("spec", "status"),
    [({"hostNetwork": True}, {"podIP": "10.0.0.1"}), ({}, {"podIP": "10.0.0.1", "phase": "Succeeded"}), ({}, {})],
)
def test_some_pods_have_no_network_of_their_own(spec: Object, status: Object) -> None:
    assert policies.pod_of({"metadata": {"name": "p", "namespace": "x"}, "spec": spec, "status": status}) is None


def test_what_is_kept_of_a_pod_says_the_same_to_policies() -> None:
    containers = [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80}]}]
    full = {
        "metadata": {
            "name": "p",
            "namespace": "x",
            "uid": "u",
            "labels": {"a": "b"},
            "resourceVersion": "1",
            "managedFields": [],
        },
        "spec": {"nodeName": "n0", "containers": containers},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    }
    assert policies.pod_of(slim(full)) == policies.pod_of(full) != None  # noqa: E711


def test_a_pod_waits_until_the_rules_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from heeler.base.clock import SystemClock
    from heeler.network import guard
    from heeler.network.follow import Mirror
    from tests.containers.fake_api import FakeApi

    applied: list[Ruleset] = []

    async def record(self: Any, wanted: Ruleset) -> bool:
        applied.append(wanted)
        return True

    monkeypatch.setattr(guard.Table, "apply", record)

    async def main() -> None:
        api = FakeApi()
        api.put("namespaces", {"metadata": {"name": "x"}})
        api.put("networkpolicies", policy(policyTypes=["Ingress"]))
        known: list[guard.Guard] = []
        resource = guard.PODS._replace(resource="namespaces")
        spaces = Mirror(api, resource, SystemClock(), lambda old, new: None, synced=lambda: known[0].namespaces_known())
        found = guard.Guard(api, SystemClock(), policies, "n0", spaces, "")  # type: ignore[arg-type]
        known.append(found)
        tasks = [asyncio.ensure_future(found.run()), asyncio.ensure_future(spaces.run())]
        pod: Object = {"metadata": {"name": "a", "namespace": "x", "uid": "u"}, "spec": {"containers": []}}
        await asyncio.wait_for(found.admit(pod, ["10.0.0.5"]), 10)
        assert ("10.0.0.5",) in applied[-1].elements["ingress_pods"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
