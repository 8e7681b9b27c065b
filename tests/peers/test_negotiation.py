"""The same questions to kube-apiserver and to Heeler, in every encoding and shape: status, media type, words and bytes.

Needs upstream's programs (`make peers` builds them).
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from heeler.kinds.protobuf import envelope
from heeler.kinds.registry import built_in
from tests.conftest import ApiServerProcess
from tests.in_process.test_protobuf import CRD, DOGS, MAPS, PROTOBUF, opened
from tests.peers.differential import PEERS, upstream

pytestmark = [
    pytest.mark.timeout(300),
    # `upstream` keeps a connection of its own
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(
        not all((PEERS / name).exists() for name in ("kube-apiserver", "etcd")),
        reason="upstream's programs aren't built: make peers",
    ),
]
METADATA = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
ACCEPTS = (
    *("", PROTOBUF, f"{PROTOBUF},application/json", f"application/json;q=0.1,{PROTOBUF}", f"text/html,{PROTOBUF}"),
    *(METADATA, METADATA_LIST, METADATA.replace("v=v1", "v=v1beta1"), METADATA_LIST.replace("v=v1", "v=v1beta1")),
    *(f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1", f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json"),
    *("application/*", "text/html", "text/plain", f"{PROTOBUF};stream=watch", f"{PROTOBUF};stream=other"),
    *(f"application/yaml,{PROTOBUF}", f"{METADATA},{PROTOBUF}"),
)
PATHS = (
    *(f"{MAPS}/a", f"{MAPS}?labelSelector=x", f"{MAPS}/none", f"{MAPS}?watch=1&resourceVersion=abc"),
    *(
        f"{DOGS}/rex",
        DOGS,
        f"{DOGS}/none",
        f"{DOGS}/rex/status",
        "/apis/apps/v1/namespaces/default/deployments/x/scale",
    ),
    *("/api", "/apis/apps", "/apis/apps/v1", "/apis/none", "/apis/none/v1", "/healthz", "/api/v1/nope"),
    "/api/v1/namespaces/default/pods/x/log",
    *(f"{MAPS}?watch=1&timeoutSeconds=1&labelSelector=x", f"{DOGS}?watch=1&timeoutSeconds=1"),
)
REVIEW: dict[str, Any] = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
WRITES: tuple[tuple[str, str, str, Any], ...] = (
    ("POST", f"{MAPS}?dryRun=All", "application/json", {"metadata": {"name": "b"}}),
    ("POST", f"{MAPS}?dryRun=All", "application/json", {"metadata": {"name": "B_"}}),
    ("PATCH", f"{MAPS}/a?dryRun=All", "application/merge-patch+json", {"data": {"z": "1"}}),
    ("PATCH", f"{DOGS}/rex?dryRun=All", "application/merge-patch+json", {"spec": {"z": "1"}}),
    ("DELETE", f"{MAPS}/a?dryRun=All", "", None),
    ("DELETE", f"{DOGS}/rex?dryRun=All", "", None),
    ("DELETE", f"{MAPS}?dryRun=All&labelSelector=x", "", None),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json", REVIEW),
)
CONTENT = envelope.message_bytes("v1", "ConfigMap", {"metadata": {"name": "c"}, "data": {"x": "y"}}) or b""
#: Bodies of a create of a ConfigMap, whole and broken.
BODIES = (
    *(b"", b"k8s\0", b"k8s\0xx", b"k8s\0\x0a\x02\x08\x01", b"{}", b"k8s\1aaa", CONTENT),
    *(envelope.document(*says, CONTENT) for says in (("", ""), ("v1", ""), ("", "ConfigMap"), ("a/b/c", "ConfigMap"))),
    *(envelope.document(*says, b"") for says in (("v2", "ConfigMap"), ("v1", "Pod"), ("v1", "Nope"))),
    *(
        envelope.document("v1", "ConfigMap", raw)
        for raw in (
            *(b"\x0a", b"\x0a\x05a", b"\x0a" + b"\xff" * 9 + b"\x01", b"\x0a" + b"\xff" * 11, b"\x08\x01", b"\x0c"),
            *(b"\x0a\x02\x08\x01", b"\x0a\x04\x4a\x02\x0a\x00", b"\x0a\x04\x42\x02\x0a\x00", b"\x02\x00", b"\x7f"),
            *(b"\x7b\x7c", b"\x7b", b"\x7d\x00", b"\x12\x02\x08\x01", b"\x12\x04\x0a\x02\x0a\x01", b"\x12\x00"),
            *(b"\x20\x05", b"\x0a\x05\x0a\x01a\x22\x00\x0a\x03\x2a\x01u"),
        )
    ),
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of kube-apiserver and of Heeler, with the same objects."""
    folder = tmp_path_factory.mktemp("negotiation")
    (folder / "heeler").mkdir()
    heeler = ApiServerProcess(folder / "heeler", "--authorization-mode", "RBAC")
    heeler.start()
    try:
        with upstream(folder / "upstream", folder / "heeler" / "users.csv") as address:
            for server in (address, heeler.url):
                objects = ((MAPS.replace("configmaps", "serviceaccounts"), {"metadata": {"name": "default"}}),
                           (MAPS, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}}),
                           ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", with_status(CRD)))  # fmt: skip
                for path, obj in objects:
                    ask(server, "POST", path, "", orjson.dumps(obj), "application/json")
                dog = {"apiVersion": "example.com/v1", "kind": "Dog", "metadata": {"name": "rex"}, "spec": {"age": 3}}
                while ask(server, "POST", DOGS, "", orjson.dumps(dog), "application/json")[0] == 404:
                    time.sleep(0.1)
            yield address, heeler.url
    finally:
        heeler.stop()


def with_status(definition: dict[str, Any]) -> dict[str, Any]:
    version = {**definition["spec"]["versions"][0], "subresources": {"status": {}}}
    return {**definition, "spec": {**definition["spec"], "versions": [version]}}


def send(server: str, method: str, path: str, accept: str, body: bytes, media: str) -> tuple[int, str, bytes]:
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(urlsplit(server).netloc, context=context, timeout=20)
    headers = {"Authorization": "Bearer admin-token", "User-Agent": "replay"}
    headers |= {"Accept": accept} if accept else {}
    headers |= {"Content-Type": media} if media else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Type", ""), answer.read()
    connection.close()
    return found


def ask(server: str, method: str, path: str, accept: str, body: bytes = b"", media: str = "") -> tuple[int, str, Any]:
    """The status, the media type, and what is said, with everything in it that changes from server to server replaced."""
    status, kind, data = send(server, method, path, accept, body, media)
    if data.startswith(b"k8s\0"):
        return status, kind, comparable(opened(data))
    if kind.endswith("protobuf;stream=watch"):
        return status, kind, [comparable(obj) for _, obj in frames(data)]
    if kind == "application/json":
        try:
            return status, kind, comparable(orjson.loads(data or b"null"))
        except orjson.JSONDecodeError:  # a watch
            return status, kind, [comparable(orjson.loads(line)) for line in data.splitlines()]
    text = data.decode()
    changing = r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:]+Z|resourceVersion: \"\d+\"|\d+\.[\d.]+:\d+"
    return status, kind, re.sub(changing, "<x>", text) if kind == "application/yaml" else bool(text)


CHANGING = ("uid", "resourceVersion", "creationTimestamp", "time", "serverAddressByClientCIDRs", "storageVersionHash")


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "<x>" if key in CHANGING else comparable(item) for key, item in value.items()}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def frames(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    while data:
        size = int.from_bytes(data[:4], "big")
        event, data = data[4 : 4 + size], data[4 + size :]
        yield event[2 : 2 + event[1]].decode(), opened(event[event.index(b"k8s\0") :])


@pytest.mark.parametrize("accept", ACCEPTS)
def test_reads(servers: tuple[str, str], accept: str) -> None:
    for path in PATHS:
        theirs, ours = (ask(server, "GET", path, accept) for server in servers)
        assert ours == theirs, path


@pytest.mark.parametrize("accept", ACCEPTS)
def test_writes(servers: tuple[str, str], accept: str) -> None:
    for method, path, media, value in WRITES:
        body = b"" if value is None else orjson.dumps(value)
        theirs, ours = (ask(server, method, path, accept, body, media) for server in servers)
        assert ours == theirs, (method, path)


@pytest.mark.parametrize("body", BODIES)
def test_bodies(servers: tuple[str, str], body: bytes) -> None:
    theirs, ours = (ask(server, "POST", f"{MAPS}?dryRun=All", "application/json", body, PROTOBUF) for server in servers)
    assert ours == theirs


def test_what_upstream_writes_is_written_back_byte_for_byte(servers: tuple[str, str]) -> None:
    """Lists and watches of every kind, bookmarks among them."""
    objects = 0
    for kind in built_in():
        for version in kind.versions:
            if "list" not in kind.verbs or kind.group == "metrics.k8s.io":
                continue
            path = f"/apis/{kind.group}/{version}/{kind.plural}" if kind.group else f"/api/{version}/{kind.plural}"
            status, _, data = send(servers[0], "GET", path, PROTOBUF, b"", "")
            assert status == 200, path
            found = opened(data)
            assert envelope.whole(found) == data, path
            if not found.get("items") or "watch" not in kind.verbs:
                continue
            objects += len(found["items"])
            how = "watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
            data = send(servers[0], "GET", f"{path}?{how}", PROTOBUF, b"", "")[2]
            assert b"".join(envelope.frame(type_, envelope.whole(obj) or b"") for type_, obj in frames(data)) == data, (
                path
            )
    assert objects > 100
