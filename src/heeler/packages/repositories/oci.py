"""Charts in registries (OCI): references, tags, push and pull, with logins and tokens.

Source: https://helm.sh/docs/topics/registries/ , https://github.com/opencontainers/distribution-spec/blob/main/spec.md ,
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from heeler.packages.repositories.credentials import Credentials
from heeler.packages.repositories.web import MAX_BYTES, Answer, Login, Web, WebError, place

SCHEME = "oci://"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MANIFESTS = f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"
#: Pages of a tag list that are followed.
MAX_PAGES = 1000

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


#: A part of a WWW-Authenticate header: `realm="https://…"`.
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """What a registry refused or could not do, in Helm's words."""


class NotFound(RegistryError):
    """The registry has no such thing."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`host/repository:tag@digest`; tag and digest may be "". A version's "+" is "_" in a tag."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}{'@' + self.digest if self.digest else ''}"

    @property
    def wanted(self) -> str:
        """What a manifest is asked for by."""
        return self.digest or self.tag


def reference(text: str) -> Reference:
    """`oci://host/path[:tag][@digest]`. Raises RegistryError."""
    rest = text.removeprefix(SCHEME)
    rest, _, found = rest.partition("@")
    host, slash, path = rest.partition("/")
    repository, _, tag = path.partition(":")
    tag = tag.replace("+", "_")
    if not slash or not host:
        raise RegistryError("invalid reference: missing registry or repository")
    if not _NAME.match(repository):
        raise RegistryError(f'invalid reference: invalid repository "{repository}"')
    if tag and not _TAG.match(tag):
        raise RegistryError(f'invalid reference: invalid tag "{tag}"')
    if found and not _DIGEST.match(found):
        raise RegistryError(f'invalid reference: invalid digest "{found}"')
    return Reference(host, repository, tag, found)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a registry holds under a reference; `provenance` is b"" if it has none."""

    reference: Reference
    digest: str
    chart: bytes
    provenance: bytes


@dataclass(slots=True)
class Registry:
    """A client of registries. `login` goes before what `credentials` knows; tokens are kept while the command runs."""

    web: Web
    credentials: Credentials
    plain_http: bool = False
    login: Login | None = None
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def log_in(self, host: str, login: Login) -> None:
        """Check the login with the registry, and keep it. Raises RegistryError, CredentialError, WebError."""
        self.login = login
        answer = self._ask("GET", f"{self._root(host)}/v2/", host, "")
        if answer.status != 200:
            raise RegistryError(f'authenticating to "{host}": {_refused(answer, "GET")}')
        self.credentials.put(host, login)

    def tags(self, ref: Reference) -> list[str]:
        """All tags of a repository. Raises RegistryError."""
        url = f"{self._root(ref.host)}/v2/{ref.repository}/tags/list"
        out: list[str] = []
        for _ in range(MAX_PAGES):
            answer = self._ask("GET", url, ref.host, _scope(ref, "pull"))
            if answer.status != 200:
                raise _failure(answer, "GET")
            listed = _json(answer).get("tags")
            out += [str(tag) for tag in listed] if isinstance(listed, list) else []
            following = re.match(r'<([^>]+)>; *rel="?next', answer.headers.get("link", ""))
            if not following:
                break
            url = urljoin(url, following[1])
        return out

    def pull(self, ref: Reference, *, provenance: bool = False) -> Pulled:
        """The chart, and its provenance if it is wanted. Raises RegistryError."""
        url = f"{self._root(ref.host)}/v2/{ref.repository}/manifests/{ref.wanted}"
        with _told('failed to perform "FetchReference" on source'):
            answer = self._ask("GET", url, ref.host, _scope(ref, "pull"), headers={"Accept": _MANIFESTS})
        if answer.status == 404:
            raise NotFound(f'failed to perform "FetchReference" on source: {ref}: not found')
        if answer.status != 200:
            raise RegistryError(f'failed to perform "FetchReference" on source: {_refused(answer, "GET")}')
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if ref.digest and ref.digest != digest:
            raise RegistryError(f"the manifest of {ref} is not what its digest says: {digest}")
        manifest = _json(answer)
        config, listed = manifest.get("config"), manifest.get("layers")
        kind = config.get("mediaType") if isinstance(config, dict) else None
        if kind != CONFIG:
            raise RegistryError(f"could not load config with mediatype {CONFIG}: {ref} holds {kind}")
        layers = {
            str(layer.get("mediaType")): layer
            for layer in (listed if isinstance(listed, list) else ())
            if isinstance(layer, dict)
        }
        if CHART not in layers:
            raise RegistryError(f"manifest does not contain a layer with mediatype {CHART}")
        chart = self._blob(ref, layers[CHART])
        signed = self._blob(ref, layers[PROVENANCE]) if provenance and PROVENANCE in layers else b""
        return Pulled(ref, digest, chart, signed)

    def push(self, ref: Reference, config: bytes, chart: bytes, provenance: bytes, notes: Mapping[str, str]) -> str:
        """Write a chart under the reference's tag; the manifest's digest. Raises RegistryError."""
        layers = [_descriptor(CHART, chart)] + ([_descriptor(PROVENANCE, provenance)] if provenance else [])
        manifest: dict[str, Any] = {"schemaVersion": 2, "config": _descriptor(CONFIG, config), "layers": layers}
        if notes:
            manifest["annotations"] = dict(sorted(notes.items()))
        data = orjson.dumps(manifest)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        root = f"{self._root(ref.host)}/v2/{ref.repository}"
        scope = _scope(ref, "pull,push")
        with _told('failed to perform "Exists" on destination'):
            answer = self._ask("HEAD", f"{root}/manifests/{digest}", ref.host, scope)
        if answer.status not in (200, 404):
            raise RegistryError(f'failed to perform "Exists" on destination: {_refused(answer, "HEAD")}')
        with _told('failed to perform "Push" on destination'):
            for blob in (config, chart, provenance):
                if blob:
                    self._upload(ref, root, scope, blob)
            kind = {"Content-Type": MANIFEST}
            answer = self._ask("PUT", f"{root}/manifests/{ref.tag}", ref.host, scope, headers=kind, body=data)
        if answer.status != 201:
            raise RegistryError(f'failed to perform "Push" on destination: {_refused(answer, "PUT")}')
        return digest

    def _upload(self, ref: Reference, root: str, scope: str, blob: bytes) -> None:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        if self._ask("HEAD", f"{root}/blobs/{digest}", ref.host, scope).status == 200:
            return
        begun = self._ask("POST", f"{root}/blobs/uploads/", ref.host, scope, body=b"")
        if begun.status != 202 or "location" not in begun.headers:
            raise RegistryError(_refused(begun, "POST"))
        url = urljoin(begun.url, begun.headers["location"])
        url += ("&" if urlsplit(url).query else "?") + urlencode({"digest": digest})
        kind = {"Content-Type": "application/octet-stream"}
        done = self._ask("PUT", url, ref.host, scope, headers=kind, body=blob)
        if done.status != 201:
            raise RegistryError(_refused(done, "PUT"))

    def _blob(self, ref: Reference, descriptor: Mapping[str, Any]) -> bytes:
        """A blob, checked against its descriptor."""
        digest, size = str(descriptor.get("digest")), descriptor.get("size")
        if not _DIGEST.match(digest) or not isinstance(size, int) or not 0 <= size <= MAX_BYTES:
            raise RegistryError(f"the manifest of {ref} names a blob that can't be: {digest}, {size} bytes")
        url = f"{self._root(ref.host)}/v2/{ref.repository}/blobs/{digest}"
        answer = self._ask("GET", url, ref.host, _scope(ref, "pull"))
        if answer.status in (301, 302, 307, 308) and "location" in answer.headers:
            # to where the registry keeps its blobs: without our login
            answer = self.web.get(urljoin(url, answer.headers["location"]))
        if answer.status != 200:
            raise _failure(answer, "GET")
        if len(answer.body) != size or f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != digest:
            raise RegistryError(f"{digest}: mismatched digest or size of what came")
        return answer.body

    def _root(self, host: str) -> str:
        return f"{'http' if self.plain_http else 'https'}://{host}"

    def _ask(
        self,
        method: str,
        url: str,
        host: str,
        scope: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Ask; where the registry wants to know who does, say so and ask again. Raises RegistryError, WebError.

        Another host, to which the registry has sent us, isn't told who we are.
        """
        sent = dict(headers or {})
        if place(url) != place(self._root(host)):
            return self.web.ask(method, url, headers=sent, body=body)
        token = self._tokens.get((host, scope))
        answer = self.web.ask(method, url, headers={**sent, "Authorization": token} if token else sent, body=body)
        if answer.status != 401:
            return answer
        challenge = answer.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        login = self.login if self.login is not None else self.credentials.get(host)
        if scheme.lower() == "bearer":
            token = f"Bearer {self._token(dict(_PARAMETER.findall(rest)), scope, login)}"
        elif scheme.lower() == "basic":
            if not login.name and not login.password:
                raise RegistryError(f'{method} "{url}": basic credential not found')
            token = login.header
        else:
            return answer
        self._tokens[host, scope] = token
        return self.web.ask(method, url, headers={**sent, "Authorization": token}, body=body)

    def _token(self, challenge: Mapping[str, str], scope: str, login: Login) -> str:
        """A token from whom the registry names. Raises RegistryError."""
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme != "https" and not self.plain_http:
            raise RegistryError(f'the registry wants its logins sent to "{realm}", which is not encrypted')
        asked = {"service": challenge.get("service", ""), "scope": challenge.get("scope", "") or scope}
        query = urlencode({key: value for key, value in asked.items() if value})
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        answer = self.web.get(url, login=login)
        if answer.status != 200:
            raise RegistryError(_refused(answer, "GET"))
        found = _json(answer)
        return str(found.get("token") or found.get("access_token") or "")


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what was being done in front of why it didn't work."""
    try:
        yield
    except (RegistryError, WebError) as error:
        raise RegistryError(f"{what}: {error}") from error


def _scope(ref: Reference, actions: str) -> str:
    return f"repository:{ref.repository}:{actions}"


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise RegistryError(f'GET "{answer.url}": failed to decode response: {error}') from error
    if not isinstance(found, dict):
        raise RegistryError(f'GET "{answer.url}": failed to decode response: it is no object')
    return found


def _failure(answer: Answer, method: str) -> RegistryError:
    return (NotFound if answer.status == 404 else RegistryError)(_refused(answer, method))


def _refused(answer: Answer, method: str) -> str:
    """What a registry's refusal says, with the errors that its body names."""
    head = f'{method} "{answer.url}": response status code {answer.status}'
    try:
        errors = orjson.loads(answer.body).get("errors") or []
    except (orjson.JSONDecodeError, AttributeError):
        errors = []
    shown = []
    for error in errors:
        text = f"{str(error.get('code', '')).lower().replace('_', ' ')}: {error.get('message', '')}"
        detail = error.get("detail")
        shown.append(f"{text}: {_go_value(detail)}" if detail else text)
    return f"{head}: {'; '.join(shown)}" if shown else f"{head}: {answer.reason}"


def _go_value(value: Any) -> str:
    """A JSON value as Go's %v prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_value(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_value, value))}]"
    return str(value)
