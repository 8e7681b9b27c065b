"""The network as people use it, in one real cluster: LoadBalancers and exposed ports on localhost, sticky clients, UDP."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509

from heeler.base import pki
from heeler.base.processes import alive, all_processes
from heeler.objects.value import Object
from tests.cluster import LocalCluster
from tests.containers import inside
from tests.load import load

pytestmark = [pytest.mark.containers, pytest.mark.kubectl, pytest.mark.timeout(180)]

SERVE = "mkdir /www; echo $HOSTNAME > /www/index.html; httpd -f -p 8080 -h /www & trap 'exit 0' TERM; wait"
WAIT = "trap 'exit 0' TERM; while :; do sleep 1; done"


def pod(name: str, script: str = SERVE, **labels: str) -> Object:
    container = {"name": "c", "image": "busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    if script == SERVE:
        container["ports"] = [{"name": "http", "containerPort": 8080}]
        container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service(name: str, selector: dict[str, str], port: int, target: int | str = "http", **spec: Any) -> Object:
    ports = [{"name": "main", "port": port, "targetPort": target, **spec.pop("extra", {})}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": ports, **spec},
    }


def apply(cluster: LocalCluster, *objects: Object) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


@pytest.fixture(scope="module")
def cluster(two_nodes: LocalCluster) -> LocalCluster:
    """With a pod on each node that answers with its name."""
    pods = [pod(f"w{i}", app="web") for i in range(2)]
    for number, made in enumerate(pods):
        made["spec"]["nodeName"] = f"{two_nodes.name}-node-{number}"
    apply(two_nodes, *pods)
    two_nodes.kubectl("wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=30s")
    return two_nodes


def state(cluster: LocalCluster) -> Path:
    return Path("/run/heeler") / cluster.name


def fetch(port: int, path: str = "/", host: str = "", seconds: float = 5.0) -> str:
    """The body of a page; "" where nobody answers, the code where it is no good one."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            return str(answer.read().decode().strip())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)
    except OSError:
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ingress(cluster: LocalCluster, name: str) -> list[Object]:
    found: list[Object] = cluster.get("service", name)["status"]["loadBalancer"].get("ingress") or []
    return found


def test_a_load_balancer_listens_on_localhost_and_says_so(cluster: LocalCluster) -> None:
    port = free_port()
    apply(cluster, service("lb", {"app": "web"}, port, type="LoadBalancer"))
    [entry] = cluster.wait(lambda: ingress(cluster, "lb"))
    assert (entry["ip"], entry["ports"]) == ("127.0.0.1", [{"port": port, "protocol": "TCP"}])
    cluster.wait(lambda: {fetch(port) for _ in range(8)} == {"w0", "w1"})
    assert "127.0.0.1" in cluster.kubectl("get", "service", "lb")
    # the port is somebody else's: an event says where the Service is to be found instead
    apply(cluster, service("second", {"app": "web"}, port, type="LoadBalancer"))
    [entry] = cluster.wait(lambda: ingress(cluster, "second"))
    assert entry["ports"] == [{"port": port, "protocol": "TCP", "error": "PortTaken"}]
    number = cluster.get("service", "second")["spec"]["ports"][0]["nodePort"]
    text = f"TCP port {port} of 127.0.0.1 is taken (program or Service): it is to be found on 127.0.0.1:{number}"
    cluster.wait(lambda: text in cluster.kubectl("get", "events", "--field-selector", "involvedObject.name=second"))
    assert fetch(number) in ("w0", "w1")
    cluster.kubectl("delete", "service", "lb")  # it gives the port up, and the second one gets it
    cluster.wait(lambda: "error" not in ingress(cluster, "second")[0]["ports"][0])
    assert fetch(port) in ("w0", "w1")
    cluster.kubectl("delete", "service", "second")
    cluster.wait(lambda: fetch(port) == "")


def test_what_comes_through_a_published_port_is_held_to_policies(cluster: LocalCluster) -> None:
    port = free_port()
    metadata = {"name": "closed"}
    closed = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    opened = {**closed, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    apply(cluster, service("held", {"app": "web"}, port, type="LoadBalancer"))
    cluster.wait(lambda: fetch(port))
    apply(cluster, {**policy, "spec": closed})
    cluster.wait(lambda: fetch(port, seconds=0.5) == "")
    # after the policy: a connection that Envoy has already would go on
    apply(cluster, ingress_object("held", rule("p.test", "/gone", "gone"), rule("p.test", "/", "held")))
    [entry] = cluster.wait(lambda: cluster.get("ingress", "held")["status"]["loadBalancer"].get("ingress"))
    http = entry["ports"][0]["port"]
    cluster.wait(lambda: fetch(http, "/gone", "p.test") == "503")
    assert fetch(http, "/", "p.test", seconds=0.5) == ""
    apply(cluster, {**policy, "spec": opened})
    cluster.wait(lambda: fetch(port) in ("w0", "w1") and fetch(http, "/", "p.test") in ("w0", "w1"))
    cluster.kubectl("delete", "ingress,networkpolicy,service", "held", "closed", "--ignore-not-found")


def test_ports_are_exposed_listed_kept_over_a_restart_and_removed(cluster: LocalCluster) -> None:
    apply(cluster, service("plain", {"app": "web"}, 80))
    first, second = free_port(), free_port()
    assert (
        cluster.heeler("expose", "svc/plain", f"{first}:80", "--name", cluster.name).stdout
        == f"127.0.0.1:{first} -> svc/plain:80\n"
    )
    cluster.heeler("expose", "pod/w1", f"{second}:http", "--name", cluster.name)
    assert fetch(first) in ("w0", "w1") and fetch(second) == "w1"
    os.kill(cluster.pid(f"node-{cluster.name}-node-0"), signal.SIGKILL)
    cluster.up()
    cluster.wait(lambda: fetch(first) and fetch(second) == "w1")
    listed = orjson.loads(cluster.heeler("expose", "--name", cluster.name, "-o", "json").stdout)["exposed"]
    assert [(e["kind"], e["name"], e["port"], e["address"]) for e in listed] == [
        ("Service", "plain", "80", f"127.0.0.1:{first}"),
        ("Pod", "w1", "http", f"127.0.0.1:{second}"),
    ]
    for words, said in (
        (["svc/gone", "80"], 'services "gone" not found in namespace default'),
        (["svc/plain", "81"], "svc/plain has no port 81: there are 80, main"),
        (["svc/plain", f"{second}:main"], f"local port {second} is in use"),
        (["plain"], '"plain" is neither svc/NAME nor pod/NAME'),
    ):
        done = cluster.heeler("expose", *words, "--name", cluster.name, check=False)
        assert done.returncode == 1 and said in done.stderr
    cluster.heeler("expose", "--remove", "svc/plain", "--name", cluster.name)
    cluster.heeler("expose", "--remove", "pod/w1", "--name", cluster.name)
    cluster.wait(lambda: fetch(first) == "" and fetch(second) == "")


def test_a_client_stays_with_its_endpoint_and_udp_is_published(cluster: LocalCluster) -> None:
    number = free_port()
    sticky = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    apply(
        cluster,
        service("sticky", {"app": "web"}, free_port(), type="LoadBalancer", **sticky),
        service("echo", {"app": "echo"}, number, 9000, type="LoadBalancer", extra={"protocol": "UDP"}),
        pod("echo", WAIT, app="echo"),
    )
    [entry] = cluster.wait(lambda: ingress(cluster, "sticky"))
    port = entry["ports"][0]["port"]
    cluster.wait(lambda: fetch(port))
    assert len({fetch(port) for _ in range(12)}) == 1
    cluster.kubectl("wait", "pod", "echo", "--for=condition=Ready", "--timeout=30s")
    ip = cluster.get("pod", "echo")["status"]["podIP"]
    with (
        inside.udp_socket(inside.namespaces(state(cluster))[ip], 9000) as echo,
        socket.socket(type=socket.SOCK_DGRAM) as made,
    ):
        for one in (echo, made):
            one.settimeout(0.5)
        made.connect(("127.0.0.1", number))

        def asked() -> bool:
            try:
                made.send(b"hello")
                data, address = echo.recvfrom(100)
                echo.sendto(b"echo " + data, address)
                return made.recv(100) == b"echo hello"
            except OSError:
                return False

        cluster.wait(asked)

        # one flow whose endpoint goes is sent to the next one
        paths = inside.namespaces(state(cluster))
        asker = cluster.get("pod", "w0")["status"]["podIP"]
        other = cluster.get("pod", "w1")["status"]["podIP"]
        with inside.udp_socket(paths[asker]) as flow, inside.udp_socket(paths[other], 9000) as next_one:
            next_one.settimeout(0.2)
            address = (cluster.get("service", "echo")["spec"]["clusterIP"], number)
            flow.sendto(b"first", address)
            assert echo.recvfrom(100)[0] == b"first"
            other_pods = '{"spec": {"selector": {"app": null, "second": "yes"}}}'
            cluster.kubectl("patch", "service", "echo", "--patch", other_pods)
            cluster.kubectl("label", "pod", "w1", "second=yes")

            def moved() -> bool:
                try:
                    flow.sendto(b"second", address)
                    return next_one.recv(100) == b"second"
                except OSError:
                    return False

            cluster.wait(moved, 10)
    cluster.kubectl("delete", "service", "sticky", "echo")
    cluster.kubectl("delete", "pod", "echo", "--now", "--wait=false")


def rule(host: str, path: str, name: str, kind: str = "Prefix") -> Object:
    backend = {"service": {"name": name, "port": {"name": "main"}}}
    return {"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}


def ingress_object(name: str, *rules: Object, **spec: Any) -> Object:
    made = {"rules": list(rules), **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": made}


def secret(name: str, pair: pki.KeyPair) -> Object:
    data = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls"}
    return {**made, "stringData": data}


def tls_name(port: int, name: str) -> list[str]:
    """The names in the certificate that is shown to who asks for `name`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname=name) as made,
    ):
        shown = made.getpeercert(binary_form=True) or b""
    found = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return list(found.value.get_values_for_type(x509.DNSName))


def envoys(cluster: LocalCluster) -> list[int]:
    """The cluster's Envoy processes."""
    config = f"{state(cluster)}/{cluster.name}-node-0/ingress/bootstrap.json"
    return [pid for pid, words in all_processes() if config in words and alive(pid)]


def test_ingresses_lead_to_services_with_tls_by_name_and_envoy_comes_back(cluster: LocalCluster) -> None:
    def gateway() -> Any:
        return orjson.loads(cluster.heeler("status", "--name", cluster.name, "-o", "json").stdout)["clusters"][0][
            "ingress"
        ]

    assert gateway() is None  # Envoy is not started before there is an Ingress
    authority = pki.new_authority("test", time.time())
    apply(
        cluster,
        service("plain", {"app": "web"}, 80),
        secret("cert", pki.issue(authority, "a", time.time(), server_names=["a.test"])),
        ingress_object(
            "web",
            rule("a.test", "/", "plain"),
            rule("b.test", "/only", "gone"),
            rule(f"*.{'x' * 60}.{'y' * 60}.test", "/a?b", "plain"),  # what Envoy would not take holds up nothing
            rule(f"*.{'x' * 60}.{'y' * 60}.test", "/", "plain"),
            tls=[{"hosts": ["a.test", "a.test"], "secretName": "cert"}],
        ),
    )
    found = cluster.wait(lambda: cluster.get("ingress", "web")["status"]["loadBalancer"].get("ingress"))
    http, https = (entry["port"] for entry in found[0]["ports"])
    assert found[0]["ip"] == "127.0.0.1" and gateway() == {
        "http": f"http://127.0.0.1:{http}",
        "https": f"https://127.0.0.1:{https}",
    }
    assert cluster.get("ingress", "web")["spec"]["ingressClassName"] == "heeler"
    cluster.wait(lambda: fetch(http, "/x", "a.test") == "404" and fetch(http, "/", "a.test") in ("w0", "w1"))
    assert fetch(http, "/only/x", "b.test") == "503" and fetch(http, "/", "b.test") == "404"
    assert tls_name(https, "a.test") == ["a.test"] and "localhost" in tls_name(https, "other.test")
    events = ("get", "events", "--field-selector", "involvedObject.kind=Ingress")
    cluster.wait(lambda: 'service "default/gone" not found' in cluster.kubectl(*events))
    cluster.wait(lambda: "spec.rules[2].http.paths[0].path: '/a?b' is left out" in cluster.kubectl(*events))
    assert len(envoys(cluster)) == 1
    os.kill(int((state(cluster) / f"{cluster.name}-node-0" / "ingress" / "pid").read_text()), signal.SIGKILL)
    cluster.wait(lambda: fetch(http, "/", "a.test") in ("w0", "w1"))
    # what an earlier agent started is found again
    os.kill(cluster.pid(f"node-{cluster.name}-node-0"), signal.SIGKILL)
    assert fetch(http, "/", "a.test") in ("w0", "w1")
    cluster.up()
    apply(cluster, ingress_object("web", rule("c.test", "/", "plain")))
    cluster.wait(lambda: fetch(http, "/", "c.test") in ("w0", "w1") and fetch(http, "/", "a.test") == "404")
    assert len(envoys(cluster)) == 1
    cluster.kubectl("delete", "ingress", "web")
    cluster.wait(lambda: gateway() is None and fetch(http, "/", "c.test") == "" and envoys(cluster) == [])


def deployment(name: str, replicas: int) -> Object:
    template = pod(name, app=name)
    spec = template["spec"]
    spec["terminationGracePeriodSeconds"] = 5
    # a moment in which nobody is sent here any more, as everywhere in Kubernetes
    spec["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def test_a_rolling_update_under_load_fails_no_request(cluster: LocalCluster) -> None:
    port = free_port()
    apply(
        cluster,
        deployment("roll", 2),
        service("roll", {"app": "roll"}, port, type="LoadBalancer"),
        ingress_object("roll", rule("roll.test", "/", "roll")),
    )
    cluster.kubectl("rollout", "status", "deployment/roll", "--timeout=60s")
    [entry] = cluster.wait(lambda: cluster.get("ingress", "roll")["status"]["loadBalancer"].get("ingress"))
    http = entry["ports"][0]["port"]
    cluster.wait(lambda: fetch(port).startswith("roll") and fetch(http, "/", "roll.test").startswith("roll"))
    with load(port, rate=60) as service_load, load(http, "roll.test", rate=60) as ingress_load:
        cluster.kubectl("set", "env", "deployment/roll", "ROUND=2")
        cluster.kubectl("rollout", "status", "deployment/roll", "--timeout=60s")
        cluster.kubectl("scale", "deployment/roll", "--replicas=4")  # endpoints come and go
        cluster.kubectl("rollout", "status", "deployment/roll", "--timeout=60s")
        cluster.kubectl("scale", "deployment/roll", "--replicas=2")
        cluster.wait(lambda: len(cluster.get("pods", "-l", "app=roll")["items"]) == 2)
    for found in (service_load, ingress_load):
        assert found.sent > 100 and found.failed == []
    cluster.kubectl("delete", "ingress,service,deployment", "roll")
