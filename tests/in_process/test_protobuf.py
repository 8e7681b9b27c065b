"""Answers in protobuf, negotiated as kube-apiserver negotiates them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from heeler.apiserver.encode_protobuf import Encoded
from heeler.apiserver.request import serve
from heeler.kinds.protobuf import envelope
from heeler.kinds.protobuf.facts import META
from heeler.kinds.protobuf.read import read
from heeler.objects.value import Object
from heeler.testing.cluster import FreshCluster
from heeler.wire.http.messages import Peer, Request, Response
from tests.unit.kinds.recorded import Place, cases, place

PROTOBUF = "application/vnd.kubernetes.protobuf"
ADMIN = Peer("127.0.0.1:1", "admin", ("system:masters",))
METADATA = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
TABLE = f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1"
MAPS = "/api/v1/namespaces/default/configmaps"
DOGS = "/apis/example.com/v1/namespaces/default/dogs"
CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "dogs.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Dog", "plural": "dogs"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
#: What is said of media types that aren't there, and of streams.
ONLY = f"only the following media types are accepted: application/json, application/yaml, {PROTOBUF}"
STREAMS = f"only the following media types are accepted: application/json;stream=watch, {PROTOBUF};stream=watch"


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        found.apply(CRD)
        found.apply({"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}, "spec": {"age": 3}})
        found.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
        yield found


class Answer:
    """What came back: the media type, and the object, or the events of a watch."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.media = headers.get("Content-Type", "")

    @property
    def object(self) -> Object:
        if self.media.startswith("application/json"):
            found: Object = orjson.loads(self.body)
            return found
        return opened(self.body)

    @property
    def events(self) -> list[tuple[str, Object]]:
        out, rest = [], self.body
        while rest:
            size = int.from_bytes(rest[:4], "big")
            event, rest = rest[4 : 4 + size], rest[4 + size :]
            found = read(f"{META}.v1.WatchEvent", b"\x0a" + event[1:].split(b"\x12", 1)[0])
            out.append((found["type"], opened(event[event.index(b"k8s\0") :])))
        return out


def opened(document: bytes) -> Object:
    api_version, kind, content = envelope.open_document(document)
    return {"kind": kind, "apiVersion": api_version, **(envelope.read_object(api_version, kind, content) or {})}


def ask(
    cluster: FreshCluster,
    path: str,
    accept: str = PROTOBUF,
    method: str = "GET",
    body: bytes = b"",
    media: str = PROTOBUF,
) -> Answer:
    parts = urlsplit(path)
    headers = {"accept": accept, "content-type": media, "user-agent": "test"}
    request = Request(method, path, parts.path, parse_qs(parts.query), headers, body, peer=ADMIN)

    async def run() -> Answer:
        answer = await serve(request, cluster._entered.server)
        assert isinstance(answer, Response)
        if isinstance(answer.body, bytes):
            return Answer(answer.status, dict(answer.headers), answer.body)
        found = b""
        stream: Any = answer.body
        try:
            async with asyncio.timeout(2):
                async for piece in stream:
                    found += piece
        except TimeoutError:
            pass
        return Answer(answer.status, dict(answer.headers), found)

    return cluster._run(run())


def test_objects_lists_and_refusals(shared: FreshCluster) -> None:
    one = ask(shared, f"{MAPS}/a")
    assert (one.status, one.media) == (200, PROTOBUF)
    stored = ask(shared, f"{MAPS}/a", "application/json").object
    assert one.object == stored
    many = ask(shared, f"{MAPS}?labelSelector=!x&limit=500")
    assert many.media == PROTOBUF
    head = {"kind": "ConfigMapList", "apiVersion": "v1"}
    assert {**many.object, "items": []} == {**head, "metadata": many.object["metadata"], "items": []}
    assert {k: v for k, v in stored.items() if k not in ("kind", "apiVersion")} in many.object["items"]
    missing = ask(shared, f"{MAPS}/none")
    assert (missing.status, missing.media, missing.object["reason"]) == (404, PROTOBUF, "NotFound")
    assert missing.object["details"] == {"name": "none", "kind": "configmaps"}


def test_every_kind_is_listed_alike_in_both(shared: FreshCluster) -> None:
    """In each version; a running cluster has objects of many kinds."""
    pods: Object = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pods}
    shared.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    shared.wait("deployment/web", "condition=Available")
    shared.advance("5s")
    filled = 0
    for kind in list(shared._entered.server.kinds):
        for version in kind.versions:
            if "list" not in kind.verbs or kind.group in ("example.com", "metrics.k8s.io"):
                continue
            path = f"/apis/{kind.group}/{version}/{kind.plural}" if kind.group else f"/api/{version}/{kind.plural}"
            plain, found = ask(shared, path, "application/json").object, ask(shared, path)
            assert (found.status, found.media) == (200, PROTOBUF), path
            assert found.object.get("metadata", {}) == plain["metadata"]
            for ours, theirs in zip(found.object.get("items", []), plain["items"], strict=True):
                assert kind.decode(ours, version) == kind.decode(theirs, version)
            filled += bool(plain["items"])
    assert filled > 20


#: Kinds whose objects change the others' world, or that nobody creates.
_APART = ("Namespace", "Node", "CustomResourceDefinition", "APIService", "ComponentStatus", "Binding")


def recorded_objects() -> Iterator[tuple[str, Place, Object]]:
    """Collections' paths with objects that were created there, a few of each kind and each once."""
    told: dict[str, list[Object]] = {}
    for area in ("defaults", "table", "validation"):
        for case in cases(area):
            for step in case["steps"]:
                request, obj = step["request"], step["request"].get("body")
                where = place(request["path"])
                created = (step.get("response") or {}).get("status") == 201 or step.get("setup")
                if request["method"] != "POST" or not created or where is None or not isinstance(obj, dict):
                    continue
                kind, text = where.kind, orjson.dumps(obj).decode().replace(case["id"], "default")
                if kind.kind in _APART or where.subresource or "update" not in kind.verbs or "{{" in text:
                    continue
                before = told.setdefault(kind.kind, [])
                obj = orjson.loads(text)
                obj["metadata"] = {**(obj.get("metadata") or {}), "name": f"recorded-{len(before)}"}
                obj["metadata"].pop("namespace", None)
                if len(before) < 4 and obj.get("spec") not in [other.get("spec", 0) for other in before]:
                    before.append(obj)
                    yield request["path"].partition("?")[0].replace(case["id"], "default"), where, obj


def test_what_is_read_in_protobuf_and_put_back_changes_nothing(shared: FreshCluster) -> None:
    """Nor does it matter in which encoding an object was created."""
    tried = set()
    for path, where, obj in recorded_objects():
        text = ask(shared, path, "application/json", "POST", orjson.dumps(obj), "application/json")
        if text.status != 201:  # it needs what isn't here
            continue
        name = obj["metadata"]["name"]
        found = ask(shared, f"{path}/{name}")
        put = ask(shared, f"{path}/{name}", method="PUT", body=found.body)
        if found.status == 404 or put.status == 409:  # a controller was faster
            continue
        assert put.status == 200, (obj, put.object)
        assert put.object["metadata"]["resourceVersion"] == found.object["metadata"]["resourceVersion"], obj
        other = {**obj, "metadata": {**obj["metadata"], "name": f"{name}-again"}}
        says = {"kind": where.kind.kind, "apiVersion": where.kind.api_version(where.version)}
        given = envelope.whole({**where.kind.decode(other, where.version)[0], **says}) or b""
        again = ask(shared, f"{path}?dryRun=All", method="POST", body=given)
        assert again.status == 201 or "provided port is already allocated" in again.object["message"], (
            obj,
            again.object,
        )
        tried.add(where.kind.kind)
    assert len(tried) > 25


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (f"{PROTOBUF},application/json", PROTOBUF),
        (f"application/json,{PROTOBUF}", "application/json"),
        (f"application/json;q=0.5,{PROTOBUF}", PROTOBUF),
        (f"{TABLE},application/json", "application/json"),
        (f"{TABLE},{PROTOBUF}", PROTOBUF),
        (f"{PROTOBUF};stream=watch", PROTOBUF),
        ("*/*", "application/json"),
    ],
)
def test_the_first_encoding_that_can_be(shared: FreshCluster, accept: str, media: str) -> None:
    assert ask(shared, f"{MAPS}/a", accept).media == media


def test_tables_have_no_protobuf(shared: FreshCluster) -> None:
    refused = ask(shared, MAPS, TABLE)
    assert (refused.status, refused.media, refused.object["message"]) == (406, "application/json", ONLY)


def test_custom_resources_have_none_but_their_metadata_do(shared: FreshCluster) -> None:
    assert ask(shared, f"{DOGS}/rex", f"{PROTOBUF},application/json").media == "application/json"
    for path in (DOGS, f"{DOGS}/rex"):
        refused = ask(shared, path)
        assert (refused.status, refused.media, refused.object["message"]) == (406, PROTOBUF, ONLY)
    assert ask(shared, f"{DOGS}/rex", "application/*").media == "application/json"
    found = ask(shared, f"{DOGS}/rex", METADATA)
    assert (found.media, found.object["kind"], found.object["metadata"]["name"]) == (
        PROTOBUF,
        "PartialObjectMetadata",
        "rex",
    )
    listed = ask(shared, DOGS, METADATA.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList"))
    assert [item["metadata"]["name"] for item in listed.object["items"]] == ["rex"]
    missing = ask(shared, f"{DOGS}/none", METADATA)  # a Status is no metadata, so it can't be asked for like that
    assert (missing.status, missing.media) == (404, "application/json")
    watched = ask(shared, f"{DOGS}?watch=1&timeoutSeconds=1", METADATA)
    assert watched.media == f"{PROTOBUF};stream=watch"
    assert [(type_, obj["kind"]) for type_, obj in watched.events] == [("ADDED", "PartialObjectMetadata")]
    body = envelope.document("example.com/v1", "Dog", b"\x0a\x00")
    refused = ask(shared, DOGS, "application/json", "POST", body)
    assert refused.status == 400
    assert "Unstructured does not implement the protobuf marshalling interface" in refused.object["message"]


def test_metadata_of_a_list_are_asked_for_as_a_list(shared: FreshCluster) -> None:
    a_list = ask(shared, MAPS, METADATA)
    assert (a_list.status, a_list.object["message"]) == (
        406,
        "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
    )
    one = ask(shared, f"{MAPS}/a", METADATA.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList"))
    assert one.object["message"] == (
        "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"
    )


def test_watches(shared: FreshCluster) -> None:
    name = "metadata.name%3Da"
    found = ask(shared, f"{MAPS}?watch=1&timeoutSeconds=1&fieldSelector={name}&sendInitialEvents=true"
                "&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan")  # fmt: skip
    assert found.media == f"{PROTOBUF};stream=watch"
    (added, obj), (marked, bookmark) = found.events
    assert (added, obj["kind"], obj["data"], marked) == ("ADDED", "ConfigMap", {"k": "v"}, "BOOKMARK")
    assert bookmark["kind"] == "ConfigMap"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert ask(shared, f"{MAPS}?watch=1&timeoutSeconds=1", "application/json").media == "application/json"
    refused = ask(shared, f"{MAPS}?watch=1", f"application/yaml,{PROTOBUF}")
    assert (refused.status, refused.media) == (406, "application/yaml")
    assert STREAMS in refused.body.decode().replace("\n ", "")  # long lines are folded
    assert (
        ask(shared, f"{MAPS}?watch=1", METADATA.replace("=PartialObjectMetadata", "=PartialObjectMetadataList")).events
        == []
    )


def test_a_watch_that_begins_too_early_ends_with_an_error(shared: FreshCluster) -> None:
    cache = next(c for c in shared._entered.server.cache if c.kind.kind == "ConfigMap")
    before, cache.oldest = cache.oldest, type(cache.oldest)(5)
    try:
        found = ask(shared, f"{MAPS}?watch=1&resourceVersion=2")
    finally:
        cache.oldest = before
    assert [(type_, obj["kind"], obj["code"], obj["reason"]) for type_, obj in found.events] == [
        ("ERROR", "Status", 410, "Expired")
    ]


def test_writes_in_protobuf(shared: FreshCluster) -> None:
    wanted: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"x": "y"}}
    body = envelope.whole(wanted)
    assert body is not None
    made = ask(shared, MAPS, method="POST", body=body)
    assert (made.status, made.media, made.object["data"]) == (201, PROTOBUF, {"x": "y"})
    bare = envelope.document(
        "", "", envelope.open_document(body)[2]
    )  # what doesn't say what it is is what the path names
    again = ask(shared, MAPS, method="POST", body=bare)
    assert (again.status, again.object["reason"]) == (409, "AlreadyExists")
    broken = ask(shared, MAPS, method="POST", body=envelope.document("v1", "ConfigMap", b"\x0a\x05"))
    assert broken.object["message"] == 'ConfigMap in version "v1" cannot be handled as a ConfigMap: unexpected EOF'
    nothing = ask(shared, MAPS, method="POST", body=b"k8s\0")
    assert nothing.object["message"] == (
        "the object provided is unrecognized (must be of type ConfigMap): empty body (6b387300)"
    )
    gone = ask(shared, f"{MAPS}/b", method="DELETE")
    assert (gone.media, gone.object["status"], gone.object["details"]["name"]) == (PROTOBUF, "Success", "b")


def test_discovery(shared: FreshCluster) -> None:
    for path, kind, version in (
        ("/api", "APIVersions", ""),
        ("/apis", "APIGroupList", "v1"),
        ("/apis/apps", "APIGroup", "v1"),
        ("/apis/apps/v1", "APIResourceList", "v1"),
    ):
        found = ask(shared, path)
        plain = ask(shared, path, "application/json").object
        assert (found.media, found.object["kind"], found.object["apiVersion"]) == (PROTOBUF, kind, version)
        names = [r["name"] for r in plain.get("resources") or plain.get("groups") or []]
        assert [r["name"] for r in found.object.get("resources") or found.object.get("groups") or []] == names
    aggregated = f"{PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found = ask(shared, "/apis", aggregated)
    assert (found.media, found.object["kind"]) == (aggregated, "APIGroupDiscoveryList")
    assert (
        found.headers["ETag"] == ask(shared, "/apis", aggregated.replace(PROTOBUF, "application/json")).headers["ETag"]
    )
    assert ask(shared, "/").media == "application/json"
    assert ask(shared, "/openapi/v2").status == 406


OBJECTS = f"application/json, application/yaml, {PROTOBUF}"
BOTH = f"{OBJECTS}, application/json;stream=watch, {PROTOBUF};stream=watch"


@pytest.mark.parametrize(
    ("method", "path", "accept", "said"),
    [
        ("GET", f"{MAPS}/a", "application/*", f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"),
        ("GET", MAPS, "text/html", f"406: Not Acceptable\n\nAvailable representations: {BOTH}"),
        ("POST", MAPS, "text/html", f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"),
        ("DELETE", MAPS, "text/html", f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"),
        ("GET", MAPS, f"{PROTOBUF};stream=other", ONLY),
        ("GET", DOGS, "text/html", ONLY),
        ("GET", f"{DOGS}?watch=1", "text/html", ONLY),
        ("GET", "/api", "text/html", f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"),
        ("GET", "/apis", "text/html", ONLY),
        ("GET", "/apis/apps", "text/html", ONLY),
        ("GET", "/apis/apps/v1", "application/*", f"406: Not Acceptable\n\nAvailable representations: {OBJECTS}"),
        ("GET", "/apis/example.com/v1", "text/html", ONLY),
        ("GET", "/version", PROTOBUF, "406: Not Acceptable\n\nAvailable representations: application/json"),
        ("GET", "/api/v1/namespaces/default/pods/x/log", "text/html", "406: Not Acceptable\n\nAvailable "
         f"representations: text/plain, {OBJECTS}"),
        ("GET", "/api/v1/namespaces/default/pods/x/log", "text/plain", ONLY),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_the_router_or_by_the_negotiation(
    shared: FreshCluster, method: str, path: str, accept: str, said: str
) -> None:
    refused = ask(shared, path, accept, method, b"{}" if method == "POST" else b"", "application/json")
    assert (refused.status, refused.object["message"]) == (406, said)
    assert ("details" in refused.object) == (said != ONLY)


def test_what_is_not_stored_has_metadata_too(shared: FreshCluster) -> None:
    body = b'{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}'
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    found = ask(shared, path, METADATA, "POST", body, "application/json")
    assert (found.media, found.object["kind"]) == (PROTOBUF, "PartialObjectMetadata")
    refused = ask(shared, path, METADATA.replace("Metadata;", "MetadataList;"), "POST",
                  body, "application/json")  # fmt: skip
    assert refused.object["message"] == (
        "you requested PartialObjectMetadataList, but the requested object is not a list "
        "(*authorization.SelfSubjectAccessReview)"
    )
    one = ask(shared, f"{DOGS}/rex", METADATA.replace("Metadata;", "MetadataList;"))
    assert (one.status, one.object["message"]) == (500, "content is not a list")


def test_options_in_a_body_stand_in_the_place_of_those_in_the_query(shared: FreshCluster) -> None:
    shared.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}})
    path = f"{MAPS}/kept?dryRun=All"
    assert ask(shared, path, method="DELETE").status == 200
    assert ask(shared, f"{MAPS}/kept").status == 200
    body = envelope.document("v1", "DeleteOptions", b"")
    assert ask(shared, path, method="DELETE", body=body).status == 200
    assert ask(shared, f"{MAPS}/kept").status == 404


def test_what_is_encoded_is_kept_until_it_changes(shared: FreshCluster) -> None:
    encoded = shared._entered.server.cache.encoded
    encoded.clear()
    ask(shared, MAPS)
    kept = encoded.size
    assert kept > 0
    ask(shared, f"{MAPS}/a")
    ask(shared, MAPS)
    assert encoded.size == kept
    shared.patch("configmap", "a", {"metadata": {"annotations": {"x": "y"}}})
    assert encoded.size < kept
    assert ask(shared, f"{MAPS}/a").object["metadata"]["annotations"] == {"x": "y"}
    ask(shared, DOGS, METADATA.replace("as=PartialObjectMetadata", "as=PartialObjectMetadataList"))
    encoded.clear()
    assert (encoded.size, encoded._items) == (0, {})


def test_no_more_is_kept_than_is_allowed(shared: FreshCluster) -> None:
    server = shared._entered.server
    cache = next(c for c in server.cache if c.kind.kind == "ClusterRole")
    server.cache.encoded.clear()
    small = Encoded(lambda item: True, limit=20_000)
    for _ in range(3):
        for item in cache.items.values():
            assert envelope.unlisted(small.item(item, "rbac.authorization.k8s.io/v1"))
            assert small.size <= 20_000
    assert 0 < len(small._items) < len(cache.items)
    small.clear()
