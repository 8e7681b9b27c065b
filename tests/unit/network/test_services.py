"""Services as nftables rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.network import balancers, conntrack, health, nft, publish, services, transaction
from heeler.network.expose import Exposure
from heeler.objects.value import Object

SETTINGS = services.Settings("heeler", "n1", "10.244.0.0/16", "10.96.0.0/12", "100.64.0.0/24", False)


def service(name: str, ip: str = "10.96.0.5", ports: list[Object] | None = None, **spec: Any) -> Object:
    given_ports = ports or [{"name": "http", "port": 80}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": ip, "ports": given_ports, **spec}}


def piece(name: str, *endpoints: Object, port: int = 8080, label: str = "http") -> Object:
    return {
        "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": label, "port": port, "protocol": "TCP"}],
    }


def endpoint(ip: str, node: str = "n1", **conditions: bool) -> Object:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions or {"ready": True}}


def rules(found: list[Object], slices: list[Object], settings: services.Settings = SETTINGS) -> nft.Ruleset:
    return services.ruleset(services.service_ports(found, slices, settings), [], settings)


def targets(made: nft.Ruleset, chain: str) -> list[str]:
    """Where a service's chain leads in the end: "ip:port"."""
    out = []
    for rule in made.chains[chain]:
        for step in rule:
            if "goto" in step:
                out += targets(made, step["goto"]["target"])
            if "vmap" in step:
                out += [t for _, go in step["vmap"]["data"]["set"] for t in targets(made, go["goto"]["target"])]
            if "dnat" in step:
                out.append(f"{step['dnat']['addr']}:{step['dnat']['port']}")
    return sorted(set(out))


def test_a_service_leads_to_its_ready_endpoints() -> None:
    slices = [piece("web", endpoint("10.244.0.1"), endpoint("10.244.0.2", ready=False), endpoint("10.244.0.3"))]
    made = rules([service("web")], slices)
    chain = made.elements["service_ips"][("10.96.0.5", "tcp", 80)]
    assert targets(made, chain) == ["10.244.0.1:8080", "10.244.0.3:8080"]


def test_without_ready_endpoints_those_that_end_still_serve() -> None:
    slices = [piece("web", endpoint("10.244.0.1", ready=False, serving=True, terminating=True))]
    made = rules([service("web")], slices)
    assert targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)]) == ["10.244.0.1:8080"]


def test_without_endpoints_a_service_refuses() -> None:
    made = rules([service("web", type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])], [])
    assert made.elements["no_endpoint_ips"] == {("10.96.0.5", "tcp", 80): "refuse"}
    assert made.elements["no_endpoint_nodeports"] == {("tcp", 30080): "refuse"}
    assert made.elements["service_ips"] == {}


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "clusterIP": ""}])
def test_services_without_an_address_have_no_rules(spec: Object) -> None:
    found = service("web")
    found["spec"] |= spec
    assert services.service_ports([found], [piece("web", endpoint("10.244.0.1"))], SETTINGS) == []


def test_a_local_policy_keeps_to_the_nodes_own_endpoints() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    slices = [piece("web", endpoint("10.244.0.1"), endpoint("10.244.1.1", node="n2"))]
    made = rules([service("web", type="NodePort", ports=ports, externalTrafficPolicy="Local")], slices)
    outside = made.elements["service_nodeports"][("tcp", 30080)]
    first = made.chains[outside][:-1]  # for what comes from the cluster's own pods and nodes: every endpoint
    assert {t for r in first for s in r if "goto" in s for t in targets(made, s["goto"]["target"])} == {
        "10.244.0.1:8080",
        "10.244.1.1:8080",
    }
    [last] = [step["goto"]["target"] for step in made.chains[outside][-1]]
    assert targets(made, last) == ["10.244.0.1:8080"]
    inner = made.elements["service_ips"][("10.96.0.5", "tcp", 80)]
    assert targets(made, inner) == ["10.244.0.1:8080", "10.244.1.1:8080"]


def test_the_api_server_is_reached_through_the_relay() -> None:
    relay = services.Settings(
        "heeler", "n1", "10.244.0.0/16", "10.96.0.0/12", "100.64.0.0/24", False, services.Endpoint("100.64.0.10", 6443)
    )
    made = rules([service("kubernetes", "10.96.0.1", [{"name": "https", "port": 443}])], [], relay)
    assert targets(made, made.elements["service_ips"][("10.96.0.1", "tcp", 443)]) == ["100.64.0.10:6443"]


def test_a_client_stays_with_its_endpoint_where_the_service_wants_it() -> None:
    found = service("web", sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    made = rules([found], [piece("web", endpoint("10.244.0.1"), endpoint("10.244.0.2"))])
    affinities = {name: made.sets[name] for name in made.sets if name.startswith("aff_")}
    assert [a["timeout"] for a in affinities.values()] == [60, 60]


def apply(have: dict[str, Any], document: nft.Json) -> None:
    """What nft would make of a transaction: enough of it to compare tables."""
    for command in document["nftables"]:
        [(verb, body)] = command.items()
        [(kind, what)] = body.items()
        if kind == "table":
            if verb == "delete":
                have.clear()
            have.setdefault("sets", {}), have.setdefault("chains", {}), have.setdefault("elements", {})
        elif kind in ("set", "map"):
            if verb == "add":
                assert what["name"] not in have["sets"]
                have["sets"][what["name"]] = {k: v for k, v in what.items() if k not in ("family", "table", "name")}
                have["elements"].setdefault(what["name"], {})
            else:
                assert what["name"] in have["sets"]
                assert f"@{what['name']}" not in repr(have["chains"]), "in use"
                del have["sets"][what["name"]], have["elements"][what["name"]]
        elif kind == "chain":
            name = what["name"]
            if verb == "add":
                have["chains"].setdefault(name, [])
            elif verb == "flush":
                have["chains"][name] = []
            else:
                users = [c for c, found in have["chains"].items() if c != name and f"'{name}'" in repr(found)]
                used = [m for m, found in have["elements"].items() if name in found.values()]
                assert not users and not used, f"{name} is in use by {users}{used}"
                del have["chains"][name]
        elif kind == "rule":
            for step in what["expr"]:
                for jump in ("goto", "jump"):
                    if jump in step:
                        assert step[jump]["target"] in have["chains"]
            have["chains"][what["chain"]].append(what["expr"])
        elif kind == "element":
            for entry in what["elem"]:
                key, chain = (entry[0], entry[1]["goto"]["target"]) if isinstance(entry, list) else (entry, "")
                parts = tuple(key["concat"]) if isinstance(key, dict) else (key,)
                if verb == "add":
                    assert not chain or chain in have["chains"]
                    have["elements"][what["name"]][parts] = chain
                else:
                    del have["elements"][what["name"]][parts]


def table(made: nft.Ruleset) -> dict[str, Any]:
    filled = {name: made.elements.get(name, {}) for name in made.sets}
    return {"sets": made.sets, "chains": made.chains, "elements": filled}


WORLD = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.integers(1, 4), max_size=3),
        st.sampled_from(["ClusterIP", "NodePort"]),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda entry: entry[0],
)


def world(entries: list[tuple[str, list[int], str, bool]]) -> nft.Ruleset:
    found, slices = [], []
    for name, ends, kind, sticky in entries:
        number = ord(name)
        port: Object = {"name": "http", "port": 80}
        if kind == "NodePort":
            port["nodePort"] = 30000 + number
        more = {"sessionAffinity": "ClientIP"} if sticky else {}
        found.append(service(name, f"10.96.0.{number}", [port], type=kind, **more))
        slices.append(piece(name, *(endpoint(f"10.244.0.{e}") for e in sorted(set(ends)))))
    return rules(found, slices)


@given(WORLD, WORLD)
def test_a_delta_leads_to_the_same_table_as_making_it_anew(
    before: list[tuple[str, list[int], str, bool]], after: list[tuple[str, list[int], str, bool]]
) -> None:
    old, new = world(before), world(after)
    have: dict[str, Any] = {}
    apply(have, transaction.full("heeler", old))
    assert have == table(old)
    change = transaction.delta("heeler", old, new)
    if change is None:
        assert table(old) == table(new)
    else:
        apply(have, change)
        assert have == table(new)


def test_node_ports_and_annotations_are_published() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    noted = service("noted", ports=[{"name": "http", "port": 80}, {"name": "tls", "port": 443}])
    noted["metadata"]["annotations"] = {publish.ANNOTATION: "8080, 8443:tls, x:tls"}
    got = publish.targets([service("web", type="NodePort", ports=ports), noted, service("inner")], "192.0.2.1")
    assert got == [
        publish.Target("default", "noted", "http", 8080, "10.96.0.5", 80),
        publish.Target("default", "noted", "tls", 8443, "10.96.0.5", 443),
        publish.Target("default", "web", "http", 30080, "192.0.2.1", 30080, "TCP", publish.NODE_PORT),
    ]


def test_an_annotation_gets_no_low_port_of_the_host_but_others_do() -> None:
    asking = service("web", type="LoadBalancer", ports=[{"name": "http", "port": 80}])
    asking["metadata"]["annotations"] = {publish.ANNOTATION: f"22,443:http,8080,\u00b2,{'9' * 5000}"}
    exposed = [Exposure("Service", "default", "web", "80", 81)]
    got = [(t.host_port, t.reason) for t in publish.targets([asking], "192.0.2.1", exposed)]
    assert got == [(81, publish.EXPOSED), (8080, publish.ANNOTATED), (80, publish.BALANCED)]
    [(told, text)] = publish.refused([asking, service("other")])
    assert told is asking
    assert "not published on port 22, 443 of the host" in text


def test_from_outside_a_local_policy_without_own_endpoints_drops() -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    slices = [piece("web", endpoint("10.244.1.1", node="n2"))]
    made = rules([service("web", type="NodePort", ports=ports, externalTrafficPolicy="Local")], slices)
    assert made.chains[made.elements["service_nodeports"][("tcp", 30080)]][-1] == [nft.jump("mark_drop")]


def test_a_local_policy_takes_the_nodes_ending_endpoints_before_others() -> None:
    slices = [
        piece(
            "web",
            endpoint("10.244.0.1", ready=False, serving=True, terminating=True),
            endpoint("10.244.1.1", node="n2"),
        )
    ]
    made = rules([service("web", internalTrafficPolicy="Local")], slices)
    assert targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)]) == ["10.244.0.1:8080"]
    made = rules([service("web")], slices)
    assert targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)]) == ["10.244.1.1:8080"]


def dns_service(*ends: str) -> list[services.ServicePort]:
    port = {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}
    slices = [{**piece("dns", *map(endpoint, ends), port=53, label="dns")}]
    return services.service_ports([service("dns", ports=[port])], slices, SETTINGS)


def test_udp_flows_to_what_is_gone_are_forgotten_and_no_others() -> None:
    flows = conntrack.stale(dns_service("10.244.0.1", "10.244.0.2"), dns_service("10.244.0.2", "10.244.0.3"))
    assert [" ".join(flow) for flow in flows] == [
        "-p udp --dst-nat 10.244.0.1 --orig-dst 10.96.0.5 --orig-port-dst 53",
        "-p udp --dst-nat 10.244.0.1 --orig-port-dst 30053",
    ]
    first = conntrack.stale(dns_service(), dns_service("10.244.0.1"))
    assert [" ".join(flow) for flow in first] == [
        "-p udp --orig-dst 10.96.0.5 --orig-port-dst 53",
        "-p udp --orig-port-dst 30053",
    ]
    assert conntrack.stale(dns_service("10.244.0.1"), dns_service("10.244.0.1", "10.244.0.2")) == []


def balancer(**status: Any) -> Object:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {**service("web", type="LoadBalancer", ports=ports), "status": status}


def test_a_load_balancer_is_told_where_it_is_and_what_it_cannot_have() -> None:
    [http, _, node_port] = found = publish.targets([balancer()], "192.0.2.1")
    assert [(t.host_port, t.protocol, t.reason) for t in found] == [
        (53, "UDP", publish.BALANCED),
        (80, "TCP", publish.BALANCED),
        (30080, "TCP", publish.NODE_PORT),
    ]
    [change] = balancers.plan([balancer()], {t: t.host_port for t in found})
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    assert change.ingress == [{"ip": "127.0.0.1", "ipMode": "Proxy", "ports": ports}]
    assert balancers.plan([balancer(loadBalancer={"ingress": change.ingress})], {t: t.host_port for t in found}) == []
    [change] = balancers.plan([balancer()], {http: 53, node_port: 30080})
    assert [p.get("error") for p in change.ingress[0]["ports"]] == ["PortTaken", None]
    assert change.taken == (
        "TCP port 80 of 127.0.0.1 is taken (program or Service): it is to be found on 127.0.0.1:30080",
    )


def test_what_is_no_load_balancer_any_more_loses_the_address_and_other_classes_are_left_alone() -> None:
    ours = {"ingress": [{"ip": "127.0.0.1", "ipMode": "Proxy"}]}
    plain = {**service("web"), "status": {"loadBalancer": ours}}
    assert [c.ingress for c in balancers.plan([plain], {})] == [[]]
    other = balancer()
    other["spec"]["loadBalancerClass"] = "example.com/own"
    assert balancers.plan([other], {}) == []
    assert [t.reason for t in publish.targets([other], "192.0.2.1")] == [publish.NODE_PORT]
    # a node must not take the loopback for an address of its own
    assert services.service_ports([plain], [], SETTINGS)[0].external_ips == ()


def test_health_checks_count_the_nodes_own_endpoints() -> None:
    found = service("web", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000)
    assert health.wanted([found, service("other")]) == {31000: ("default", "web")}
    slices = [piece("web", endpoint("10.244.0.1"), endpoint("10.244.1.1", node="n2"))]
    assert health.local_endpoints(services.service_ports([found], slices, SETTINGS)) == {("default", "web"): 1}
    assert health.answer(("default", "web"), 1).startswith(b"HTTP/1.1 200 ")
    assert health.answer(("default", "web"), 0).startswith(b"HTTP/1.1 503 ")


def test_hints_of_nodes_are_followed_where_all_endpoints_have_them() -> None:
    ends = [{**endpoint(f"10.244.{i}.1", node=f"n{i}"), "hints": {"forNodes": [{"name": f"n{i}"}]}} for i in (1, 2)]
    made = rules([service("web")], [piece("web", *ends)])
    assert targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)]) == ["10.244.1.1:8080"]
    made = rules([service("web")], [piece("web", *ends, endpoint("10.244.3.1", node="n3"))])
    assert len(targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)])) == 3
    made = rules([service("web")], [piece("web", ends[1])])
    assert targets(made, made.elements["service_ips"][("10.96.0.5", "tcp", 80)]) == ["10.244.2.1:8080"]
