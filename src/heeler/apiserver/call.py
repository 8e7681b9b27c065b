"""One request as the API server sees it, and what a verb gives back: plain values, no transport.

`Call` comes from HTTPS or from a client in the same process; a `Result` is encoded for the first and handed over as
objects to the second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heeler.apiserver.user import User
from heeler.objects.value import Object
from heeler.wire.http.messages import Peer, Response, Upgrade

if TYPE_CHECKING:
    from heeler.apiserver.cache import Event, Item
    from heeler.kinds.kind import Kind


@dataclass(slots=True)
class Call:
    """`user` is set when the caller is known already (in-process); `object` when the body needs no decoding."""

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    oversized: bool = False
    peer: Peer = Peer()
    user: User | None = None
    object: Object | None = None
    #: texts for Warning headers, in order.
    warnings: list[str] = field(default_factory=list)

    def param(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(slots=True)
class One:
    """One object of a kind, as stored (`item`) in its storage version, or not stored (`object`, e.g. of a dry run)."""

    kind: Kind
    version: str
    item: Item | None
    object: Object | None = None
    status: int = 200


@dataclass(slots=True)
class Many:
    """A page of a collection at `revision`."""

    kind: Kind
    version: str
    items: list[Item]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


@dataclass(slots=True)
class Watching:
    """A stream of events, until it ends or the client goes."""

    kind: Kind
    version: str
    events: AsyncIterator[Event]


@dataclass(slots=True)
class Plain:
    """Any other object: a Status, a review, a Scale, discovery documents."""

    object: Object
    status: int = 200
    #: its columns and rows are those of this kind (Scale as table isn't there in upstream either).
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Raw:
    """An answer that needs no encoding: text, logs, stored documents, an upgrade."""

    response: Response | Upgrade


Result = One | Many | Watching | Plain | Raw
