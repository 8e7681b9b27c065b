"""A registry that lies: what it sends isn't what it says, and where it sends us isn't told who we are."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heeler.packages.repositories.credentials import CredentialError, Credentials
from heeler.packages.repositories.oci import CHART, CONFIG, MANIFEST, Registry, RegistryError, reference
from heeler.packages.repositories.web import NOBODY, Login, Web

ME = Login("me", "secret")
#: (status, headers, body)
Reply = tuple[int, dict[str, str], bytes]


class Fake:
    """`answers` by (method, path) say what is sent; all else is 404. `asked` has (path, Authorization)."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Reply | Callable[[str], Reply]] = {}
        self.asked: list[tuple[str, str]] = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _answer(self) -> None:
                said = self.headers.get("Authorization", "")
                fake.asked.append((self.path, said))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = fake.answers.get((self.command, self.path.partition("?")[0]), (404, {}, b"{}"))
                status, headers, body = found(said) if callable(found) else found
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = _answer

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.host = f"127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path) -> Registry:
    return Registry(Web(), Credentials(tmp_path / "config.json"), plain_http=True, login=ME)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest(chart: bytes, **changed: object) -> bytes:
    layer = {"mediaType": CHART, "digest": digest(chart), "size": len(chart), **changed}
    config = {"mediaType": CONFIG, "digest": digest(b"{}"), "size": 2}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()


def serve(fake: Fake, data: bytes, chart: bytes) -> None:
    fake.answers["GET", "/v2/app/manifests/1.0.0"] = (200, {}, data)
    fake.answers["GET", f"/v2/app/blobs/{digest(b'chart')}"] = (200, {}, chart)


def locked(said: str) -> Reply:
    """A list of tags for who has the password."""
    if said != ME.header:
        return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b"{}"
    return 200, {}, b'{"tags": ["1.0.0"]}'


def test_a_chart_that_is_another(fake: Fake, client: Registry) -> None:
    serve(fake, manifest(b"chart"), b"chart")
    ref = reference(f"oci://{fake.host}/app:1.0.0")
    assert client.pull(ref).chart == b"chart"
    serve(fake, manifest(b"chart"), b"cherry"[:5])
    with pytest.raises(RegistryError, match="mismatched digest or size"):
        client.pull(ref)
    with pytest.raises(RegistryError, match="is not what its digest says"):
        client.pull(reference(f"oci://{fake.host}/app:1.0.0@{digest(b'x')}"), provenance=False)


@pytest.fixture(autouse=True)
def by_digest(fake: Fake) -> None:
    fake.answers["GET", f"/v2/app/manifests/{digest(b'x')}"] = (200, {}, manifest(b"chart"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (manifest(b"chart", size=1 << 40), "names a blob that can't be"),
        (manifest(b"chart", size=-1), "names a blob that can't be"),
        (manifest(b"chart", size="5"), "names a blob that can't be"),
        (manifest(b"chart", digest="sha256:../../../etc/passwd"), "names a blob that can't be"),
        (manifest(b"chart", mediaType="x/y"), "manifest does not contain a layer with mediatype"),
        (b"[]", "failed to decode response"),
        (b"{", "failed to decode response"),
        (b"{}", "could not load config with mediatype"),
        (b'{"config": [], "layers": {}}', "could not load config with mediatype"),
        (b'{"config": {"mediaType": "%s"}, "layers": [5]}' % CONFIG.encode(), "manifest does not contain a layer"),
    ],
)
def test_a_manifest_that_can_not_be(fake: Fake, client: Registry, data: bytes, words: str) -> None:
    serve(fake, data, b"chart")
    with pytest.raises(RegistryError, match=words):
        client.pull(reference(f"oci://{fake.host}/app:1.0.0"))


def test_where_it_sends_us_is_not_told_who_we_are(fake: Fake, other: Fake, client: Registry) -> None:
    # a blob elsewhere, the next page of tags, where to upload to
    serve(fake, manifest(b"chart"), b"")
    blob = f"/v2/app/blobs/{digest(b'chart')}"
    fake.answers["GET", blob] = (307, {"Location": f"http://{other.host}/blob"}, b"")
    other.answers["GET", "/blob"] = (200, {}, b"chart")
    assert client.pull(reference(f"oci://{fake.host}/app:1.0.0")).chart == b"chart"

    def first(said: str) -> Reply:
        status, headers, body = locked(said)
        return status, {**headers, "Link": f'<http://{other.host}/more>; rel="next"'}, body

    fake.answers["GET", "/v2/app/tags/list"] = first
    other.answers["GET", "/more"] = (200, {}, b'{"tags": ["2.0.0"]}')
    assert client.tags(reference(f"oci://{fake.host}/app")) == ["1.0.0", "2.0.0"]
    fake.answers["POST", "/v2/app/blobs/uploads/"] = (202, {"Location": f"http://{other.host}/up"}, b"")
    other.answers["PUT", "/up"] = (201, {}, b"")
    fake.answers["PUT", "/v2/app/manifests/1.0.0"] = (201, {}, b"")
    client.push(reference(f"oci://{fake.host}/app:1.0.0"), b"{}", b"chart", b"", {})
    assert [path.partition("?")[0] for path, _ in other.asked] == ["/blob", "/more", "/up", "/up"]
    assert {said for _, said in other.asked} == {""}
    assert ME.header in {said for _, said in fake.asked}


@pytest.mark.parametrize("said", [b'{"tags": 5}', b'{"tags": null}', b"{}"])
def test_tags_that_are_none(fake: Fake, client: Registry, said: bytes) -> None:
    fake.answers["GET", "/v2/app/tags/list"] = (200, {}, said)
    assert client.tags(reference(f"oci://{fake.host}/app")) == []


def test_pages_of_tags_end(fake: Fake, client: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from heeler.packages.repositories import oci

    monkeypatch.setattr(oci, "MAX_PAGES", 3)
    page = (200, {"Link": '</v2/app/tags/list>; rel="next"'}, b'{"tags": ["1.0.0"]}')
    fake.answers["GET", "/v2/app/tags/list"] = page
    assert client.tags(reference(f"oci://{fake.host}/app")) == ["1.0.0"] * 3


def test_a_token_is_asked_for_once_where_the_registry_says(fake: Fake, other: Fake, client: Registry) -> None:
    def tags(said: str) -> Reply:
        if said != "Bearer t":
            challenge = f'Bearer realm="http://{other.host}/token",service="s",scope="repository:app:pull"'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        return 200, {}, b'{"tags": []}'

    fake.answers["GET", "/v2/app/tags/list"] = tags
    other.answers["GET", "/token"] = (200, {}, b'{"token": "t"}')
    for _ in range(2):
        assert client.tags(reference(f"oci://{fake.host}/app")) == []
    assert other.asked == [("/token?service=s&scope=repository%3Aapp%3Apull", ME.header)]
    # with TLS to the registry, logins don't go to where there is none
    client.plain_http = False
    with pytest.raises(RegistryError, match="which is not encrypted"):
        client._token({"realm": f"http://{other.host}/token"}, "", ME)


def test_logins_kept_by_a_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential helper speaks docker's protocol; the file has no secret then."""
    kept = tmp_path / "kept"
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(
        f"#!/bin/sh\ncase $1 in store) cat > {kept};; erase) rm {kept};; get) cat > /dev/null; [ -f {kept} ] && cat {kept} "
        '|| { echo "credentials not found in native keychain"; exit 1; };; esac\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    file = tmp_path / "config.json"
    file.write_text('{"credsStore": "fake"}')
    credentials = Credentials(file)
    assert credentials.get("host") == NOBODY
    credentials.put("host", ME)
    assert json.loads(kept.read_text()) == {"ServerURL": "host", "Username": "me", "Secret": "secret"}
    assert credentials.get("host") == ME
    credentials.remove("host")
    assert credentials.get("host") == NOBODY
    assert json.loads(file.read_text()) == {"credsStore": "fake"}
    file.write_text('{"credsStore": "../fake"}')
    with pytest.raises(CredentialError, match="a helper is named without a folder"):
        credentials.get("host")
    file.write_text("[")
    with pytest.raises(CredentialError, match="failed to decode config file"):
        credentials.get("host")


def test_docker_s_logins_are_used_but_not_written(tmp_path: Path) -> None:
    docker, own = tmp_path / "docker.json", tmp_path / "own" / "config.json"
    docker.write_text('{"auths": {"host": {"auth": "bWU6c2VjcmV0"}, "odd": {"auth": "///"}, "none": 5}}')
    credentials = Credentials(own, (docker,))
    assert credentials.get("host") == ME
    assert credentials.get("odd") == credentials.get("none") == NOBODY
    credentials.put("other", Login("a", "b"))
    assert "other" not in docker.read_text() and credentials.get("other") == Login("a", "b")
