"""Aggregated API servers: another program serves a group, the API server hands requests on to it."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.apiserver.user import User, authenticated
from heeler.base import pki
from heeler.base.files import memory_file
from heeler.client.kubeconfig import read
from heeler.in_process import InProcessClient
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from heeler.testing.cluster import FreshCluster
from tests.conftest import find_kubectl

PROGRAM = Path(__file__).parent.parent / "extension_server.py"
ROOT = "/apis/notes.example.com/v1"
NOTES = GroupVersionResource("notes.example.com", "v1", "notes")
NAME = "v1.notes.example.com"


class Extension:
    """The extension server as a process, and its APIService, Service and EndpointSlice in the cluster."""

    def __init__(self, cluster: FreshCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        now = time.time()
        authority = pki.new_authority("extension-ca", now)
        self.bundle = base64.b64encode(authority.certificate).decode()
        pair = pki.issue(authority, "notes", now, server_names=["notes.default.svc"])
        pair.save(folder / "tls.crt", folder / "tls.key")
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        settings = {
            "server": self.cluster.server,
            "authority": self._authority(),
            "token": self._token(),
            "certificate": str(self.folder / "tls.crt"),
            "key": str(self.folder / "tls.key"),
            "port": self.port,
        }
        file = self.folder / "settings.json"
        file.write_text(json.dumps(settings))
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), str(file)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.cluster.stand_in("notes", self.port)

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _authority(self) -> str:
        found = read(self.cluster.kubeconfig)
        return base64.b64decode(found["clusters"][0]["cluster"]["certificate-authority-data"]).decode()

    def _token(self) -> str:
        path = "/api/v1/namespaces/default/serviceaccounts/notes/token"
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).encode()
        status, answer = ask(self.cluster, "POST", path, body)
        assert status == 201, answer
        return str(json.loads(answer)["status"]["token"])

    def install(self, **spec: Any) -> None:
        account = {"kind": "ServiceAccount", "name": "notes", "namespace": "default"}
        self.cluster.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "notes"}}])
        for kind, role, namespace in (
            ("ClusterRole", "system:auth-delegator", None),
            ("Role", "extension-apiserver-authentication-reader", "kube-system"),
        ):
            binding = "ClusterRoleBinding" if namespace is None else "RoleBinding"
            metadata = {"name": f"notes-{role.replace(':', '-')}", **({"namespace": namespace} if namespace else {})}
            self.cluster.apply(
                [
                    {
                        "apiVersion": "rbac.authorization.k8s.io/v1",
                        "kind": binding,
                        "metadata": metadata,
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
                        "subjects": [account],
                    }
                ]
            )
        self.cluster.apply([service(), slice_(), api_service(caBundle=self.bundle, **spec)])


def service(port: int = 443) -> dict[str, Any]:
    spec = {"ports": [{"name": "https", "port": port, "targetPort": 6443}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "notes"}, "spec": spec}


def slice_(port: str = "https") -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "notes-1", "labels": {"kubernetes.io/service-name": "notes"}},
        "addressType": "IPv4",
        "ports": [{"name": port, "port": 6443}],
        "endpoints": [{"addresses": ["10.1.2.3"]}],
    }


def api_service(**spec: Any) -> dict[str, Any]:
    reference = {"namespace": "default", "name": "notes"}
    rest = {"groupPriorityMinimum": 2000, "versionPriority": 15, "service": reference, **spec}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": NAME},
        "spec": {"group": "notes.example.com", "version": "v1", **rest},
    }


def ask(
    cluster: FreshCluster,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    user: User | None = None,
) -> tuple[int, bytes]:
    client = cluster.client_in_thread()
    if user is not None:
        client = InProcessClient(cluster._entered.server, user)  # type: ignore[assignment]
    return cluster._run(client.request(method, path, body=body, headers=headers or {}))


def available(obj: dict[str, Any]) -> dict[str, str]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == "Available"), {})


def until(cluster: FreshCluster, reason: str) -> dict[str, str]:
    cluster.wait(f"apiservice/{NAME}", lambda obj: available(obj).get("reason") == reason, timeout=120)
    return available(cluster.get("apiservice", NAME))


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


@pytest.fixture
def extension(cluster: FreshCluster, tmp_path: Path) -> Iterator[Extension]:
    found = Extension(cluster, tmp_path)
    try:
        found.install()
        found.start()
        until(cluster, "Passed")
        yield found
    finally:
        found.kill()
        cluster._entered.server.reach.routes.clear()


def note(name: str, text: str = "hello") -> dict[str, Any]:
    return {"apiVersion": "notes.example.com/v1", "kind": "Note", "metadata": {"name": name}, "text": text}


def test_groups_of_our_own_have_local_services(cluster: FreshCluster) -> None:
    found = {one["metadata"]["name"]: one for one in cluster.list("apiservices", None)}
    assert "v1." in found
    assert "v1.apiregistration.k8s.io" not in found
    apps = found["v1.apps"]
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
    assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    (condition,) = apps["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("True", "Local")
    assert condition["message"] == "Local APIServices are always available"
    (entry,) = apps["metadata"]["managedFields"]
    labels = {".": {}, "f:kube-aggregator.kubernetes.io/automanaged": {}}
    fields: dict[str, Any] = {
        key: {} for key in ("f:group", "f:groupPriorityMinimum", "f:version", "f:versionPriority")
    }
    assert entry["fieldsV1"] == {"f:metadata": {"f:labels": labels}, "f:spec": fields}
    numbers = {
        name: (one["spec"]["groupPriorityMinimum"], one["spec"]["versionPriority"]) for name, one in found.items()
    }
    assert numbers["v1.resource.k8s.io"] == (16200, 21)
    assert numbers["v1.storagemigration.k8s.io"] == (15800, 15)


def test_custom_groups_have_one_as_long_as_they_are_served(cluster: FreshCluster) -> None:
    names = {"plural": "things", "kind": "Thing"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    cluster.apply([definition])
    cluster.wait("apiservice/v1.example.com", "exists")
    found = cluster.get("apiservice", "v1.example.com")
    assert found["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
    cluster.patch("apiservice", "v1.example.com", {"spec": {"versionPriority": 7}})
    cluster.wait("apiservice/v1.example.com", lambda obj: obj["spec"]["versionPriority"] == 100)
    cluster.delete("apiservice", "v1.example.com")
    cluster.wait("apiservice/v1.example.com", "exists")
    cluster.delete("crd", "things.example.com")
    cluster.wait("apiservice/v1.example.com", "delete")


def test_apiservices_themselves_are_never_given_away(cluster: FreshCluster) -> None:
    given = api_service(insecureSkipTLSVerify=True)
    given["metadata"]["name"] = "v1.apiregistration.k8s.io"
    given["spec"]["group"] = "apiregistration.k8s.io"
    cluster.apply([given])
    cluster.settle()
    assert ask(cluster, "GET", "/apis/apiregistration.k8s.io/v1")[0] == 200
    cluster.delete("apiservice", "v1.apiregistration.k8s.io")


def test_a_built_in_group_can_be_given_away_and_taken_back(cluster: FreshCluster) -> None:
    spec = {"service": {"namespace": "default", "name": "notes"}, "insecureSkipTLSVerify": True}
    cluster.patch("apiservice", "v2.autoscaling", {"spec": spec})
    cluster.settle()
    assert ask(cluster, "GET", "/apis/autoscaling/v2")[0] == 503
    assert ask(cluster, "GET", "/apis/autoscaling/v1")[0] == 200
    cluster.patch("apiservice", "v2.autoscaling", {"spec": {"service": None, "insecureSkipTLSVerify": None}})
    cluster.settle()
    assert ask(cluster, "GET", "/apis/autoscaling/v2")[0] == 200
    cluster.wait("apiservice/v2.autoscaling", lambda obj: available(obj).get("reason") == "Local")


def test_a_local_service_of_a_group_that_nobody_serves_is_in_discovery_only(cluster: FreshCluster) -> None:
    local = api_service()
    del local["spec"]["service"]
    cluster.apply([local])
    cluster.wait(f"apiservice/{NAME}", lambda obj: available(obj).get("reason") == "Local")
    assert json.loads(ask(cluster, "GET", "/apis/notes.example.com")[1])["versions"][0]["version"] == "v1"
    with pytest.raises(StatusError) as found:
        cluster._run(cluster.client_in_thread().list(NOTES, "default"))
    assert (found.value.code, found.value.message) == (404, "404 page not found")
    assert ask(cluster, "GET", ROOT) == (404, b"404 page not found\n")


def test_what_is_missing_is_named(cluster: FreshCluster) -> None:
    cluster.apply([api_service(insecureSkipTLSVerify=True)])
    assert until(cluster, "ServiceNotFound")["message"] == 'service/notes in "default" is not present'
    status, body = ask(cluster, "GET", f"{ROOT}/notes")
    assert (status, body) == (503, b"service unavailable\n")
    assert ask(cluster, "GET", f"/openapi/v3{ROOT}") == (404, b"")
    cluster.apply([service(port=8443)])
    assert until(cluster, "ServicePortError")["message"] == 'service/notes in "default" is not listening on port 443'
    cluster.apply([service()])
    assert until(cluster, "EndpointsNotFound")["message"] == 'cannot find endpointslices for service/notes in "default"'
    cluster.apply([slice_(port="other")])
    wanted = 'endpointslices for service/notes in "default" have no addresses with port name "https"'
    assert until(cluster, "MissingEndpoints")["message"] == wanted
    cluster.stand_in("notes", 1)
    cluster.apply([slice_()])
    found = until(cluster, "FailedDiscoveryCheck")
    assert found["message"].startswith("failing or missing response from https://10.96.")
    assert found["message"].endswith(":443: connect: connection refused")
    assert found["status"] == "False"


def test_requests_are_handed_on_as_whoever_asks(extension: Extension, cluster: FreshCluster) -> None:
    extra = {"example.com/Team%": ("a", "b")}
    alice = authenticated("alice", "u-1", ("system:masters", "devs"), extra)
    forged = {
        "x-remote-user": "mallory",
        "x-remote-group": "evil",
        "x-remote-extra-x": "y",
        "authorization": "Bearer x",
    }
    status, body = ask(cluster, "GET", f"{ROOT}/whoami", headers={**forged, "x-other": "kept"}, user=alice)
    found = json.loads(body)
    assert status == 200
    assert (found["user"], found["uid"]) == ("alice", "u-1")
    assert found["groups"] == ["system:masters", "devs", "system:authenticated"]
    assert found["extra"] == {"example.com/team%": ["a", "b"]}
    assert "authorization" not in found["headers"]
    assert found["headers"]["x-other"] == "kept"


def test_without_a_right_here_nothing_is_handed_on(extension: Extension, cluster: FreshCluster) -> None:
    with pytest.raises(StatusError) as found:
        cluster._run(InProcessClient(cluster._entered.server, authenticated("bob")).list(NOTES, "default"))
    assert found.value.code == 403
    assert 'User "bob" cannot list resource "notes" in API group "notes.example.com"' in found.value.message


def test_the_extension_server_asks_the_cluster_itself(extension: Extension, cluster: FreshCluster) -> None:
    """A front proxy that lets everybody through: the other server's SubjectAccessReview refuses."""
    import ssl
    import urllib.error
    import urllib.request

    context = ssl.create_default_context(cadata=base64.b64decode(extension.bundle).decode())
    context.check_hostname = False
    path = f"https://127.0.0.1:{extension.port}{ROOT}/namespaces/default/notes"

    def directly(token: str) -> int:
        asked = urllib.request.Request(path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(asked, context=context, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    token = extension._token()
    assert directly("nonsense") == 401
    assert directly(token) == 403
    role = [{"apiGroups": ["notes.example.com"], "resources": ["notes"], "verbs": ["list"]}]
    api = "rbac.authorization.k8s.io"
    cluster.apply([{"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": "notes"}, "rules": role}])
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "notes"},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "notes"},
        "subjects": [{"kind": "ServiceAccount", "name": "notes", "namespace": "default"}],
    }
    cluster.apply([binding])
    assert directly(token) == 200


def test_discovery_has_its_group_in_order(extension: Extension, cluster: FreshCluster) -> None:
    cluster.settle()
    _, body = ask(cluster, "GET", "/apis")
    names = [group["name"] for group in json.loads(body)["groups"]]
    assert names[0] == "apiregistration.k8s.io"
    assert names[-2:] == ["notes.example.com", "metrics.k8s.io"]
    assert json.loads(ask(cluster, "GET", "/apis/notes.example.com")[1])["preferredVersion"]["version"] == "v1"
    assert json.loads(ask(cluster, "GET", ROOT)[1])["resources"][0]["name"] == "notes"
    accept = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    _, body = ask(cluster, "GET", "/apis", headers=accept)
    (version,) = next(g["versions"] for g in json.loads(body)["items"] if g["metadata"]["name"] == "notes.example.com")
    assert version["freshness"] == "Current"
    (resource,) = version["resources"]
    assert resource["responseKind"] == {"group": "notes.example.com", "version": "v1", "kind": "Note"}
    assert (resource["scope"], resource["shortNames"]) == ("Namespaced", ["nt"])
    index = json.loads(ask(cluster, "GET", "/openapi/v3")[1])["paths"]
    assert index["apis/notes.example.com/v1"] == {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=A"}
    swagger = json.loads(ask(cluster, "GET", "/openapi/v2")[1])["paths"]
    assert swagger[f"{ROOT}/notes"] == {"get": {}}
    assert "/version" not in swagger
    assert json.loads(ask(cluster, "GET", f"/openapi/v3{ROOT}")[1])["info"]["title"] == "notes"


def test_kubectl_works_with_its_resources(extension: Extension, cluster: FreshCluster) -> None:
    if find_kubectl() is None:
        pytest.skip("kubectl is not here")
    cluster.kubectl("create", "-f", "-", "--validate=false", input=json.dumps(note("a")))
    assert "note.notes.example.com/a" in cluster.kubectl("get", "notes", "-o", "name")
    assert cluster.kubectl("get", "nt", "a", "-o", "jsonpath={.text}") == "hello"
    assert "notes" in cluster.kubectl("api-resources", "--api-group=notes.example.com")
    cluster.kubectl("delete", "notes", "a")
    assert cluster.kubectl("get", "notes", "-o", "name").strip() == ""


def test_watches_stream(extension: Extension, cluster: FreshCluster) -> None:
    import threading

    client = cluster.client_in_thread()
    seen: list[str] = []
    began, ended = threading.Event(), threading.Event()

    async def follow() -> None:
        began.set()
        async for event in client.watch(NOTES, "default"):
            seen.append(f"{event.type} {event.object['metadata']['name']}")
            if len(seen) == 3:
                return

    def run() -> None:
        cluster._run(follow())
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert began.wait(10)
    path = f"{ROOT}/namespaces/default/notes"
    for name in ("a", "b"):
        assert ask(cluster, "POST", path, json.dumps(note(name)).encode())[0] == 201
    assert ask(cluster, "DELETE", f"{path}/a")[0] == 200
    assert ended.wait(20)
    assert seen == ["ADDED a", "ADDED b", "DELETED a"]


def test_over_https_watches_stream_and_upgrades_pass(extension: Extension, cluster: FreshCluster) -> None:
    from heeler.client.https import HttpsClient
    from heeler.wire.http.client import HttpClient

    assert cluster._access is not None
    access = cluster._access
    client = HttpsClient(access)
    path = f"{ROOT}/namespaces/default/notes"
    seen: list[str] = []

    async def follow() -> None:
        async for event in client.watch(NOTES, "default"):
            seen.append(f"{event.type} {event.object['metadata']['name']}")
            if len(seen) == 1:  # the first event came while the answer was still under way
                await client.create(NOTES, note("b"), "default")
            else:
                return

    async def echo() -> bytes:
        assert access.authority is not None and access.certificate is not None and access.key is not None
        with memory_file("crt", access.certificate) as certificate, memory_file("key", access.key) as key:
            tls = pki.client_context(access.authority, certificate, key)
        raw = HttpClient(tls)
        headers = {"Connection": "Upgrade", "Upgrade": "echo"}
        answer = await raw.request("GET", f"{cluster.server}{ROOT}/echo", headers=headers)
        assert answer.status == 101
        stream = answer.stream()
        await stream.write(b"hello\n")
        found = await stream.read()
        await stream.close()
        await raw.close()
        return found

    assert ask(cluster, "POST", path, json.dumps(note("a")).encode())[0] == 201
    cluster._run(follow())
    assert seen == ["ADDED a", "ADDED b"]
    assert cluster._run(echo()) == b"echo hello\n"
    cluster._run(client.close())


def test_nobody_is_led_elsewhere(extension: Extension, cluster: FreshCluster) -> None:
    status, body = ask(cluster, "GET", f"{ROOT}/redirect")
    assert (status, body) == (502, b"the backend attempted to redirect this request, which is not permitted")


def test_a_server_that_dies_is_unavailable_until_it_is_back(extension: Extension, cluster: FreshCluster) -> None:
    assert ask(cluster, "GET", f"{ROOT}/namespaces/default/notes")[0] == 200
    extension.kill()
    status, body = ask(cluster, "GET", f"{ROOT}/namespaces/default/notes")
    assert status == 503
    assert body.startswith(b"error trying to reach service: dial tcp 10.96.")
    cluster.advance("31 s")
    assert until(cluster, "FailedDiscoveryCheck")["status"] == "False"
    assert ask(cluster, "GET", f"{ROOT}/namespaces/default/notes") == (503, b"service unavailable\n")
    accept = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    groups = json.loads(ask(cluster, "GET", "/apis", headers=accept)[1])["items"]
    (version,) = next(g["versions"] for g in groups if g["metadata"]["name"] == "notes.example.com")
    assert version["freshness"] == "Stale"
    assert version["resources"][0]["resource"] == "notes"
    extension.start()
    cluster.advance("31 s")
    until(cluster, "Passed")
    assert ask(cluster, "GET", f"{ROOT}/namespaces/default/notes")[0] == 200
    cluster.delete("apiservice", NAME)
    cluster.settle()
    assert ask(cluster, "GET", f"{ROOT}/namespaces/default/notes")[0] == 404


def test_a_certificate_of_somebody_else_is_no_service(cluster: FreshCluster, tmp_path: Path) -> None:
    extension = Extension(cluster, tmp_path)
    extension.install()
    extension.start()
    try:
        other = base64.b64encode(pki.new_authority("other", time.time()).certificate).decode()
        cluster.apply([api_service(caBundle=other)])
        found = until(cluster, "FailedDiscoveryCheck")
        assert found["message"].endswith(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        )
    finally:
        extension.kill()
        cluster._entered.server.reach.routes.clear()


def test_whom_to_believe_is_published(cluster: FreshCluster) -> None:
    data = cluster.get("configmap", "extension-apiserver-authentication", "kube-system")["data"]
    assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(data["requestheader-extra-headers-prefix"]) == ["X-Remote-Extra-"]
    assert data["client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
    assert data["requestheader-client-ca-file"] != data["client-ca-file"]
