"""The API server's way to a node's agent: HTTPS with the server's own client certificate; upgrades are piped through.

Source: https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/#control-plane-to-node
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from heeler.base import pki
from heeler.base.dialing import dial_error
from heeler.objects.value import Object
from heeler.wire.http.client import Answer, HttpClient
from heeler.wire.http.messages import Request, Response, Stream, Upgrade
from heeler.wire.streams.pipe import TCP_TUNNEL, join

#: A node whose agent doesn't listen at the node's own address says here where (this machine's loopback, mostly).
ADDRESS = "heeler.dev/kubelet-address"
#: Nodes whose connections are kept.
MAX_CLIENTS = 1000
#: Headers that concern one connection only, or the server's own affairs.
_HOP = ("host", "content-length", "transfer-encoding", "authorization", "accept-encoding", "cookie")


class KubeletConnections:
    """Reaches agents at the address and port that their Node object names; their certificate must be for that node."""

    def __init__(self, certificate: Path, key: Path, authority: Path | None) -> None:
        self._files = (certificate, key, authority)
        self._tls: Any = None
        self._renewing: pki.Renewing | None = None
        self._clients: dict[str, HttpClient] = {}

    def renew(self) -> None:
        """Take up a new certificate for new connections. Raises OSError."""
        if self._renewing is not None:
            self._renewing.look()

    def _client(self, node: str) -> HttpClient:
        if self._tls is None:
            certificate, key, authority = self._files
            self._tls = pki.client_context(authority, certificate, key)
            self._renewing = pki.Renewing(self._tls, certificate, key)
        if node not in self._clients:
            if len(self._clients) >= MAX_CLIENTS:
                self._clients.pop(next(iter(self._clients)))
            self._clients[node] = HttpClient(self._tls, server_name=node)
        return self._clients[node]

    async def open(self, node: Object, host: str, port: int) -> Stream:
        """A TCP connection from the node to an address that it reaches. Raises OSError in words for a person."""
        where, number = _address(node), _port(node)
        url = f"https://{f'[{where}]' if ':' in where else where}:{number}/tunnel/{host}/{port}"
        headers = [("Connection", "Upgrade"), ("Upgrade", TCP_TUNNEL)]
        try:
            answer = await self._client(node["metadata"]["name"]).request("POST", url, headers=headers)
        except OSError as error:
            why = str(error) if isinstance(error, ssl.SSLError) else dial_error(where, number, error)
            raise ConnectionError(why) from error
        if answer.status != 101:
            raise ConnectionError((await answer.read()).decode("utf-8", "replace").strip())
        return answer.stream()

    async def forward(self, node: Object, path: str, request: Any) -> Response | Upgrade:
        """The agent's answer; an upgrade is piped in both directions. Raises OSError in words for a person."""
        assert isinstance(request, Request)
        host, port = _address(node), _port(node)
        url = f"https://{f'[{host}]' if ':' in host else host}:{port}{path}"
        headers = [(k, v) for k, v in request.headers.items() if k not in _HOP and not k.startswith("impersonate-")]
        client = self._client(node["metadata"]["name"])
        try:
            answer = await client.request(request.method, url, headers=headers, body=request.body)
        except OSError as error:
            why = str(error) if isinstance(error, ssl.SSLError) else dial_error(host, port, error)
            upgrade = "upgrade" in request.headers
            what = "error dialing backend" if upgrade else f'{request.method.capitalize()} "{url}"'
            raise ConnectionError(f"{what}: {why}") from error
        if answer.status == 101:
            return Upgrade([(k, v) for k, v in answer.headers.items()], functools.partial(join, answer.stream()))
        kept = [(k, v) for k, v in answer.headers.items() if k in ("content-type", "warning")]
        return Response(answer.status, kept, _body(answer))


async def _body(answer: Answer) -> AsyncIterator[bytes]:
    async for chunk in answer.chunks():
        yield chunk


def _address(node: Object) -> str:
    found = (node["metadata"].get("annotations") or {}).get(ADDRESS)
    if found:
        return str(found)
    addresses = (node.get("status") or {}).get("addresses") or ()
    for wanted in ("InternalIP", "ExternalIP", "Hostname"):
        for address in addresses:
            if address.get("type") == wanted:
                return str(address["address"])
    raise ConnectionError(f"node {node['metadata']['name']} has no address")


def agent_port(node: Object) -> int | None:
    """The port that the Node object names for its agent: 0 for a simulated node, None if it names none."""
    endpoints = (node.get("status") or {}).get("daemonEndpoints") or {}
    port = (endpoints.get("kubeletEndpoint") or {}).get("Port")
    return None if port is None else int(port)


def _port(node: Object) -> int:
    port = agent_port(node)
    if not port:
        raise ConnectionError(
            f"node {node['metadata']['name']} has no agent to ask (a simulated node runs no containers)"
        )
    return port
