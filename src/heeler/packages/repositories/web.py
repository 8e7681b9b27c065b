"""HTTP as Helm's repositories and registries need it: proxies from the environment, redirects, TLS, credentials, bounds.

A command asks a few times and ends, so this is plain blocking code on the standard library. What can't be reached, and what
isn't what it should be, is a `WebError` in the words that Go's client has for it.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from heeler.base.clock import Clock, SystemClock

#: Bytes of an answer that are read at most: charts and indexes are smaller by far.
MAX_BYTES = 256 << 20
MAX_REDIRECTS = 10
#: Bytes that are read before the clock is looked at again.
PIECE_BYTES = 1 << 20
TIMEOUT_SECONDS = 120.0
USER_AGENT = "Heeler"
PORTS: Mapping[str, int] = {"http": 80, "https": 443}
DEADLINE = "context deadline exceeded"
#: A password in a URL, which no message shows.
_LOGIN = re.compile(r"(?<=:)[^:/@]*@")


class WebError(Exception):
    """A request that got no answer; the message names method, URL and why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of what to trust and who we are; `verify` False takes any certificate."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises WebError for files that can't be read."""
        if self.authority:
            try:
                open(self.authority, "rb").close()
            except OSError as error:
                said = f"open {self.authority}: {(error.strerror or '').lower()}"
                raise WebError(
                    f"can't create TLS config for client: can't read CA file: \"{self.authority}\": {said}"
                ) from None
        try:
            context = ssl.create_default_context(cafile=self.authority or None)
            if self.certificate and self.key:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise WebError(f"can't create TLS config for client: {error}") from error
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


#: What the system trusts.
PLAIN = Tls()


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks. It is told to the host that it is for only, unless `everywhere`."""

    name: str = ""
    password: str = ""
    everywhere: bool = False

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


NOBODY = Login()


@dataclass(slots=True)
class Answer:
    """Header names are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    url: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(slots=True)
class Web:
    """Asks; keeps nothing between two questions but the TLS settings."""

    tls: Tls = PLAIN
    timeout: float = TIMEOUT_SECONDS
    clock: Clock = field(default_factory=SystemClock, repr=False)
    _opener: Any = field(default=None, repr=False)

    def get(
        self,
        url: str,
        *,
        login: Login = NOBODY,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_BYTES,
    ) -> Answer:
        """GET, over redirects; the login goes to the first host only unless it is for everywhere. Raises WebError.

        All of it has `timeout` seconds, however slowly the server speaks.
        """
        first, until = place(url), self.clock.monotonic() + self.timeout
        location = url
        for _ in range(MAX_REDIRECTS):
            sent = dict(headers or {})
            same = place(url) == first
            if not same:
                sent.pop("Authorization", None)
            if login.name and login.password and (login.everywhere or same):
                sent["Authorization"] = login.header
            answer = self.ask("GET", url, headers=sent, limit=limit, until=until)
            if answer.status not in (301, 302, 303, 307, 308) or "location" not in answer.headers:
                return answer
            location = answer.headers["location"]
            url = urljoin(url, location)
        raise WebError(f'Get "{location}": stopped after {MAX_REDIRECTS} redirects')

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_BYTES,
        until: float | None = None,
    ) -> Answer:
        """One request, one answer, whatever its status. Raises WebError."""
        url, login = _without_login(url)
        headers = {**login, **(headers or {})}
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https"):  # urllib would read files too
            raise WebError(f'{method.title()} "{url}": unsupported protocol scheme "{scheme}"')
        until = self.clock.monotonic() + self.timeout if until is None else until
        request = urllib.request.Request(url, data=body, method=method, headers={"User-Agent": USER_AGENT})
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            left = max(until - self.clock.monotonic(), 0.001)
            with self._open().open(request, timeout=left) as found:
                return self._answer(found, method, url, limit, until)
        except urllib.error.HTTPError as error:
            with error:
                return self._answer(error, method, url, limit, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, http.client.IncompleteRead):
                raise WebError("unexpected EOF") from error
            raise WebError(f'{method.title()} "{url}": {why(error, url)}') from error

    def _answer(self, found: Any, method: str, url: str, limit: int, until: float) -> Answer:
        parts: list[bytes] = []
        size = 0
        while part := found.read1(PIECE_BYTES):  # what is there, so that the clock is looked at in between
            size += len(part)
            if size > limit:
                raise WebError(f'Get "{url}": the answer is larger than {limit >> 20} MiB')
            if self.clock.monotonic() > until:
                raise WebError(f"{DEADLINE} (Client.Timeout or context cancellation while reading body)")
            parts.append(part)
        headers = {name.lower(): value for name, value in found.headers.items()}
        promised = headers.get("content-length", "")
        if promised and not (promised.isascii() and promised.isdigit()):
            raise WebError(f'Get "{url}": bad Content-Length "{promised}"')
        if method != "HEAD" and promised and size < int(promised):
            raise WebError("unexpected EOF")
        return Answer(found.status, found.reason, headers, b"".join(parts), url)

    def _open(self) -> Any:
        if self._opener is None:
            https = urllib.request.HTTPSHandler(context=self.tls.context())
            self._opener = urllib.request.build_opener(https, _NoRedirect)
            self._opener.addheaders = []
        return self._opener


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """A URL without the user and password in it, and the header that tells them. Raises WebError for what is no URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise WebError(f'parse "{_LOGIN.sub("***@", url)}": {str(error)[:1].lower()}{str(error)[1:]}') from None
    if parts.username is None:
        return url, {}
    told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}


def place(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of a URL: what a login is for."""
    parts = urlsplit(url)
    try:
        return parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:  # no port at all
        return parts.scheme, parts.netloc, 0


def why(error: Exception, url: str) -> str:
    """What Go says of a connection that failed."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    at = f"{host}:{parts.port or PORTS.get(parts.scheme, 0)}"
    match error:
        case ConnectionRefusedError():
            return f"dial tcp {at}: connect: connection refused"
        case socket.gaierror():
            return f"dial tcp: lookup {parts.hostname}: no such host"
        case TimeoutError():
            return f"{DEADLINE} (Client.Timeout exceeded while awaiting headers)"
        case ssl.SSLCertVerificationError():
            return f"tls: failed to verify certificate: x509: {_x509(error)}"
        case ssl.SSLError() if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER_FAILURE" in str(error):
            return "http: server gave HTTP response to HTTPS client"
        case ConnectionResetError():
            return f"read tcp {at}: read: connection reset by peer"
        case http.client.IncompleteRead():
            return "unexpected EOF"
        case http.client.HTTPException():
            return "EOF"
        case urllib.error.URLError() if "unknown url type" in str(error.reason):
            return f'unsupported protocol scheme "{parts.scheme}"'
        case _:
            return str(error)


def _x509(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message
    if "Hostname mismatch" in text or "IP address mismatch" in text:
        return f"certificate is not valid for the name that was asked ({text})"
    if "expired" in text:
        return "certificate has expired or is not yet valid"
    return "certificate signed by unknown authority"
