"""A client of any Kubernetes API server over HTTPS. The contract is `heeler.client.client`."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from heeler.base.clock import Clock, SystemClock
from heeler.client.client import Listing, PatchType, WatchEvent
from heeler.client.exec_plugin import Credential, Plugin, run
from heeler.client.kubeconfig import Access, access, read
from heeler.client.throttle import Throttle
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.wire.http.client import Answer, HttpClient
from heeler.wire.http.query import encode_query

JSON = "application/json"
#: Bytes of one watch event at most.
MAX_LINE = 64 * 1024 * 1024


class HttpsClient:
    """See `Client`. Close it when done."""

    def __init__(self, found: Access, *, user_agent: str = "heeler", clock: Clock | None = None) -> None:
        self._access = found
        self._clock = clock or SystemClock()
        self._in_whose_name = _impersonation(found)
        self._agent = user_agent
        self._tls = _context(found)
        self._http = HttpClient(self._tls, server_name=found.server_name)
        self._credential = Credential()
        self._asking = asyncio.Lock()
        self._throttle = Throttle(0.0, 1, self._clock)

    def hold_back(self, qps: float, burst: int) -> None:
        """Send `qps` requests a second at most, after `burst` at once; 0: as many as there are."""
        self._throttle = Throttle(qps, burst, self._clock)

    def renew(self, found: Access) -> None:
        """Use another certificate (of the same authority) for new connections. Raises ssl.SSLError."""
        if self._tls is not None:
            _load(self._tls, found)

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str = "", *, user_agent: str = "heeler") -> HttpsClient:
        """Raises KubeconfigError."""
        return cls(access(read(path), path, context), user_agent=user_agent)

    @property
    def server(self) -> str:
        """The server's address, without a path's slash at its end."""
        return self._access.server

    async def close(self) -> None:
        await self._http.close()

    def as_service_account(self, namespace: str, name: str) -> HttpsClient:
        """A client that acts as a service account: this one makes the account if need be, and asks for its tokens."""
        return _ServiceAccountClient(self, namespace, name)

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object:
        return await self._object("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> Listing:
        query = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            limit=str(limit) if limit else "",
            **{"continue": continue_token},
        )
        found = await self._object("GET", resource.path(namespace), query)
        return listing(found)

    async def watch(
        self,
        resource: GroupVersionResource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        query = _given(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=str(timeout_seconds) if timeout_seconds else "",
        )
        answer = await self._send("GET", resource.path(namespace), query)
        if answer.status != 200:
            raise _refusal(answer.status, await answer.read())
        rest = b""
        try:
            async for chunk in answer.chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE:
                    raise ConnectionError("a watch event is too large")
                for line in lines:
                    if line:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            raise StatusError.from_status(event["object"], 500)
                        yield WatchEvent(event["type"], event["object"])
        finally:
            await answer.close()

    async def create(
        self,
        resource: GroupVersionResource,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
        field_manager: str = "",
    ) -> Object:
        where = namespace or (obj.get("metadata") or {}).get("namespace")
        path = resource.path(where, name, subresource)
        return await self._object("POST", path, _given(fieldManager=field_manager), obj)

    async def update(
        self, resource: GroupVersionResource, obj: Object, *, subresource: str | None = None, field_manager: str = ""
    ) -> Object:
        metadata = obj["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._object("PUT", path, _given(fieldManager=field_manager), obj)

    async def patch(
        self,
        resource: GroupVersionResource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = "application/merge-patch+json",
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        query = _given(fieldManager=field_manager, force="true" if force else "")
        return await self._object("PATCH", resource.path(namespace, name, subresource), query, patch, type)

    async def delete(
        self,
        resource: GroupVersionResource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_seconds: int | None = None,
    ) -> Object:
        options = delete_options(uid, resource_version, propagation, grace_seconds)
        return await self._object("DELETE", resource.path(namespace, name), {}, options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        answer = await self._send(method, path, query or {}, body, dict(headers or {}))
        return answer.status, await answer.read()

    async def _object(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, media: str = JSON
    ) -> Object:
        data = b"" if body is None else orjson.dumps(body)
        answer = await self._send(method, path, query or {}, data, {"Content-Type": media} if data else {})
        raw = await answer.read()
        if answer.status >= 300:
            raise _refusal(answer.status, raw)
        found: Object = orjson.loads(raw)
        return found

    async def _token(self) -> str:
        if self._access.plugin is not None:
            return await self._from_plugin(self._access.plugin)
        if self._access.token_file:
            return self._access.token_file.read_text().strip()
        return self._access.token

    def _was_refused(self, token: str) -> None:
        """The server doesn't take a token any more: a plugin is asked for another one at the next call."""
        if token == self._credential.token:
            self._credential = Credential()

    async def _from_plugin(self, plugin: Plugin) -> str:
        """The plugin's token, asked for again when it ends; its certificate is used for new connections."""
        async with self._asking:
            now = self._clock.time()
            has = self._credential.token or self._credential.certificate
            if not has or (self._credential.until is not None and now >= self._credential.until):
                found = self._credential = await run(plugin)
                if found.certificate and self._tls is not None:
                    _load(self._tls, replace(self._access, certificate=found.certificate, key=found.key))
            return self._credential.token

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        given = {name.lower(): value for name, value in (headers or {}).items()}
        out = [*{"accept": JSON, "user-agent": self._agent, **given}.items(), *self._in_whose_name]
        token = await self._token()
        if token:
            out.append(("authorization", f"Bearer {token}"))
        url = self._access.server + path + (f"?{encode_query(query)}" if query else "")
        await self._throttle.take()
        answer = await self._http.request(method, url, headers=out, body=body)
        if answer.status == 401 and token:
            self._was_refused(token)
        return answer


#: A token that was refused is asked for again, if it is that old.
MIN_TOKEN_SECONDS = 1.0


class _ServiceAccountClient(HttpsClient):
    """Acts with tokens that `parent` asks for, each used until four fifths of its life are over."""

    SECONDS = 3600

    def __init__(self, parent: HttpsClient, namespace: str, name: str) -> None:
        plain = replace(parent._access, certificate=None, key=None, token="", token_file=None)
        super().__init__(plain, user_agent=f"{parent._agent}/{name}")
        self.hold_back(parent._throttle.qps, parent._throttle.burst)
        self._parent, self._namespace, self._name = parent, namespace, name
        self._current, self._until = "", 0.0
        self._asking = asyncio.Lock()

    async def _token(self) -> str:
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now >= self._until:
                self._current = await self._ask()
                self._until = now + 0.8 * self.SECONDS
            return self._current

    def _was_refused(self, token: str) -> None:
        """The account was made anew, or the server signs with another key: ask again, but not all the time."""
        age = asyncio.get_running_loop().time() - (self._until - 0.8 * self.SECONDS)
        if token == self._current and age > MIN_TOKEN_SECONDS:
            self._until = 0.0

    async def _ask(self) -> str:
        spec = {"spec": {"expirationSeconds": self.SECONDS}}
        try:
            found = await self._parent.create(_ACCOUNTS, spec, self._namespace, name=self._name, subresource="token")
        except StatusError as error:
            if error.code != 404:
                raise
            account = {"metadata": {"name": self._name, "namespace": self._namespace}}
            await self._parent.create(_ACCOUNTS, account, self._namespace)
            found = await self._parent.create(_ACCOUNTS, spec, self._namespace, name=self._name, subresource="token")
        return str(found["status"]["token"])


_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")


def listing(found: Object) -> Listing:
    """A list's body as a Listing; items get the kind and apiVersion that lists leave out."""
    kind, version = found.get("kind", "").removesuffix("List"), found.get("apiVersion", "")
    items = found.get("items") or []
    for item in items:
        item.setdefault("kind", kind)
        item.setdefault("apiVersion", version)
    metadata = found.get("metadata") or {}
    return Listing(items, metadata.get("resourceVersion", ""), metadata.get("continue", ""))


def delete_options(uid: str, resource_version: str, propagation: str, grace_seconds: int | None) -> Object | None:
    """DeleteOptions of what was given, or None."""
    conditions = _given(uid=uid, resourceVersion=resource_version)
    out: Object = {}
    if conditions:
        out["preconditions"] = conditions
    if propagation:
        out["propagationPolicy"] = propagation
    if grace_seconds is not None:
        out["gracePeriodSeconds"] = grace_seconds
    return {"kind": "DeleteOptions", "apiVersion": "v1", **out} if out else None


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _refusal(status: int, raw: bytes) -> StatusError:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return StatusError.from_status(body, status)
    return StatusError(status, "", raw[:300].decode("utf-8", "replace").strip() or f"the server answered {status}")


def _impersonation(found: Access) -> list[tuple[str, str]]:
    """Headers that say in whose name requests are made, one for each value."""
    out = [("impersonate-user", found.as_user), ("impersonate-uid", found.as_uid)]
    out += [("impersonate-group", group) for group in found.as_groups]
    for key, values in found.as_extra.items():
        out += [(f"impersonate-extra-{quote(key.lower(), safe='')}", value) for value in values]
    return [pair for pair in out if pair[1]]


def _context(found: Access) -> ssl.SSLContext | None:
    if not found.server.startswith("https:"):
        return None
    context = ssl.create_default_context(cadata=found.authority.decode() if found.authority else None)
    if found.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load(context, found)
    return context


def _load(context: ssl.SSLContext, found: Access) -> None:
    """Give the context its own certificate, if there is one."""
    if found.certificate and found.key:
        # the ssl module reads certificates from files only; this one is gone again at once
        with tempfile.NamedTemporaryFile(prefix="heeler-", suffix=".pem") as file:
            file.write(found.certificate + b"\n" + found.key)
            file.flush()
            context.load_cert_chain(file.name)
