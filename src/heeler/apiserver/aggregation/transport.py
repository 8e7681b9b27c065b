"""The way to other API servers: TLS with their APIService's authority, our front proxy's certificate, and who is asking.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#authentication-flow
"""

from __future__ import annotations

import base64
import binascii
import functools
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heeler.apiserver.aggregation.services import Remote
from heeler.apiserver.user import User
from heeler.base import pki
from heeler.wire.http.client import HttpClient

if TYPE_CHECKING:
    from heeler.apiserver.extensions.reach import Reach

#: Servers to which connections are kept.
MAX_CLIENTS = 256
USER, GROUP, UID, EXTRA = "X-Remote-User", "X-Remote-Group", "X-Remote-Uid", "X-Remote-Extra-"
#: Characters that a header's name may have (RFC 9110's token), but for the escape itself.
_TOKEN = frozenset(b"!#$&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Misconfigured(Exception):
    """The APIService's authority can't be read."""


@dataclass(slots=True)
class Credentials:
    """The front proxy's client certificate, in files that may be replaced before it ends."""

    certificate: Path
    key: Path
    _renewing: list[pki.Renewing] = field(default_factory=list)

    def load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.certificate, self.key)
        if len(self._renewing) >= MAX_CLIENTS:
            self._renewing.pop(0)
        self._renewing.append(pki.Renewing(context, self.certificate, self.key))

    def renew(self) -> None:
        """Take up a new certificate for new connections. Raises OSError."""
        for one in self._renewing:
            one.look()


def said_of(user: User) -> list[tuple[str, str]]:
    """The headers that tell another API server who is asking."""
    out = [(USER, user.name)]
    if user.uid:
        out.append((UID, user.uid))
    out += [(GROUP, group) for group in user.groups]
    out += [(EXTRA + escaped(key), value) for key, values in user.extra.items() for value in values]
    return [(name, value.replace("\r", " ").replace("\n", " ")) for name, value in out]


def escaped(key: str) -> str:
    """A key as a part of a header's name: other bytes than those of names in percent form."""
    return "".join(chr(byte) if byte in _TOKEN else f"%{byte:02X}" for byte in key.encode())


class Transport:
    """Keeps connections to other API servers. `credentials` is None where this server has no front proxy's certificate."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.credentials: Credentials | None = None
        self._clients: dict[tuple[Any, ...], HttpClient] = {}

    def client(self, remote: Remote) -> HttpClient:
        """Raises Misconfigured."""
        key = remote._replace(available=False)
        found = self._clients.get(key)
        if found is None:
            while len(self._clients) >= MAX_CLIENTS:
                self._clients.pop(next(iter(self._clients)))
            dial = functools.partial(self._dial, remote)
            found = self._clients[key] = HttpClient(self._tls(remote), server_name=remote.server_name, dial=dial)
        return found

    def _tls(self, remote: Remote) -> ssl.SSLContext:
        try:
            context = pki.client_context(base64.b64decode(remote.bundle) if remote.bundle else None)
        except (binascii.Error, ssl.SSLError, ValueError) as error:
            raise Misconfigured(f"unable to load root certificates: {error}") from error
        if remote.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.credentials is not None:
            self.credentials.load(context)
        return context

    async def _dial(self, remote: Remote, _host: str, _port: int) -> socket.socket:
        return await self._reach.service(remote.namespace, remote.service, remote.port, external=True)

    def forget(self, kept: frozenset[str]) -> None:
        """Connections of APIServices that are gone are let go; those under way end by themselves."""
        self._clients = {key: client for key, client in self._clients.items() if key[0] in kept}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
