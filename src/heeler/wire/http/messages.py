"""An HTTP request and answer as plain values; `server.py` and `client.py` put them on a wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol


class Stream(Protocol):
    """A connection in both directions, after the HTTP part is over (an upgrade), or any other byte stream."""

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes, at most `limit`; b"" once the other side has ended."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand over all of `data`; waits while the other side is slow. Raises ConnectionError once it is gone."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: address, and what a verified client certificate says (empty without one).

    `fingerprint`: the SHA-256 of the certificate, in hexadecimal digits.
    """

    address: str = ""
    common_name: str = ""
    organizations: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(slots=True)
class Request:
    """`path` is percent-decoded, `target` is as sent. Header names are in lower case, repeated ones joined by ", ".

    The body is read whole, up to the server's limit; of a longer one nothing is kept and `oversized` is set.
    """

    method: str
    target: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    oversized: bool = False
    peer: Peer = Peer()

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default


@dataclass(slots=True)
class Response:
    """A body that is an iterator is sent in chunks, each one at once; it is closed when the client goes away."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


@dataclass(slots=True)
class Upgrade:
    """Answer 101 with these headers, then `run` owns the connection until it returns."""

    headers: list[tuple[str, str]]
    run: Callable[[Stream], Awaitable[None]]


Handler = Callable[[Request], Awaitable["Response | Upgrade"]]
