"""NetworkPolicy with real packets: every pair of pods and every probe against the independent model, for many policies."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import dnslib
import pytest

from tests import policy_model
from tests.cluster import LocalCluster
from tests.containers import inside
from tests.policy_model import PORTS, PROBES, Place

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(180)]

SPACES = {"x": {"ns": "x"}, "y": {"ns": "y"}}
#: Seconds until a probe without an answer counts as dropped; until the rules must be what they should be.
PROBE, PATIENCE = 0.25, 20.0
Object = dict[str, Any]
Cells = dict[tuple[str, ...], bool]


def manifest(namespace: str, name: str) -> Object:
    ports = [{"name": n, "protocol": kind, "containerPort": number} for (kind, n), number in PORTS.items()]
    container = {
        "name": "c",
        "image": "busybox:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"],
        "ports": ports,
    }
    labels = {"pod": name, **({"odd": "1"} if name != "b" else {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


class Field:
    """The pods of a cluster, probed by this process from inside their namespaces."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        found = [p for ns in SPACES for p in cluster.get("pods", "-n", ns)["items"]]
        self.places = [
            Place(p["metadata"]["namespace"], p["metadata"]["name"], p["status"]["podIP"], p["metadata"]["labels"])
            for p in found
        ]
        self.paths = inside.namespaces(Path("/run/heeler") / cluster.name)
        self._servers = [inside.tcp_listener(self.paths[p.ip], port) for p in self.places for port in (80, 81)]
        self._udp = {p.ip: inside.udp_socket(self.paths[p.ip], 80) for p in self.places}

    def close(self) -> None:
        for one in [*self._servers, *self._udp.values()]:
            one.close()

    def probe(self) -> Cells:
        """All pairs and probes at once: whether a connection comes about, or a datagram arrives."""
        for taken in self._servers:
            taken.setblocking(False)
        out: Cells = {}
        with selectors.DefaultSelector() as waiting:
            for a in self.places:
                for made, cell, datagram in inside.call(self.paths[a.ip], lambda a=a: self._send(a)):  # type: ignore[misc]
                    out[cell] = False
                    if not datagram:
                        waiting.register(made, selectors.EVENT_WRITE, cell)
                    else:
                        made.close()
            end = time.monotonic() + PROBE
            while waiting.get_map() and (left := end - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    made = key.fileobj
                    assert isinstance(made, socket.socket)
                    out[key.data] = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                    waiting.unregister(made)
                    made.close()
            for key in list(waiting.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
        self._arrived(out)
        for listening in self._servers:
            try:
                while True:
                    listening.accept()[0].close()
            except BlockingIOError:
                pass
        return out

    def _send(self, a: Place) -> list[tuple[socket.socket, tuple[str, ...], bool]]:
        out = []
        for b in self.places:
            for protocol, port in PROBES:
                cell = (f"{a.namespace}/{a.name}", f"{b.namespace}/{b.name}", protocol, str(port))
                kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
                made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
                if protocol == "TCP":
                    made.connect_ex((b.ip, port))
                else:
                    made.sendto("|".join(cell).encode(), (b.ip, port))
                out.append((made, cell, protocol == "UDP"))
        return out

    def _arrived(self, out: Cells) -> None:
        for one in self._udp.values():
            one.setblocking(False)
            try:
                while True:
                    cell = tuple(one.recv(200).decode().split("|"))
                    if cell in out:
                        out[cell] = True
            except BlockingIOError:
                pass

    def put(self, policies: list[Object]) -> None:
        """Replace all policies at one stroke."""
        for namespace in SPACES:
            items = [p for p in policies if p["metadata"]["namespace"] == namespace]
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            words = [
                "apply",
                "-n",
                namespace,
                "--prune",
                "--all",
                "--prune-allowlist=networking.k8s.io/v1/NetworkPolicy",
            ]
            if items:
                self.cluster.kubectl(*words, "-f", "-", stdin=text)
            else:
                self.cluster.kubectl("delete", "networkpolicies", "--all", "-n", namespace)

    def becomes(self, policies: list[Object]) -> None:
        """The packets say what the model says, before long."""
        wanted = policy_model.table(policies, SPACES, self.places)
        end = time.monotonic() + PATIENCE
        while (found := self.probe()) != wanted:
            wrong = {cell: found[cell] for cell in wanted if found[cell] != wanted[cell]}
            assert time.monotonic() < end, f"{len(wrong)} cells differ, e.g. {list(wrong.items())[:5]}: {policies}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def field(two_nodes: LocalCluster) -> Iterator[Field]:
    items: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": SPACES[n]}} for n in SPACES
    ]
    items += [manifest(ns, name) for ns in SPACES for name in "abc"]
    two_nodes.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for namespace in SPACES:
        two_nodes.kubectl("wait", "pods", "--all", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    found = Field(two_nodes)
    try:
        yield found
    finally:
        found.close()


def policy(name: str, namespace: str, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def test_the_truth_table_holds_for_any_policies(field: Field) -> None:
    random = Random(20)
    both = {"policyTypes": ["Ingress", "Egress"]}
    scenarios = [
        [],
        [policy("closed", "x", **both), policy("closed", "y", **both)],
        [policy("closed", "x", policyTypes=["Egress"]), policy("open", "x", policyTypes=["Egress"], egress=[{}])],
        *(policy_model.draw(random, field.places, count) for count in (2, 3, 4, 5, 6)),
        [],
    ]
    for policies in scenarios:
        field.put(policies)
        field.becomes(policies)


def test_connections_go_on_and_pods_are_closed_from_their_first_moment(field: Field) -> None:
    a, b = (next(p for p in field.places if p.name == n and p.namespace == "x") for n in "ab")
    paths = field.paths

    def connect() -> socket.socket:
        return socket.create_connection((b.ip, 80), 5)

    with inside.call(paths[a.ip], connect) as made:
        field.put([policy("closed", "x", policyTypes=["Ingress"])])
        field.becomes([policy("closed", "x", policyTypes=["Ingress"])])
        made.sendall(b"still here")  # what was established goes on
    # a pod that tries at once and for a while reaches nobody
    late = manifest("x", "late")
    late["spec"]["restartPolicy"] = "Never"
    script = f"for i in 1 2 3; do nc -w 1 {b.ip} 80 </dev/null && echo through; done; echo tried"
    late["spec"]["containers"][0]["command"] = ["sh", "-c", script]
    field.put([policy("closed", "x", policyTypes=["Egress"])])
    field.becomes([policy("closed", "x", policyTypes=["Egress"])])
    field.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(late))
    field.cluster.wait(lambda: "tried" in field.cluster.kubectl("logs", "-n", "x", "late", check=False))
    assert "through" not in field.cluster.kubectl("logs", "-n", "x", "late")
    field.cluster.kubectl("delete", "pod", "-n", "x", "late", "--now", "--wait=false")
    # names are found only where a policy lets the pod ask for them
    with inside.udp_socket(paths[a.ip]) as asker:
        asker.settimeout(0.3)
        question = bytes(dnslib.DNSRecord.question("kubernetes.default.svc.cluster.local").pack())

        def named() -> bool:
            asker.sendto(question, ("10.96.0.10", 53))
            try:
                return bool(dnslib.DNSRecord.parse(asker.recv(2000)).rr)
            except TimeoutError:
                return False

        assert not named()
        dns = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
        rule = {"to": [dns], "ports": [{"protocol": "UDP", "port": 53}]}
        field.put([policy("names", "x", policyTypes=["Egress"], egress=[rule])])
        field.cluster.wait(named)
    field.put([])
