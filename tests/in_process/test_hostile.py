"""What users of a namespace might try against everybody's server."""

import gc
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from heeler.objects.schema import Type
from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster


@pytest.fixture
def cluster() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


def raw(cluster: FreshCluster, path: str) -> tuple[int, str]:
    status, body = cluster._run(cluster.client_in_thread().request("GET", path))
    return status, body.decode()


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def test_annotations_of_pods_cannot_end_the_control_plane(cluster: FreshCluster) -> None:
    cluster.create(pod("a"))
    cluster.wait("pod/a")
    annotations = {"annotations": {"heeler.dev/exit": "999999999999999999999@1"}}
    cluster.create(pod("b", **annotations))
    cluster.patch("pod", "a", {"metadata": annotations})
    cluster.advance("1m")
    assert cluster.get("pod", "b")["status"]["containerStatuses"][0]["state"]["waiting"]["message"].endswith(
        '"1@5,0@2"'
    )
    assert cluster.get("pod", "a")["status"]["phase"] == "Running"


def test_a_node_whose_addresses_are_all_taken_goes_on(cluster: FreshCluster) -> None:
    """Ended pods give theirs back."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    spec = {"completions": 300, "parallelism": 100, "template": template}
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "many"}, "spec": spec})
    cluster.wait("job/many", "condition=Complete", timeout="10m")
    assert cluster.get("job", "many")["status"]["succeeded"] == 300


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "::ffff:127.0.0.1"])
def test_an_external_name_leads_no_proxy_to_the_servers_own_machine(cluster: FreshCluster, name: str) -> None:
    spec = {"type": "ExternalName", "externalName": "x.example.com", "ports": [{"port": 80}]}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lo"}, "spec": spec})
    if ":" not in name:
        cluster.patch("service", "lo", {"spec": {"externalName": name}})
    status, said = raw(cluster, "/api/v1/namespaces/default/services/lo:80/proxy/")
    assert (status, 'no endpoints available for service \\"lo\\"' in said) == (503, True)


def test_an_external_name_leads_no_webhook_to_the_servers_own_machine(cluster: FreshCluster) -> None:
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 443}]}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lo"}, "spec": spec})
    webhook = {
        "name": "a.example.com",
        "clientConfig": {"service": {"namespace": "default", "name": "lo"}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    cluster.apply({**kind, "metadata": {"name": "a"}, "webhooks": [webhook]})
    with pytest.raises(StatusError, match="address not allowed"):
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})


@pytest.mark.parametrize("port", ["65536", "99999999", "0", "²"])
def test_ports_that_are_none_are_refused(cluster: FreshCluster, port: str) -> None:
    cluster.create(pod("a"))
    cluster.wait("pod/a")
    assert raw(cluster, f"/api/v1/namespaces/default/pods/a:{port}/proxy/")[0] == 400


def test_a_pod_with_an_endless_grace_period_can_be_deleted(cluster: FreshCluster) -> None:
    wanted = pod("a")
    wanted["spec"]["terminationGracePeriodSeconds"] = 2**63 - 1
    cluster.create(wanted)
    cluster.wait("pod/a")
    cluster.delete("pod", "a")
    cluster.wait("pod/a", "delete")


def test_an_answer_without_end_of_headers_is_given_up(cluster: FreshCluster) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        made, _ = listening.accept()
        with made:
            made.recv(65536)
            try:
                made.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(2000):
                    made.sendall(b"a: " + b"x" * 50_000 + b"\r\n")
            except OSError:
                pass

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    spec = {"ports": [{"port": 80}]}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "big"}, "spec": spec})
    cluster.stand_in("big", listening.getsockname()[1])
    status, said = raw(cluster, "/api/v1/namespaces/default/services/big/proxy/")
    thread.join(10)
    listening.close()
    assert status == 503
    assert "larger than 256 KiB" in json.loads(said)["message"]


def test_a_forked_process_is_told(cluster: FreshCluster) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            cluster.list("pods")
        except RuntimeError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert os.read(read, 1000).startswith(b"a forked process has no cluster")
    os.close(read)


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


def definition(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "dogs.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Dog", "plural": "dogs"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.mark.parametrize("levels", [300, 400])
def test_what_is_nested_too_deeply_is_refused(cluster: FreshCluster, levels: int) -> None:
    cluster.apply(definition({"type": "object", "x-kubernetes-preserve-unknown-fields": True}))
    cluster.settle()
    dog = {"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}, "spec": deep(levels)}
    with pytest.raises(StatusError) as found:
        cluster.create(dog)
    assert (found.value.code, found.value.message) == (400, "the object is nested too deeply")


def test_a_rule_that_may_take_too_long_is_refused_with_its_definition(cluster: FreshCluster) -> None:
    rule = "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= 0)))"
    numbers = {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(StatusError) as found:
        cluster.apply(
            definition({"type": "object", "properties": {"l": numbers}, "x-kubernetes-validations": [{"rule": rule}]})
        )
    assert found.value.code == 422
    assert "estimated rule cost exceeds budget by factor of more than 100x" in found.value.message


def test_kinds_that_come_and_go_leave_nothing(cluster: FreshCluster) -> None:
    def left() -> int:
        gc.collect()
        return sum(isinstance(one, Type) for one in gc.get_objects())

    counts = []
    for _ in range(3):
        cluster.apply(definition({"type": "object", "properties": {f"f{i}": {"type": "string"} for i in range(100)}}))
        cluster.settle()
        cluster.create({"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}, "f1": "a"})
        cluster.delete("dog", "rex")
        cluster.delete("crd", "dogs.example.com")
        cluster.settle()
        counts.append(left())
    assert counts[2] < counts[0] + 50
