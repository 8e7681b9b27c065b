"""A client in the same process: skips TLS, HTTP and encoding, nothing else (see `heeler.client.client`).

It takes the same way as every request (`request.handle`), with a user, authorisation and admission. Objects that it
gives may be shared with the server's cache: read them, copy before changing. It stands beside `heeler.cluster` and not in
`heeler.client`, since only what starts an API server may import one.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from heeler.apiserver.call import Call, Many, One, Plain, Raw, Result, Watching
from heeler.apiserver.request import handle
from heeler.apiserver.server import ApiServer
from heeler.apiserver.user import User
from heeler.client.client import Listing, PatchType, WatchEvent
from heeler.client.https import delete_options
from heeler.objects.status import StatusError, internal_error
from heeler.objects.value import GroupVersionResource, Object
from heeler.wire.http.client import MAX_WHOLE
from heeler.wire.http.messages import Response

#: Bytes of one event of another API server's watch.
MAX_LINE = 16 << 20


class InProcessClient:
    """Calls as one user."""

    def __init__(self, server: ApiServer, user: User, *, user_agent: str = "heeler") -> None:
        self._server = server
        self._user = user
        self._headers = {"user-agent": user_agent}

    async def _handle(
        self, method: str, path: str, query: dict[str, str], obj: Any = None, media: str = "application/json"
    ) -> Result:
        call = Call(
            method,
            path,
            {k: [v] for k, v in query.items()},
            {**self._headers, "content-type": media},
            user=self._user,
            object=obj,
            target=path,
        )
        found = await handle(call, self._server)
        if isinstance(found, Raw) and isinstance(found.response, Response) and found.response.status >= 400:
            body = found.response.body
            text = body.decode("utf-8", "replace").strip() if isinstance(body, bytes) else ""
            reason = "NotFound" if found.response.status == 404 else ""
            raise StatusError(found.response.status, reason, text or "the server could not find the requested resource")
        return found

    async def _object(
        self, method: str, path: str, query: dict[str, str], obj: Any = None, media: str = "application/json"
    ) -> Object:
        found = await self._handle(method, path, query, obj, media)
        if isinstance(found, One):
            return found.value()
        if isinstance(found, Plain):
            return found.object
        if isinstance(found, Raw):  # another API server's answer
            return _object_of((await _bytes(found))[1])
        raise internal_error(f"{method} {path} gave no object")

    async def get(self, resource: GroupVersionResource, name: str, namespace: str | None = None) -> Object:
        return await self._object("GET", resource.path(namespace, name), {})

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
        found = await self._handle("GET", resource.path(namespace), query)
        if isinstance(found, Raw):
            return _listing(_object_of((await _bytes(found))[1]))
        if isinstance(found, Plain):
            return Listing(found.object.get("items") or [], "")
        assert isinstance(found, Many)
        items = [item.in_version(found.api_version) for item in found.items]
        return Listing(items, str(found.revision), found.continue_token)

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
        found = await self._handle("GET", resource.path(namespace), query)
        if isinstance(found, Raw):
            async for line in _lines(found):
                event = _object_of(line)
                if not isinstance(event.get("type"), str) or not isinstance(event.get("object"), dict):
                    raise internal_error("the aggregated API server's watch has something that is no event")
                yield WatchEvent(event["type"], event["object"])
            return
        assert isinstance(found, Watching)
        events: Any = found.events
        try:
            async for event in events:
                yield WatchEvent(event.type, event.item.in_version(found.api_version))
        finally:
            await events.aclose()

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
        return await self._object("POST", path, _given(fieldManager=field_manager), copied(obj))

    async def update(
        self, resource: GroupVersionResource, obj: Object, *, subresource: str | None = None, field_manager: str = ""
    ) -> Object:
        metadata = obj["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._object("PUT", path, _given(fieldManager=field_manager), copied(obj))

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
        path = resource.path(namespace, name, subresource)
        return await self._object("PATCH", path, query, copied(patch), type)

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
        return await self._object("DELETE", resource.path(namespace, name), {}, options or {})

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        call = Call(
            method, path, {k: [v] for k, v in (query or {}).items()}, dict(self._headers), body, user=self._user
        )
        call.headers.update({k.lower(): v for k, v in (headers or {}).items()})
        try:
            found = await handle(call, self._server)
        except StatusError as error:
            return error.code, orjson.dumps(error.status())
        return await _bytes(found)


#: What isn't JSON by itself is left to `deepcopy`, and to the server to refuse.
_PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def copied(value: Any) -> Any:
    """A copy that is the caller's own: by way of text, which takes a tenth of the time that `deepcopy` takes."""
    try:
        return orjson.loads(orjson.dumps(value, option=_PLAIN))
    except (TypeError, ValueError):
        return copy.deepcopy(value)


def _object_of(data: bytes) -> Object:
    """What another API server answered. Raises StatusError where that is no object."""
    try:
        found = orjson.loads(data)
    except ValueError as error:
        raise internal_error(f"the aggregated API server's answer is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise internal_error("the aggregated API server's answer is no object")
    return found


def _is_object(found: Any) -> bool:
    """Has it what callers count on? Another server may answer anything."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and isinstance(metadata.get("uid"), str)


def _listing(found: Object) -> Listing:
    metadata = found.get("metadata") or {}
    kind, version = str(found.get("kind") or "").removesuffix("List"), found.get("apiVersion")
    items = [{"kind": kind, "apiVersion": version, **item} for item in found.get("items") or () if _is_object(item)]
    return Listing(items, metadata.get("resourceVersion") or "", metadata.get("continue") or "")


async def _lines(found: Raw) -> AsyncIterator[bytes]:
    """The lines of another API server's watch; one that is too long ends it. Raises StatusError."""
    assert isinstance(found.response, Response)
    body: Any = found.response.body
    rest = b""
    if isinstance(body, bytes):
        return
    try:
        async for chunk in body:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    yield line
            if len(rest) > MAX_LINE:
                raise internal_error(f"an event of the aggregated API server is larger than {MAX_LINE >> 20} MiB")
    finally:
        await body.aclose()


async def _whole(body: Any) -> bytes:
    """A streamed body. Raises StatusError for one that is too large."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in body:
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_WHOLE:
                raise internal_error(f"the answer is larger than {MAX_WHOLE >> 20} MiB")
    finally:
        await body.aclose()
    return b"".join(parts)


async def _bytes(found: Result) -> tuple[int, bytes]:
    if isinstance(found, Raw) and isinstance(found.response, Response):
        body = found.response.body
        return found.response.status, body if isinstance(body, bytes) else await _whole(body)
    if isinstance(found, One):
        return found.status, orjson.dumps(found.value())
    if isinstance(found, Plain):
        return found.status, orjson.dumps(found.object)
    if isinstance(found, Many):
        items = [i.in_version(found.api_version) for i in found.items]
        kind = {"kind": found.kind.list_kind, "apiVersion": found.api_version}
        return 200, orjson.dumps({**kind, "metadata": {"resourceVersion": str(found.revision)}, "items": items})
    raise internal_error("a stream is not to be had by request()")


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
