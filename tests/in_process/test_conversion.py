"""Custom resources in several versions, converted by a webhook."""

import asyncio
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
from heeler.objects.value import GroupVersionResource
from heeler.testing.cluster import FreshCluster

Json = dict[str, Any]
GROUP = "example.com"
V1 = GroupVersionResource(GROUP, "v1", "things")
V2 = GroupVersionResource(GROUP, "v2", "things")


def rename(obj: Json, version: str) -> Json:
    """v1 has spec.hostPort "host:port", v2 spec.host and spec.port."""
    spec = dict(obj["spec"])
    if version == f"{GROUP}/v2":
        host, _, port = spec.pop("hostPort").partition(":")
        spec |= {"host": host, "port": port}
    else:
        spec["hostPort"] = f"{spec.pop('host')}:{spec.pop('port')}"
    return {**obj, "apiVersion": version, "spec": spec}


class Converter:
    """A conversion webhook; `change` may spoil the response, `calls` has the requests."""

    def __init__(self) -> None:
        now = time.time()
        authority = pki.new_authority("converter-ca", now)
        pair = pki.issue(authority, "converter", now, server_names=["127.0.0.1"])
        self.bundle = base64.b64encode(authority.certificate).decode()
        self.calls: list[Json] = []
        self.change: Callable[[Json], Any] = lambda response: response
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                request = review["request"]
                outer.calls.append({**request, "path": self.path, "version": review["apiVersion"]})
                objects = [rename(one, request["desiredAPIVersion"]) for one in request["objects"]]
                response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
                answer = {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response}
                found = outer.change(answer)
                body = json.dumps(found).encode()
                self.send_response(200)
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
        self.url = f"https://127.0.0.1:{self.port}/convert"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def definition(self, storage: str = "v2") -> Json:
        schemas = {"v1": ["hostPort"], "v2": ["host", "port", "colour"]}

        def version(name: str) -> Json:
            fields: Json = {field: {"type": "string"} for field in schemas[name]}
            if name == "v2":
                fields["colour"]["default"] = "red"
            spec = {"type": "object", "properties": fields, "required": schemas[name][:1]}
            schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
            column = {"name": schemas[name][0], "type": "string", "jsonPath": f".spec.{schemas[name][0]}"}
            selectable = [{"jsonPath": f".spec.{schemas[name][0]}"}]
            out = {"name": name, "served": True, "storage": name == storage, "schema": schema}
            return {**out, "additionalPrinterColumns": [column], "selectableFields": selectable}

        client = {"url": self.url, "caBundle": self.bundle}
        webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"},
                "versions": [version("v1"), version("v2")],
                "conversion": {"strategy": "Webhook", "webhook": webhook},
            },
        }


@pytest.fixture
def converter() -> Iterator[Converter]:
    found = Converter()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def cluster(converter: Converter) -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        found.apply([converter.definition()])
        found.wait(f"crd/things.{GROUP}", "condition=Established")
        found.settle()
        yield found


def thing(name: str = "a", version: str = "v1", **spec: str) -> Json:
    given = spec or ({"hostPort": "h:1"} if version == "v1" else {"host": "h", "port": "1"})
    return {"apiVersion": f"{GROUP}/{version}", "kind": "Thing", "metadata": {"name": name}, "spec": given}


def run(cluster: FreshCluster, method: str, *arguments: Any, **named: Any) -> Any:
    return cluster._run(getattr(cluster.client_in_thread(), method)(*arguments, **named))


def stored(cluster: FreshCluster, name: str = "a") -> Json:
    entry = cluster._run(cluster._entered.store.get(f"/registry/{GROUP}/things/default/{name}"))
    assert entry is not None
    found: Json = json.loads(entry.value)
    return found


def test_what_is_written_in_one_version_is_stored_and_read_in_others(
    cluster: FreshCluster, converter: Converter
) -> None:
    made = run(cluster, "create", V1, thing(), "default")
    assert made["spec"] == {"hostPort": "h:1"}
    assert stored(cluster)["apiVersion"] == f"{GROUP}/v2"
    assert stored(cluster)["spec"] == {"host": "h", "port": "1"}
    call, back = converter.calls  # to the store, and what came of it
    assert (call["desiredAPIVersion"], call["version"]) == (f"{GROUP}/v2", "apiextensions.k8s.io/v1")
    assert back["desiredAPIVersion"] == f"{GROUP}/v1"
    assert call["path"] == "/convert?timeout=30s"
    assert "resourceVersion" not in call["objects"][0]["metadata"]
    found = run(cluster, "get", V2, "a", "default")
    assert found["spec"] == {"host": "h", "port": "1", "colour": "red"}  # the default of the version that is read
    back = run(cluster, "get", V1, "a", "default")
    assert back["spec"] == {"hostPort": "h:1"}
    assert back["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]


def test_each_version_is_checked_by_its_own_schema(cluster: FreshCluster, converter: Converter) -> None:
    with pytest.raises(StatusError, match=r"spec.hostPort: Required value"):
        run(cluster, "create", V1, thing(hostport="x"), "default")
    assert converter.calls == []  # refused before anything is converted
    run(cluster, "create", V1, thing(), "default")
    patched = run(cluster, "patch", V1, "a", {"spec": {"hostPort": "g:2"}}, "default")
    assert patched["spec"] == {"hostPort": "g:2"}
    assert patched["metadata"]["generation"] == 2
    assert stored(cluster)["spec"]["host"] == "g"
    replaced = run(cluster, "update", V2, {**thing("a", "v2", host="f", port="3"), "metadata": patched["metadata"]})
    assert replaced["spec"] == {"host": "f", "port": "3", "colour": "red"}


def test_lists_are_converted_together_and_once(cluster: FreshCluster, converter: Converter) -> None:
    for name in "abc":
        run(cluster, "create", V2, thing(name, "v2", host=name, port="1"), "default")
    assert converter.calls == []
    found = run(cluster, "list", V1, "default")
    assert [one["spec"]["hostPort"] for one in found.items] == ["a:1", "b:1", "c:1"]
    (call,) = converter.calls
    assert len(call["objects"]) == 3
    run(cluster, "list", V1, "default")
    run(cluster, "get", V1, "a", "default")
    assert len(converter.calls) == 1
    found = run(cluster, "list", V1, "default", field_selector="spec.hostPort=b:1")
    assert [one["metadata"]["name"] for one in found.items] == ["b"]


def test_watches_see_their_version(cluster: FreshCluster, converter: Converter) -> None:
    seen: list[str] = []

    async def follow() -> None:
        client = cluster.client_in_thread()
        for name in "ab":
            await client.create(V2, thing(name, "v2", host=name, port="1"), "default")
        count = 0
        async for event in client.watch(V1, "default"):
            if event.type == "BOOKMARK":
                continue
            seen.append(f"{event.type} {event.object['spec']['hostPort']}")
            count += 1
            if count == 2:
                await client.patch(V2, "a", {"spec": {"port": "9"}}, "default")
                await client.delete(V2, "b", "default")
            if count == 4:
                return

    cluster._run(follow())
    assert seen == ["ADDED a:1", "ADDED b:1", "MODIFIED a:9", "DELETED b:1"]


def test_a_watch_by_a_field_sees_objects_come_and_go(cluster: FreshCluster, converter: Converter) -> None:
    seen: list[str] = []

    async def follow() -> None:
        client = cluster.client_in_thread()
        await client.create(V2, thing("a", "v2", host="a", port="1"), "default")
        async for event in client.watch(V1, "default", field_selector="spec.hostPort=a:1"):
            if event.type == "BOOKMARK":
                continue
            seen.append(f"{event.type} {event.object['spec']['hostPort']}")
            if len(seen) == 1:
                await client.patch(V2, "a", {"spec": {"port": "2"}}, "default")
            else:
                return

    cluster._run(follow())
    assert seen == ["ADDED a:1", "DELETED a:1"]


def test_a_new_storage_version_is_taken_up_by_writes(cluster: FreshCluster, converter: Converter) -> None:
    run(cluster, "create", V2, thing("a", "v2"), "default")
    cluster.apply([converter.definition(storage="v1")])
    cluster.settle()
    definition = cluster.get("crd", f"things.{GROUP}")
    assert definition["status"]["storedVersions"] == ["v2", "v1"]
    assert run(cluster, "get", V2, "a", "default")["spec"]["host"] == "h"
    found = run(cluster, "get", V1, "a", "default")
    assert stored(cluster)["apiVersion"] == f"{GROUP}/v2"
    run(cluster, "update", V1, found)  # nothing changes but the version that is stored
    assert stored(cluster)["apiVersion"] == f"{GROUP}/v1"


def test_dry_runs_and_deletions(cluster: FreshCluster, converter: Converter) -> None:
    path = f"/apis/{GROUP}/v1/namespaces/default/things"
    status, body = run(cluster, "request", "POST", path, query={"dryRun": "All"}, body=json.dumps(thing()).encode())
    assert status == 201
    assert json.loads(body)["spec"] == {"hostPort": "h:1"}
    run(cluster, "create", V2, thing("a", "v2"), "default")
    status, body = run(cluster, "request", "DELETE", path)
    assert status == 200
    assert json.loads(body)["items"][0]["spec"] == {"hostPort": "h:1"}
    assert run(cluster, "list", V2, "default").items == []


def test_columns_are_those_of_the_version(cluster: FreshCluster, converter: Converter) -> None:
    run(cluster, "create", V2, thing("a", "v2"), "default")
    for version, name, cell in (("v1", "hostPort", "h:1"), ("v2", "host", "h")):
        table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        path = f"/apis/{GROUP}/{version}/namespaces/default/things"
        from heeler.client.https import HttpsClient  # tables are made for HTTP only

        client = HttpsClient(cluster._access)  # type: ignore[arg-type]
        status, body = cluster._run(client.request("GET", path, headers=table))
        cluster._run(client.close())
        found = json.loads(body)
        assert status == 200
        assert found["columnDefinitions"][1]["name"] == name
        assert found["rows"][0]["cells"][1] == cell


def spoil(**changes: Any) -> Callable[[Json], Json]:
    """The first converted object with other values, by a path with underscores."""

    def change(answer: Json) -> Json:
        here = answer["response"]["convertedObjects"][0]
        for path, value in changes.items():
            *steps, last = path.split("__")
            target = here
            for step in steps:
                target = target[step]
            if value is None:
                target.pop(last, None)
            else:
                target[last] = value
        return answer

    return change


def response(**parts: Any) -> Callable[[Json], Json]:
    return lambda answer: {**answer, "response": {**answer["response"], **parts}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: {**a, "response": None}, "failed: no response provided"),
        (
            lambda a: {**a, "kind": "Other"},
            'failed: no kind "Other" is registered for version "apiextensions.k8s.io/v1" in scheme '
            '"pkg/runtime/scheme.go:111"',
        ),
        (
            lambda a: {**a, "apiVersion": "apiextensions.k8s.io/v1beta1"},
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
            "got apiextensions.k8s.io/v1beta1, Kind=ConversionReview",
        ),
        (response(uid="other"), 'failed: expected response.uid="'),
        (response(result={"status": "Failure", "message": "no way"}), "failed: no way"),
        (response(result={"status": "Failure"}), "failed: response.result.status was 'Failure', not 'Success'"),
        (response(convertedObjects=[]), "returned 0 objects, expected 1"),
        (
            spoil(apiVersion=f"{GROUP}/v3"),
            f"returned invalid object at index 0: invalid groupVersion (expected {GROUP}/v1, received {GROUP}/v3)",
        ),
        (spoil(kind="Other"), "returned invalid object at index 0: invalid kind (expected Thing, received Other)"),
        (spoil(metadata__name="b"), "returned invalid object: must have the same name: a != b"),
        (spoil(metadata__uid="b"), "returned invalid object: must have the same UID: "),
        (
            spoil(metadata__labels={"a": 1}),
            "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
        ),
        (spoil(metadata__labels={"/": "a"}), "returned invalid metadata: [metadata.labels: Invalid value"),
        (
            lambda _: [],
            "failed: couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type "
            r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }',
        ),
        (lambda a: {**a, "kind": ""}, 'failed: Object \'Kind\' is missing in \'{"kind": ""'),
    ],
)
def test_bad_answers_are_named(
    cluster: FreshCluster, converter: Converter, change: Callable[[Json], Any], words: str
) -> None:
    run(cluster, "create", V2, thing("a", "v2"), "default")
    converter.change = change
    with pytest.raises(StatusError) as found:
        run(cluster, "get", V1, "a", "default")
    corrupt = "StorageError: corrupt object, Code: 7, Key: /example.com/things/default/a, ResourceVersion: 0"
    assert found.value.message.startswith(
        f"Internal error occurred: {corrupt}, AdditionalErrorMsg: object not decodable"
    )
    assert f": conversion webhook for {GROUP}/v2, Kind=Thing {words}" in found.value.message
    assert (found.value.code, found.value.reason) == (500, "InternalError")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            response(convertedObjects=["x"]),
            "json: cannot unmarshal string into Go value of type map[string]interface {}",
        ),
        (spoil(kind=None), "Object 'Kind' is missing in '{"),
    ],
)
def test_what_is_no_object_at_all_is_told_without_the_webhook(
    cluster: FreshCluster, converter: Converter, change: Callable[[Json], Any], words: str
) -> None:
    revision = run(cluster, "create", V2, thing("a", "v2"), "default")["metadata"]["resourceVersion"]
    converter.change = change
    with pytest.raises(StatusError) as found:
        run(cluster, "get", V1, "a", "default")
    assert f", AdditionalErrorMsg: object not decodable revision={revision}: {words}" in found.value.message


def test_only_labels_and_annotations_of_the_metadata_may_change(cluster: FreshCluster, converter: Converter) -> None:
    run(cluster, "create", V2, thing("a", "v2"), "default")
    converter.change = spoil(metadata__labels={"by": "webhook"}, metadata__finalizers=["x/y"], metadata__generation=77)
    found = run(cluster, "get", V1, "a", "default")["metadata"]
    assert found["labels"] == {"by": "webhook"}
    assert "finalizers" not in found
    assert found["generation"] == 1


def test_many_who_want_the_same_ask_once_and_fail_together(cluster: FreshCluster, converter: Converter) -> None:
    run(cluster, "create", V2, thing("a", "v2"), "default")

    async def several() -> list[Any]:
        client = cluster.client_in_thread()
        return await asyncio.gather(*(client.get(V1, "a", "default") for _ in range(5)), return_exceptions=True)

    def slow(answer: Json) -> Json:
        time.sleep(0.2)
        return {**answer, "response": None}

    converter.change = slow
    found = cluster._run(several())
    end = f": conversion webhook for {GROUP}/v2, Kind=Thing failed: no response provided"
    assert [str(one).endswith(end) for one in found] == [True] * 5
    assert len(converter.calls) == 1
    converter.change = lambda answer: answer
    found = cluster._run(several())
    assert [one["spec"]["hostPort"] for one in found] == ["h:1"] * 5
    assert len(converter.calls) == 2


def test_a_webhook_that_is_down_is_named_and_a_stream_says_so(cluster: FreshCluster, converter: Converter) -> None:
    revision = run(cluster, "create", V2, thing("a", "v2"), "default")["metadata"]["resourceVersion"]
    definition = converter.definition()
    definition["spec"]["conversion"]["webhook"]["clientConfig"] = {"url": "https://127.0.0.1:1/x"}
    cluster.apply([definition])
    cluster.settle()
    words = (
        f'conversion webhook for {GROUP}/v2, Kind=Thing failed: Post "https://127.0.0.1:1/x?timeout=30s": '
        "dial tcp 127.0.0.1:1: connect: connection refused"
    )
    with pytest.raises(StatusError) as found:
        run(cluster, "list", V1, "default")
    words = f"object not decodable revision={revision}: {words}"
    corrupt = "StorageError: corrupt object, Code: 7, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: " + words
    in_list = corrupt.format("/registry/example.com/things/default/a")
    assert found.value.message == f"failed to read one or more things.example.com from the storage: {in_list}"
    assert (found.value.code, found.value.reason) == (500, "StorageReadError")
    assert found.value.details["causes"] == [
        {"reason": "UnexpectedServerResponse", "message": in_list, "field": "/registry/example.com/things/default/a"}
    ]
    for verb in ("get", "delete"):
        with pytest.raises(StatusError) as found:
            run(cluster, verb, V1, "a", "default")
        assert found.value.message == f"Internal error occurred: {corrupt.format('/example.com/things/default/a')}"
    with pytest.raises(StatusError) as found:
        run(cluster, "patch", V1, "a", {"x": 1}, "default")
    assert (found.value.code, found.value.message) == (500, words)
    with pytest.raises(StatusError) as found:
        run(cluster, "create", V1, thing("b"), "default")
    assert found.value.message == words.partition(": ")[2].replace("/v2", "/v1")
    assert run(cluster, "get", V2, "a", "default")["spec"]["host"] == "h"  # what needs no conversion goes on

    async def follow() -> None:
        async for _ in cluster.client_in_thread().watch(V1, "default"):
            pass

    with pytest.raises(StatusError) as found:
        cluster._run(follow())
    assert found.value.message == f"failed to read one or more things.example.com from the storage: {in_list}"
    cluster.delete("crd", f"things.{GROUP}")  # and a definition goes without its webhook
    cluster.wait(f"crd/things.{GROUP}", "delete")


def test_without_a_webhook_each_version_drops_what_it_does_not_know() -> None:
    def version(name: str, field: str) -> Json:
        spec = {"type": "object", "properties": {"both": {"type": "string"}, field: {"type": "string"}}}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {"name": name, "served": True, "storage": name == "v2", "schema": schema}

    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version("v1", "old"), version("v2", "new")],
        },
    }
    with FreshCluster() as cluster:
        cluster.apply([definition])
        cluster.wait(f"crd/things.{GROUP}", "condition=Established")
        cluster.settle()
        made = run(cluster, "create", V1, thing(both="b", old="o", new="x"), "default")
        assert made["spec"] == {"both": "b"}  # what is stored, and nothing else
        assert list(made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]) == [".", "f:both", "f:old"]
        assert stored(cluster)["spec"] == {"both": "b"}
        assert stored(cluster)["apiVersion"] == f"{GROUP}/v2"
        run(cluster, "patch", V2, "a", {"spec": {"new": "n"}}, "default")
        assert run(cluster, "get", V2, "a", "default")["spec"] == {"both": "b", "new": "n"}
        assert run(cluster, "get", V1, "a", "default")["spec"] == {"both": "b"}
        assert run(cluster, "patch", V1, "a", {"spec": {"both": "c"}}, "default")["spec"] == {"both": "c"}
        assert run(cluster, "get", V2, "a", "default")["spec"] == {"both": "c"}
