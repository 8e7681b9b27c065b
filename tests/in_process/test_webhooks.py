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
    assert delete["options"] == {
        "kind": "DeleteOptions",
        "apiVersion": "meta.k8s.io/v1",
        "propagationPolicy": "Background",
    }


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


def test_a_condition_that_fails_refuses_without_causes(cluster: FreshCluster, webhook: Webhook) -> None:
    conditions = [{"name": "x", "expression": "object.none == 1"}]
    cluster.apply(configuration("Validating", hook("c", webhook.config("/no"), matchConditions=conditions)))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map("b"))
    words = "expression 'object.none == 1' resulted in error: no such key: none"
    assert found.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'configmaps "b" is forbidden: {words}',
        "reason": "Forbidden",
        "details": {"name": "b", "kind": "configmaps"},
        "code": 403,
    }


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
        (lambda _: 500, 'failed to call webhook: an error on the server ("") has prevented the request'),
        (
            lambda _: {**patch(), "patch": "W1%0="},
            "failed to call webhook: illegal base64 data at input byte 2",
        ),
        (lambda _: {"uid": "other", "allowed": True}, 'received invalid webhook response: expected response.uid="'),
        (
            lambda _: {"allowed": True, "warnings": 5},
            "failed to call webhook: json: cannot unmarshal number into Go struct field "
            "AdmissionResponse.response.warnings of type []string",
        ),
        (
            lambda _: {"allowed": False, "status": "x"},
            "failed to call webhook: json: cannot unmarshal string into Go struct field "
            "AdmissionResponse.response.status of type v1.Status",
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


def test_a_webhook_is_chosen_by_what_the_object_has_become(cluster: FreshCluster, webhook: Webhook) -> None:
    """Each mutating webhook's selector and conditions look at what those before it made of the object."""
    webhook.answers["/label"] = lambda _: patch({"op": "add", "path": "/metadata/labels", "value": {"team": "a"}})
    webhook.answers["/labelled"] = lambda _: patch({"op": "add", "path": "/data/seen", "value": "yes"})
    webhook.answers["/bare"] = lambda _: patch({"op": "add", "path": "/data/bare", "value": "yes"})
    selector = {"matchLabels": {"team": "a"}}
    conditions = [{"name": "bare", "expression": "!has(object.metadata.labels)"}]
    cluster.apply(
        configuration(
            "Mutating",
            hook("1", webhook.config("/label")),
            hook("2", webhook.config("/labelled"), objectSelector=selector),
            hook("3", webhook.config("/bare"), matchConditions=conditions),
        )
    )
    assert cluster.create(config_map())["data"] == {"k": "v", "seen": "yes"}


def test_nobody_is_asked_for_the_first_time_in_the_second_round(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/a"] = lambda _: patch()
    webhook.answers["/b"] = lambda _: patch({"op": "add", "path": "/metadata/labels", "value": {"team": "a"}})
    selector = {"matchLabels": {"team": "a"}}
    cluster.apply(
        configuration(
            "Mutating",
            hook("a", webhook.config("/a"), reinvocationPolicy="IfNeeded", objectSelector=selector),
            hook("b", webhook.config("/b")),
        )
    )
    cluster.create(config_map())
    assert [r["path"] for r in webhook.seen] == ["/b"]


def test_what_plugins_change_afterwards_asks_webhooks_again(cluster: FreshCluster, webhook: Webhook) -> None:
    """The second webhook adds a container; the token that it is given by a plugin is a change that the first one sees."""
    sidecar = {"name": "sidecar", "image": "side:1"}
    webhook.answers["/first"] = lambda _: {"allowed": True}

    def add(request: dict[str, Any]) -> dict[str, Any]:
        known = len(request["object"]["spec"]["containers"]) > 1
        return {"allowed": True} if known else patch({"op": "add", "path": "/spec/containers/-", "value": sidecar})

    webhook.answers["/second"] = add
    rules = [rule("pods", "", "v1", "CREATE")]
    cluster.apply(
        configuration(
            "Mutating",
            hook("1", webhook.config("/first"), rules=rules, reinvocationPolicy="IfNeeded"),
            hook("2", webhook.config("/second"), rules=rules, reinvocationPolicy="IfNeeded"),
        )
    )
    spec = {"containers": [{"name": "a", "image": "i"}]}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    assert [r["path"] for r in webhook.seen] == ["/first", "/second", "/first", "/second"]
    assert webhook.seen[2]["object"]["spec"]["containers"][1]["volumeMounts"]


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        (
            "Validating",
            patch({"op": "add", "path": "/a", "value": 1}),
            "validating webhook may not return response.patch",
        ),
        (
            "Validating",
            {"allowed": True, "patchType": "JSONPatch"},
            "validating webhook may not return response.patchType",
        ),
        (
            "Mutating",
            {"allowed": True, "patchType": "JSONPatch"},
            "webhook returned response.patchType but not response.patch",
        ),
    ],
)
def test_patches_that_do_not_fit(
    cluster: FreshCluster, webhook: Webhook, kind: str, answer: dict[str, Any], words: str
) -> None:
    webhook.answers["/x"] = lambda _: answer
    cluster.apply(configuration(kind, hook("x", webhook.config("/x"))))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map())
    wanted = (
        f'Internal error occurred: failed calling webhook "x.example.com": received invalid webhook response: {words}'
    )
    assert found.value.message == wanted


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {**patch(), "patch": "bm8="},
            "received undecodable patch in webhook response: invalid character 'o' in literal null (expecting 'u')",
        ),
        ({**patch({"op": "remove", "path": "/data"}), "patchType": "Other"}, 'unsupported patch type "Other"'),
    ],
)
def test_a_patch_that_cannot_be_read_is_a_failure_of_the_webhook(
    cluster: FreshCluster, webhook: Webhook, answer: dict[str, Any], words: str
) -> None:
    webhook.answers["/x"] = lambda _: answer
    cluster.apply(configuration("Mutating", hook("x", webhook.config("/x"))))
    with pytest.raises(StatusError) as found:
        cluster.create(config_map())
    assert found.value.message.startswith(f'Internal error occurred: failed calling webhook "x.example.com": {words}')
    cluster.apply(configuration("Mutating", hook("x", webhook.config("/x"), failurePolicy="Ignore")))
    cluster.create(config_map())


def test_a_deletion_has_nothing_to_change(cluster: FreshCluster, webhook: Webhook) -> None:
    cluster.create(config_map())
    webhook.answers["/x"] = lambda _: patch({"op": "add", "path": "/data/x", "value": "y"})
    cluster.apply(configuration("Mutating", hook("x", webhook.config("/x"))))
    with pytest.raises(StatusError) as found:
        cluster.delete("cm", "a")
    words = (
        'admission webhook "x.example.com" attempted to modify the object, which is not supported for this operation'
    )
    assert found.value.message == f"Internal error occurred: {words}"


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]},
}


class Agents:
    """Stands for the nodes' agents; `asked` has the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def forward(self, node: Any, path: str, request: Any) -> Any:
        from heeler.wire.http.messages import Response

        self.asked.append(path)
        return Response(200, [], b"done")

    def renew(self) -> None: ...


@pytest.fixture
def agents(cluster: FreshCluster) -> Iterator[Agents]:
    server = cluster._entered.server
    before, server.nodes = server.nodes, Agents()  # type: ignore[assignment]
    yield server.nodes  # type: ignore[misc]
    server.nodes = before


def send(cluster: FreshCluster, method: str, path: str, body: Any = None, **query: str) -> tuple[int, bytes]:
    client = cluster.client_in_thread()
    data = b"" if body is None else json.dumps(body).encode()
    return cluster._run(client.request(method, path, query=query, body=data))


def test_connections_are_shown_their_options_and_may_be_changed(
    cluster: FreshCluster, webhook: Webhook, agents: Agents
) -> None:
    cluster.create(POD)
    cluster.wait("pod/p")
    root = "/api/v1/namespaces/default/pods/p"
    webhook.answers["/m"] = lambda _: patch({"op": "replace", "path": "/container", "value": "b"})
    webhook.answers["/v"] = lambda r: {"allowed": "rm" not in (r["object"].get("command") or ())}
    rules = [rule("pods/exec", "", "v1", "CONNECT"), rule("pods/attach", "", "v1", "CONNECT")]
    cluster.apply(configuration("Mutating", hook("m", webhook.config("/m"), rules=rules)))
    cluster.apply(configuration("Validating", hook("v", webhook.config("/v"), rules=rules)))
    status, _ = send(cluster, "POST", f"{root}/exec", command="ls", container="a", stdout="true")
    assert status == 200
    assert agents.asked == ["/exec/default/p/b?stdout=true&command=ls"]
    first, second = webhook.seen
    assert (first["operation"], first["subResource"], first["name"]) == ("CONNECT", "exec", "p")
    assert first["kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}
    assert first["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert first["options"] is None
    assert first["oldObject"] is None
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": True, "command": ["ls"]}
    assert first["object"] == {**options, "container": "a"}
    assert second["object"] == {**options, "container": "b"}
    status, body = send(cluster, "POST", f"{root}/exec", command="rm", container="a", stdout="true")
    assert status == 400
    assert b'admission webhook \\"v.example.com\\" denied the request without explanation' in body
    assert send(cluster, "POST", f"{root}/attach", container="a", stdin="")[0] == 200
    assert webhook.seen[-1]["kind"]["kind"] == "PodAttachOptions"
    assert agents.asked[1:] == ["/attach/default/p/b?stdin=true"]


@pytest.mark.parametrize(
    ("path", "resource", "kind", "given"),
    [
        ("namespaces/default/pods/p/proxy/a/b", "pods/proxy", "PodProxyOptions", {"path": "/a/b"}),
        ("namespaces/default/services/s:http/proxy/", "services/proxy", "ServiceProxyOptions", {"path": "/"}),
        ("nodes/simulated-0/proxy/logs/", "nodes/proxy", "NodeProxyOptions", {"path": "/logs/"}),
        ("namespaces/default/pods/p/portforward", "pods/portforward", "PodPortForwardOptions", {"ports": [80]}),
    ],
)
def test_every_connection_is_asked_about(
    cluster: FreshCluster, webhook: Webhook, path: str, resource: str, kind: str, given: dict[str, Any]
) -> None:
    webhook.answers["/no"] = lambda _: {"allowed": False, "status": {"code": 403, "reason": "Forbidden"}}
    rules = [rule(resource, "", "v1", "CONNECT")]
    cluster.apply(configuration("Validating", hook("no", webhook.config("/no"), rules=rules)))
    query = {"ports": "80"} if "ports" in given else {}
    method = "POST" if query else "GET"
    status, body = send(cluster, method, f"/api/v1/{path}", **query)
    assert (status, json.loads(body)["reason"]) == (403, "Forbidden")
    (request,) = webhook.seen
    assert request["object"] == {"kind": kind, "apiVersion": "v1", **given}
    assert request["subResource"] == resource.partition("/")[2]


def test_a_scale_is_shown_as_such(cluster: FreshCluster, webhook: Webhook) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    cluster.create(web)
    cluster.wait("deployment/web", "condition=Available")
    cluster.settle()  # a write of the controller in between would make the change begin anew
    webhook.answers["/max"] = lambda r: (
        patch({"op": "replace", "path": "/spec/replicas", "value": 3})
        if r["object"]["spec"]["replicas"] > 3
        else {"allowed": True}
    )
    webhook.answers["/old"] = lambda _: {"allowed": True}
    rules = [rule("deployments/scale", "apps", "v1", "UPDATE")]
    cluster.apply(configuration("Mutating", hook("max", webhook.config("/max"), rules=rules)))
    everything = [rule("deployments", "apps", "v1", "UPDATE"), *rules]
    cluster.apply(configuration("Validating", hook("old", webhook.config("/old"), rules=everything)))
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
    client = cluster.client_in_thread()
    headers = {"content-type": "application/merge-patch+json"}
    body = json.dumps({"spec": {"replicas": 9}}).encode()
    status, answer = cluster._run(client.request("PATCH", path, body=body, headers=headers))
    assert (status, json.loads(answer)["spec"]) == (200, {"replicas": 3})
    assert cluster.get("deployment", "web")["spec"]["replicas"] == 3
    mine = [r for r in webhook.seen if r.get("subResource") == "scale"]
    assert [r["path"] for r in mine] == ["/max", "/old"]
    assert mine[1]["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert mine[1]["resource"] == {"group": "apps", "version": "v1", "resource": "deployments"}
    assert (mine[1]["oldObject"]["spec"], mine[1]["object"]["spec"]) == ({"replicas": 1}, {"replicas": 3})
    assert mine[1]["object"]["apiVersion"] == "autoscaling/v1"


def test_bindings_evictions_and_tokens_are_shown_as_such(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/v"] = lambda _: {"allowed": True}
    rules = [
        rule("pods/binding", "", "v1", "CREATE", "UPDATE"),
        rule("pods/eviction", "", "v1", "*"),
        rule("serviceaccounts/token", "", "v1", "CREATE"),
    ]
    cluster.apply(configuration("Validating", hook("v", webhook.config("/v"), rules=rules)))
    cluster.create(POD)
    cluster.wait("pod/p")
    (binding,) = webhook.seen
    assert (binding["operation"], binding["kind"]["kind"]) == ("CREATE", "Binding")
    assert binding["object"]["target"]["name"] == "simulated-0"
    assert binding["userInfo"]["username"] == "system:kube-scheduler"
    assert binding["object"]["metadata"]["namespace"] == "default"
    assert binding["object"]["metadata"]["managedFields"][0]["subresource"] == "binding"
    root = "/api/v1/namespaces/default"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert send(cluster, "POST", f"{root}/pods/p/eviction", eviction)[0] == 201
    assert [(r["operation"], r["kind"]["kind"]) for r in webhook.seen[1:]] == [("CREATE", "Eviction")]
    webhook.answers["/v"] = lambda r: {"allowed": r["object"]["spec"]["expirationSeconds"] < 5000}
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 4000}}
    assert send(cluster, "POST", f"{root}/serviceaccounts/default/token", token)[0] == 201
    token["spec"] = {"expirationSeconds": 6000}
    assert send(cluster, "POST", f"{root}/serviceaccounts/default/token", token)[0] == 400
    assert webhook.seen[-1]["kind"] == {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}
    assert webhook.seen[-1]["name"] == "default"
    assert webhook.seen[-1]["object"]["metadata"]["name"] == "default"
    assert webhook.seen[-1]["object"]["spec"]["audiences"] == ["https://kubernetes.default.svc.cluster.local"]


def test_an_eviction_that_is_refused_takes_nothing_of_a_budget(cluster: FreshCluster, webhook: Webhook) -> None:
    cluster.create({**POD, "metadata": {"name": "p", "labels": {"app": "a"}}})
    cluster.wait("pod/p")
    budget = {"minAvailable": 0, "selector": {"matchLabels": {"app": "a"}}}
    meta = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}}
    cluster.apply([{**meta, "spec": budget}])
    cluster.wait("pdb/b", lambda obj: (obj.get("status") or {}).get("disruptionsAllowed") == 1)
    webhook.answers["/no"] = lambda _: {"allowed": False}
    rules = [rule("pods/eviction", "", "v1", "CREATE")]
    cluster.apply(configuration("Validating", hook("no", webhook.config("/no"), rules=rules)))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert send(cluster, "POST", "/api/v1/namespaces/default/pods/p/eviction", eviction)[0] == 400
    assert cluster.get("pdb", "b")["status"]["disruptionsAllowed"] == 1
    assert not cluster.get("pod", "p")["metadata"].get("deletionTimestamp")


def test_reviews_are_shown_to_webhooks(cluster: FreshCluster, webhook: Webhook) -> None:
    webhook.answers["/no"] = lambda r: {"allowed": r["object"]["spec"]["user"] != "mallory"}
    rules = [rule("subjectaccessreviews", "authorization.k8s.io", "v1", "CREATE")]
    cluster.apply(configuration("Validating", hook("no", webhook.config("/no"), rules=rules)))
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    spec = {"user": "alice", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    assert send(cluster, "POST", path, review)[0] == 201
    spec["user"] = "mallory"
    assert send(cluster, "POST", path, review)[0] == 400
    assert webhook.seen[0]["resource"]["resource"] == "subjectaccessreviews"
