"""What a component that runs alone serves of itself: /healthz for everybody, /metrics for who may read it.

Who asks is found out by the API server: a token by TokenReview, what somebody may by SubjectAccessReview; client certificates
are verified by TLS. https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/ (delegated, the same way)
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from heeler.base import pki
from heeler.base.clock import Clock
from heeler.client.client import Client
from heeler.objects.status import StatusError, forbidden, unauthorized
from heeler.objects.value import GroupVersionResource, Object
from heeler.wire.http.messages import Request, Response, Upgrade
from heeler.wire.http.server import Server, serve

log = logging.getLogger(__name__)

TOKEN_REVIEWS = GroupVersionResource("authentication.k8s.io", "v1", "tokenreviews")
ACCESS_REVIEWS = GroupVersionResource("authorization.k8s.io", "v1", "subjectaccessreviews")
#: Open to everybody (kube-controller-manager's --authorization-always-allow-paths).
OPEN_PATHS = ("/healthz", "/livez", "/readyz")
#: Answers of the API server are believed for so many seconds; so many are remembered.
REMEMBERED_SECONDS = 10.0
MAX_REMEMBERED = 1024
#: It is waited for so long.
ASK_SECONDS = 10.0
CERTIFICATE_DAYS = 365

#: A page's content, as text.
Page = Callable[[], str]

K = TypeVar("K")
V = TypeVar("V")


class Serving(NamedTuple):
    """Where to listen, and with which certificate (none: one that is made for this start). Port 0 serves nothing."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None


class _User(NamedTuple):
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


ANONYMOUS = _User("system:anonymous", "", ("system:unauthenticated",))


class ComponentServer:
    """Answers GET of `pages`, path by path. `client` asks the API server in the component's own name."""

    def __init__(self, client: Client, pages: Mapping[str, Page], *, clock: Clock) -> None:
        self._client, self._pages, self._clock = client, dict(pages), clock
        self._users: OrderedDict[str, tuple[float, _User]] = OrderedDict()
        self._allowed: OrderedDict[tuple[_User, str], tuple[float, bool]] = OrderedDict()

    async def start(self, serving: Serving) -> Server:
        """Listen. Raises OSError where that can't be done, ssl.SSLError (an OSError) for a certificate that can't be used."""
        return await serve(self.handle, host=serving.host, port=serving.port, tls=self._tls(serving), max_body=0)

    def _tls(self, serving: Serving) -> ssl.SSLContext:
        if serving.certificate is not None and serving.key is not None:
            return pki.server_context(serving.certificate, serving.key, serving.client_authority)
        now = self._clock.time()
        authority = pki.new_authority("heeler-self-signed", now)
        made = pki.issue(authority, "localhost", now, server_names=("localhost", "127.0.0.1"), days=CERTIFICATE_DAYS)
        with tempfile.TemporaryDirectory() as folder:
            made.save(Path(folder, "tls.crt"), Path(folder, "tls.key"))
            return pki.server_context(Path(folder, "tls.crt"), Path(folder, "tls.key"), serving.client_authority)

    async def handle(self, request: Request) -> Response | Upgrade:
        try:
            if request.path not in OPEN_PATHS:
                async with asyncio.timeout(ASK_SECONDS):
                    await self._check(request)
        except StatusError as refusal:
            headers = [("content-type", "application/json")]
            return Response(refusal.code, headers, orjson.dumps(refusal.status()))
        except OSError as error:
            return _text(503, f"the API server can't be asked: {error}")
        page = self._pages.get(request.path)
        if page is None:
            return _text(404, "404 page not found\n")
        if request.method not in ("GET", "HEAD"):
            return _text(405, "405 method not allowed\n")
        return _text(200, page())

    async def _check(self, request: Request) -> None:
        """Raises StatusError: 401 or 403."""
        user, verb = await self._user(request), request.method.lower()
        if not await self._may(user, verb, request.path):
            raise forbidden("", "", "", f'User "{user.name}" cannot {verb} path "{request.path}"')

    async def _user(self, request: Request) -> _User:
        if request.peer.common_name:
            return _User(request.peer.common_name, "", (*request.peer.organizations, "system:authenticated"))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return ANONYMOUS
        user = _remembered(self._users, token, self._clock.monotonic())
        if user is None:
            user = await self._review(token.strip())
            _remember(self._users, token, user, self._clock.monotonic())
        if not user.name:
            raise unauthorized()
        return user

    async def _review(self, token: str) -> _User:
        """Whose token it is; one without a name is nobody's."""
        review: Object = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create(TOKEN_REVIEWS, review)).get("status") or {}
        if not status.get("authenticated"):
            return _User("")
        found = status.get("user") or {}
        return _User(found.get("username", ""), found.get("uid", ""), tuple(found.get("groups") or ()))

    async def _may(self, user: _User, verb: str, path: str) -> bool:
        key = (user, f"{verb} {path}")
        allowed = _remembered(self._allowed, key, self._clock.monotonic())
        if allowed is None:
            spec: Object = {"user": user.name, "uid": user.uid, "groups": list(user.groups)}
            spec["nonResourceAttributes"] = {"path": path, "verb": verb}
            review = {"apiVersion": ACCESS_REVIEWS.api_version, "kind": "SubjectAccessReview", "spec": spec}
            allowed = bool(((await self._client.create(ACCESS_REVIEWS, review)).get("status") or {}).get("allowed"))
            _remember(self._allowed, key, allowed, self._clock.monotonic())
        return allowed


def _remembered(where: OrderedDict[K, tuple[float, V]], key: K, now: float) -> V | None:
    found = where.get(key)
    return found[1] if found is not None and found[0] > now else None


def _remember(where: OrderedDict[K, tuple[float, V]], key: K, value: V, now: float) -> None:
    where[key] = (now + REMEMBERED_SECONDS, value)
    where.move_to_end(key)
    if len(where) > MAX_REMEMBERED:
        where.popitem(last=False)


def _text(code: int, content: str) -> Response:
    return Response(code, [("content-type", "text/plain; charset=utf-8")], content.encode())
