"""Charts in a real registry (Debian's docker-registry): pushed, listed, pulled; who may not, and what isn't there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.packages.repositories.credentials import Credentials
from heeler.packages.repositories.oci import NotFound, Registry, RegistryError, reference
from heeler.packages.repositories.web import NOBODY, Login, Tls, Web, WebError
from tests import registry as docker

CHART, SIGNATURE, CONFIG = b"a chart's archive", b"a signature", b'{"name":"app","version":"1.0.0"}'
ME = Login("me", "secret")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.Registry]:
    with docker.served(tmp_path_factory.mktemp("registry") / "files") as found:
        yield found


@pytest.fixture
def client(server: docker.Registry, tmp_path: Path) -> Registry:
    return Registry(Web(Tls(str(server.ca))), Credentials(tmp_path / "config" / "config.json"))


@pytest.fixture
def host(server: docker.Registry) -> str:
    return f"localhost:{server.port}"


def push(client: Registry, text: str, chart: bytes = CHART, signature: bytes = b"") -> str:
    return client.push(reference(text), CONFIG, chart, signature, {"org.opencontainers.image.title": "app"})


def test_a_login_is_checked_and_kept_for_the_owner_only(client: Registry, host: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="response status code 401: unauthorized: authentication required"):
        client.log_in(host, Login("me", "wrong"))
    file = tmp_path / "config" / "config.json"
    assert not file.exists()
    client.log_in(host, ME)
    assert json.loads(file.read_text()) == {"auths": {host: {"auth": "bWU6c2VjcmV0"}}}
    assert file.stat().st_mode & 0o777 == 0o600
    again = Credentials(file)
    assert again.get(host) == ME and again.get("elsewhere") == NOBODY
    again.remove(host)
    assert again.get(host) == NOBODY


def test_a_chart_comes_back_as_it_went(client: Registry, host: str) -> None:
    client.login = ME
    digest = push(client, f"oci://{host}/charts/app:1.0.0+b.1", signature=SIGNATURE)
    found = client.pull(reference(f"oci://{host}/charts/app:1.0.0+b.1"), provenance=True)
    assert (found.chart, found.provenance, found.digest) == (CHART, SIGNATURE, digest)
    assert str(found.reference) == f"{host}/charts/app:1.0.0_b.1"
    # the same again changes nothing, and a digest names it too
    assert push(client, f"oci://{host}/charts/app:1.0.0+b.1", signature=SIGNATURE) == digest
    assert client.pull(reference(f"oci://{host}/charts/app@{digest}")).chart == CHART


def test_tags_are_listed(client: Registry, host: str) -> None:
    client.login = ME
    for version in ("1.0.0", "1.1.0", "2.0.0-rc.1"):
        push(client, f"oci://{host}/charts/many:{version}")
    assert sorted(client.tags(reference(f"oci://{host}/charts/many"))) == ["1.0.0", "1.1.0", "2.0.0-rc.1"]


def test_what_is_not_there_and_who_may_not(client: Registry, host: str) -> None:
    with pytest.raises(RegistryError, match="basic credential not found"):
        client.tags(reference(f"oci://{host}/charts/none"))
    client.login = ME
    with pytest.raises(NotFound) as missing:
        client.tags(reference(f"oci://{host}/charts/none"))
    url = f"https://{host}/v2/charts/none/tags/list"
    words = "name unknown: repository name not known to registry: map[name:charts/none]"
    assert str(missing.value) == f'GET "{url}": response status code 404: {words}'
    with pytest.raises(NotFound) as absent:
        client.pull(reference(f"oci://{host}/charts/none:9"))
    assert str(absent.value) == f'failed to perform "FetchReference" on source: {host}/charts/none:9: not found'


def test_an_image_is_no_chart(client: Registry, host: str) -> None:
    client.login = ME
    ref = reference(f"oci://{host}/charts/image:1")
    push(client, str(ref))
    manifest = {"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": []}
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    config = {"mediaType": manifest["config"]["mediaType"], "digest": _config_digest(client, ref), "size": len(CONFIG)}  # type: ignore[index]
    body = json.dumps({**manifest, "config": config}).encode()
    url = f"https://{host}/v2/charts/image/manifests/1"
    answer = client.web.ask("PUT", url, headers={**kind, "Authorization": ME.header}, body=body)
    assert answer.status == 201
    with pytest.raises(RegistryError, match="could not load config with mediatype"):
        client.pull(ref)


def _config_digest(client: Registry, ref: object) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"


def test_a_stranger_s_certificate_is_not_trusted(host: str, tmp_path: Path) -> None:
    client = Registry(Web(), Credentials(tmp_path / "config.json"))
    with pytest.raises(WebError, match="x509: certificate signed by unknown authority"):
        client.tags(reference(f"oci://{host}/charts/app"))
    client = Registry(Web(), Credentials(tmp_path / "config.json"), plain_http=True)
    with pytest.raises(RegistryError, match="response status code 400"):
        client.tags(reference(f"oci://{host}/charts/app"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oci://host", "missing registry or repository"),
        ("oci://host/Upper", 'invalid repository "Upper"'),
        ("oci://host/a:b c", 'invalid tag "b c"'),
        ("oci://host/a@sha256:1", 'invalid digest "sha256:1"'),
    ],
)
def test_a_reference_that_is_none(text: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        reference(text)
