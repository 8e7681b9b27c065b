"""One request as the API server sees it, and what a verb gives back: plain values, no transport.

`Call` comes from HTTPS or from a client in the same process; a `Result` is encoded for the first and handed over as
objects to the second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heeler.apiserver.user import User
from heeler.apiserver.warnings import Warnings
from heeler.base.aside import LARGE_BYTES
from heeler.objects.value import Object
from heeler.wire.http.messages import Peer, Response, Upgrade

if TYPE_CHECKING:
    from heeler.apiserver.audit.record import Record
    from heeler.apiserver.cache import Event, Item
    from heeler.kinds.kind import Kind


NOBODY = Peer()


@dataclass(slots=True)
class Call:
    """`user` is set when the caller is known already (in-process); `object` when the body needs no parsing."""

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    oversized: bool = False
    peer: Peer = NOBODY
    user: User | None = None
    object: Object | list[Object] | None = None
    target: str = ""
    warnings: Warnings = field(default_factory=Warnings)
    #: What the audit log calls the request.
    audit_id: str = ""
    #: What is written of it there, if anything is.
    record: Record | None = None

    @property
    def weight(self) -> int:
        """Bytes that the body stands for, as to what reading it costs: aliases make much of little YAML."""
        if b"&" in self.body and "yaml" in self.headers.get("content-type", ""):
            return LARGE_BYTES
        return len(self.body)

    def param(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def warn(self, text: str) -> None:
        self.warnings.add(text)

    def annotate(self, key: str, value: str) -> None:
        """Say something to the audit log."""
        if self.record is not None:
            self.record.annotate(key, value)


@dataclass(slots=True)
class One:
    """One object of a kind: as stored (`item`), or not stored (`object`, in its storage version: a dry run's)."""

    kind: Kind
    api_version: str
    item: Item | None
    object: Object | None = None
    status: int = 200

    def value(self) -> Object:
        """The object in the version that was asked for."""
        if self.item is not None:
            return self.item.in_version(self.api_version)
        assert self.object is not None
        return self.kind.convert(self.object, self.kind.storage_api_version, self.api_version)


@dataclass(slots=True)
class Many:
    """A page of a collection at `revision`."""

    kind: Kind
    api_version: str
    items: list[Item]
    revision: int
    continue_token: str = ""
    remaining: int | None = None
    #: the items in protobuf, where it was asked for (`encode_protobuf.Encoded.warm`).
    encoded: list[bytes] | None = None


@dataclass(slots=True)
class Watching:
    """A stream of events, until it ends or the client goes. `closing` is called when it isn't even begun."""

    kind: Kind
    api_version: str
    events: AsyncIterator[Event]


@dataclass(slots=True)
class Plain:
    """Any other object: a Status, a review, a Scale, discovery documents."""

    object: Object
    status: int = 200
    #: The kind whose table it (or, of a list, its items) may be shown as.
    rows_of: Kind | None = None


@dataclass(slots=True)
class Raw:
    """An answer that needs no encoding: text, logs, stored documents, an upgrade."""

    response: Response | Upgrade


Result = One | Many | Watching | Plain | Raw
