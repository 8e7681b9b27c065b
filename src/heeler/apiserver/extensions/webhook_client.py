"""Calls of webhooks: a JSON object there, a JSON object back, over HTTPS with the configuration's own authority.

Admission and conversion webhooks use it. Failures are `WebhookFailure` in upstream's words. Source:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook
"""

from __future__ import annotations

import asyncio
import base64
import functools
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from heeler.base import pki
from heeler.objects import go_text
from heeler.objects.value import Object
from heeler.wire.http.client import Answer, HttpClient
from heeler.wire.http.failures import failure

if TYPE_CHECKING:
    from heeler.apiserver.extensions.reach import Reach

#: Clients that are kept (each with its idle connections).
MAX_CLIENTS = 64
#: Bytes of an answer that a message shows.
MAX_SHOWN = 4096
#: Bytes of an answer.
MAX_ANSWER = 16 << 20
_REFUSALS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    403: "forbidden",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    413: "Request entity too large",
    415: "the media type is unsupported",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


class WebhookFailure(Exception):
    """The webhook gave no answer, or none that could be read."""


class WebhookClient:
    """Keeps connections to webhooks open."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._clients: dict[tuple[str, str], HttpClient] = {}

    async def call(self, config: Object, body: Object, seconds: int) -> Object:
        """Post an object to a `clientConfig`; what comes back. Raises WebhookFailure."""
        url = address(config, seconds)
        client = self._client(config, url)
        try:
            async with asyncio.timeout(seconds):
                answer = await client.request(
                    "POST",
                    url,
                    headers=[("Content-Type", "application/json"), ("Accept", "application/json, */*")],
                    body=orjson.dumps(body),
                )
                data = await _whole(answer)
        except TimeoutError:
            raise WebhookFailure(f'Post "{url}": context deadline exceeded') from None
        except OSError as error:
            raise WebhookFailure(f'Post "{url}": {failure(url, error)}') from error
        if not 200 <= answer.status < 300:
            raise WebhookFailure(f"{_refusal(answer.status, data)}")
        return _review(data, body["apiVersion"].partition("/")[0], body["kind"])

    def _client(self, config: Object, url: str) -> HttpClient:
        parts = urlsplit(url)
        key = (f"{parts.scheme}://{parts.netloc}", config.get("caBundle") or "")
        found = self._clients.get(key)
        if found is None:
            while len(self._clients) >= MAX_CLIENTS:
                self._clients.pop(next(iter(self._clients)))
            service = config.get("service")
            dial = None
            if service is not None:
                dial = functools.partial(self._dial, service["namespace"], service["name"])
            found = self._clients[key] = HttpClient(_trust(config), server_name=parts.hostname, dial=dial)
        return found

    async def _dial(self, namespace: str, name: str, _host: str, port: int) -> socket.socket:
        return await self._reach.service(namespace, name, port, external=True)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()


#: The versions of reviews that are known.
_VERSIONS = ("v1", "v1beta1")
_HEAD = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'


def _review(data: bytes, group: str, kind: str) -> Object:
    """The review in an answer, in a version that is known. Raises WebhookFailure in the words of Go's decoding."""
    try:
        found = orjson.loads(data)
    except ValueError as error:
        raise WebhookFailure(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(found, dict):
        what = go_text.json_kind(found)
        why = f"json: cannot unmarshal {what} into Go value of type {_HEAD}"
        raise WebhookFailure(f"couldn't get version/kind; json parse error: {why}")
    given = {key: found.get(key) for key in ("kind", "apiVersion")}
    for key, shown in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not isinstance(given[key], str) or not given[key]:
            text = data[:MAX_SHOWN].decode("utf-8", "replace")
            raise WebhookFailure(f"Object '{shown}' is missing in '{text}'")
    if given["kind"] != kind or given["apiVersion"] not in [f"{group}/{version}" for version in _VERSIONS]:
        what = f'no kind "{given["kind"]}" is registered for version "{given["apiVersion"]}"'
        raise WebhookFailure(f'{what} in scheme "pkg/runtime/scheme.go:111"')
    return found


async def _whole(answer: Answer) -> bytes:
    """The answer's body. Raises ConnectionError for one that is too large."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in answer.chunks():
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise ConnectionError(f"the answer is larger than {MAX_ANSWER >> 20} MiB")
    finally:
        await answer.close()
    return b"".join(parts)


def address(config: Object, seconds: int) -> str:
    """The URL of a `clientConfig`."""
    if config.get("url"):
        url = str(config["url"])
    else:
        service = config["service"]
        path = service.get("path") or "/"
        path = path if path.startswith("/") else f"/{path}"
        url = f"https://{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}{path}"
    return f"{url}{'&' if urlsplit(url).query else '?'}timeout={seconds}s"


def _trust(config: Object) -> ssl.SSLContext:
    bundle = config.get("caBundle")
    return pki.client_context(base64.b64decode(bundle) if bundle else None)


def _refusal(status: int, data: bytes) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    text = data[:2048].decode("utf-8", "replace").strip()
    if status >= 500:
        return f'an error on the server ("{text}") has prevented the request from succeeding'
    return f"the server responded with the status code {status} but did not return more information"
