"""Admission webhooks, asked over real HTTPS."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from heeler.base import pki
from heeler.base.files import memory_file
from heeler.objects.status import StatusError
from heeler.testing.cluster import FreshCluster

Answer = Callable[[dict[str, Any]], Any]


class Webhook:
    """A server that answers each path by a function of the AdmissionRequest; `seen` has the requests."""

    def __init__(self) -> None:
        now = time.time()
        authority = pki.new_authority("webhook-ca", now)
        names = ["127.0.0.1", "webhook.default.svc"]
        pair = pki.issue(authority, "webhook", now, server_names=names)
        self.bundle = base64.b64encode(authority.certificate).decode()
        self.answers: dict[str, Answer] = {}
        self.seen: list[dict[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                request = review["request"]
                path, _, query = self.path.partition("?")
                webhook.seen.append({**request, "path": path, "query": query, "version": review["apiVersion"]})
                found = webhook.answers[path](request)
                if isinstance(found, int):
                    self.send_response(found)
                    body = b""
                else:
                    self.send_response(200)
                    response = {"uid": request["uid"], **found}
                    body = json.dumps({**{k: review[k] for k in ("kind", "apiVersion")}, "response": response}).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with memory_file("crt", pair.certificate) as certificate, memory_file("key", pair.key) as key:
            context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def config(self, path: str, *, service: bool = False) -> dict[str, Any]:
        if service:
            return {"service": {"namespace": "default", "name": "webhook", "path": path}, "caBundle": self.bundle}
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle}


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def rule(resource: str = "configmaps", group: str = "", version: str = "v1", *operations: str) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations or ("CREATE", "UPDATE", "DELETE")),
        "resources": [resource],
    }


def configuration(kind: str, *webhooks: dict[str, Any], name: str = "hooks") -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(webhooks),
    }


def hook(name: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": f"{name}.example.com",
        "clientConfig": config,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 2,
        "rules": [rule()],
        **more,
    }


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"k": "v"}}


def test_a_mutating_webhook_changes_what_is_stored(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/mutate"] = lambda _: {
        **patch({"op": "add", "path": "/data/added", "value": "yes"}),
        "warnings": ["careful"],
    }
    cluster.apply(configuration("Mutating", hook("m", webhook.config("/mutate"))))
    assert cluster.create(config_map())["data"] == {"k": "v", "added": "yes"}
    (request,) = webhook.seen
    assert request["query"] == "timeout=2s"
    assert request["version"] == "admission.k8s.io/v1"
    assert (request["operation"], request["namespace"], request["name"]) == ("CREATE", "default", "a")
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["object"]["data"] == {"k": "v"}
    assert request["oldObject"] is None
    assert request["dryRun"] is False
    assert request["options"]["kind"] == "CreateOptions"
    assert request["userInfo"]["username"] == "heeler-admin"


def test_what_webhooks_add_gets_defaults_and_admission(cluster: FreshCluster, webhook: Webhook) -> None:
    sidecar = {"name": "sidecar", "image": "side:1"}
    webhook.answers["/pods"] = lambda _: patch({"op": "add", "path": "/spec/containers/-", "value": sidecar})
    cluster.apply(
        configuration("Mutating", hook("m", webhook.config("/pods"), rules=[rule("pods", "", "v1", "CREATE")]))
    )
    pod = cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "a", "image": "i"}]},
        }
    )
    added = pod["spec"]["containers"][1]
    assert added["imagePullPolicy"] == "IfNotPresent"
    assert added["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"


def test_a_validating_webhook_refuses_in_its_own_words(cluster: FreshCluster, webhook: Webhook) -> None:
    status = {"code": 403, "reason": "Forbidden", "message": "no k"}
    webhook.answers["/validate"] = lambda r: {"allowed": r["operation"] != "CREATE", "status": status}
    cluster.apply(configuration("Validating", hook("v", webhook.config("/validate"))))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map())
    assert found.value.message == 'admission webhook "v.example.com" denied the request: no k'
    assert (found.value.code, found.value.reason) == (403, "Forbidden")
    webhook.answers["/validate"] = lambda r: {"allowed": False}
    with pytest.raises(StatusError) as found:
        cluster.create(config_map())
    assert found.value.message == 'admission webhook "v.example.com" denied the request without explanation'
    assert found.value.code == 400


def test_updates_and_deletes_show_the_old_object(cluster: FreshCluster, webhook: Webhook) -> None:
    cluster.create(config_map())
    webhook.answers["/v"] = lambda _: {"allowed": True}
    cluster.apply(configuration("Validating", hook("v", webhook.config("/v"))))
    cluster.patch("cm", "a", {"data": {"k": "w"}})
    cluster.delete("cm", "a")
    update, delete = webhook.seen
    assert (update["oldObject"]["data"], update["object"]["data"]) == ({"k": "v"}, {"k": "w"})
    assert (delete["operation"], delete["object"], delete["oldObject"]["data"]) == ("DELETE", None, {"k": "w"})
    assert delete["options"]["kind"] == "DeleteOptions"


def test_selectors_and_conditions_choose(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/no"] = lambda _: {"allowed": False}
    cluster.apply(
        configuration(
            "Validating",
            hook("o", webhook.config("/no"), objectSelector={"matchLabels": {"checked": "yes"}}),
            hook("n", webhook.config("/no"), namespaceSelector={"matchLabels": {"team": "a"}}),
            hook(
                "c",
                webhook.config("/no"),
                matchConditions=[{"name": "x", "expression": "object.metadata.name.startsWith('x')"}],
            ),
        )
    )
    cluster.create(config_map())
    labelled = config_map("b")
    labelled["metadata"]["labels"] = {"checked": "yes"}
    with pytest.raises(StatusError, match=r'"o.example.com" denied'):
        cluster.create(labelled)
    with pytest.raises(StatusError, match=r'"c.example.com" denied'):
        cluster.create(config_map("xyz"))
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"team": "a"}}})
    with pytest.raises(StatusError, match=r'"n.example.com" denied'):
        cluster.create(config_map(), "team")


def test_a_webhook_that_fails_is_fatal_or_passed_over(cluster: FreshCluster, webhook: Webhook) -> None:
    closed = {"url": "https://127.0.0.1:1/x"}
    cluster.apply(configuration("Validating", hook("down", closed, failurePolicy="Ignore")))
    cluster.create(config_map())
    cluster.apply(configuration("Validating", hook("down", closed)))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map("b"))
    assert found.value.code == 500
    assert found.value.message == (
        'Internal error occurred: failed calling webhook "down.example.com": failed to call webhook: Post '
        '"https://127.0.0.1:1/x?timeout=2s": dial tcp 127.0.0.1:1: connect: connection refused'
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: 404, "failed to call webhook: the server could not find the requested resource"),
        (lambda _: 500, 'failed to call webhook: an error on the server ("unknown") has prevented the request'),
        (lambda _: {"uid": "other", "allowed": True}, 'received invalid webhook response: expected response.uid="'),
        (
            lambda _: {"allowed": True, "warnings": 5},
            "received invalid webhook response: response.warnings has the wrong type",
        ),
        (
            lambda _: {"allowed": False, "status": "x"},
            "received invalid webhook response: response.status has the wrong type",
        ),
        (lambda _: {"allowed": True, "patch": "W10="}, "webhook returned response.patch but not response.patchType"),
        (lambda _: time.sleep(1.6) or {"allowed": True}, "context deadline exceeded"),
    ],
)
def test_bad_answers_are_named(cluster: FreshCluster, webhook: Webhook, answer: Answer, words: str) -> None:
    webhook.answers["/bad"] = answer
    cluster.apply(configuration("Mutating", hook("bad", webhook.config("/bad"), timeoutSeconds=1)))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map())
    assert words in found.value.message
    assert found.value.code == 500


def test_a_certificate_of_somebody_else_is_refused(cluster: FreshCluster, webhook: Webhook) -> None:
    config = {"url": f"https://127.0.0.1:{webhook.port}/x", "caBundle": Webhook().bundle}
    cluster.apply(configuration("Validating", hook("tls", config)))
    with pytest.raises(
        StatusError, match="tls: failed to verify certificate: x509: certificate signed by unknown authority"
    ):
        cluster.create(config_map())


def test_services_are_reached_by_their_name(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/v"] = lambda _: {"allowed": True}
    cluster.apply(configuration("Validating", hook("v", webhook.config("/v", service=True))))
    with pytest.raises(
        StatusError, match=r'Post "https://webhook.default.svc:443/v\?timeout=2s": service "webhook" not found'
    ):
        cluster.create(config_map())
    cluster.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "webhook"}, "spec": {"ports": [{"port": 443}]}}
    )
    with pytest.raises(StatusError, match='no endpoints available for service "webhook"'):
        cluster.create(config_map())
    pod = {"containers": [{"name": "a", "image": "i"}]}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": pod})
    cluster.patch("service", "webhook", {"spec": {"selector": {"a": "b"}}})
    cluster.wait("pod/p")
    cluster.settle()
    with pytest.raises(StatusError, match="is on simulated-0, a simulated node, which runs no containers"):
        cluster.create(config_map())
    cluster.stand_in("webhook", webhook.port)
    cluster.create(config_map())


def test_dry_run_is_for_webhooks_without_side_effects(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/v"] = lambda _: {"allowed": True}
    cluster.apply(configuration("Validating", hook("v", webhook.config("/v"), sideEffects="NoneOnDryRun")))
    path = "/api/v1/namespaces/default/configmaps"

    def dry() -> tuple[int, bytes]:
        client = cluster.client_in_thread()
        body = json.dumps(config_map()).encode()
        return cluster._run(client.request("POST", path, query={"dryRun": "All"}, body=body))

    assert dry()[0] == 201
    assert webhook.seen[-1]["dryRun"] is True
    stored = cluster.get("validatingwebhookconfiguration", "hooks")
    assert stored["webhooks"][0]["sideEffects"] == "NoneOnDryRun"


def test_webhooks_run_in_order_and_again_if_they_ask(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/first"] = lambda r: patch(
        {"op": "add", "path": "/data/count", "value": str(len(r["object"]["data"]))}
    )
    webhook.answers["/second"] = lambda _: patch({"op": "add", "path": "/data/second", "value": "yes"})
    cluster.apply(
        configuration("Mutating", hook("b", webhook.config("/second")), name="b"),
    )
    cluster.apply(
        configuration("Mutating", hook("a", webhook.config("/first"), reinvocationPolicy="IfNeeded"), name="a"),
    )
    assert cluster.create(config_map())["data"] == {"k": "v", "second": "yes", "count": "3"}
    assert [r["path"] for r in webhook.seen] == ["/first", "/second", "/first"]


def test_an_equivalent_version_is_shown_as_the_rule_wants_it(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/hpa"] = lambda _: {"allowed": True}
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
    }
    of_v1 = [rule("horizontalpodautoscalers", "autoscaling", "v1", "CREATE")]
    cluster.apply(configuration("Validating", hook("exact", webhook.config("/hpa"), rules=of_v1, matchPolicy="Exact")))
    cluster.create(hpa)
    assert webhook.seen == []
    cluster.delete("hpa", "h")
    cluster.apply(configuration("Validating", hook("any", webhook.config("/hpa"), rules=of_v1)))
    cluster.create(hpa)
    (request,) = webhook.seen
    assert request["object"]["apiVersion"] == "autoscaling/v1"
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")


def test_configurations_themselves_are_exempt(cluster: FreshCluster, webhook: Webhook) -> None:
    everything = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]
    webhook.answers["/no"] = lambda _: {"allowed": False}
    cluster.apply(configuration("Validating", hook("no", webhook.config("/no"), rules=everything)))
    cluster.delete("validatingwebhookconfiguration", "hooks")
    cluster.create(config_map())
