"""A result in Kubernetes' protobuf: documents, lists out of kept items, frames of a watch; what is kept, and for how long.

An object is encoded when the first client asks for it so, and its bytes are kept, within a bound, until it changes: later
lists are a join. An event's frame is made once for all watchers. Tables have no protobuf, nor have custom resources (but
their metadata do). Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heeler.objects.status import StatusError
from heeler.objects.value import Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from heeler.apiserver.cache import Event, Item
    from heeler.apiserver.call import Many
    from heeler.apiserver.negotiate import Format
    from heeler.kinds.kind import Kind

#: Bytes of encoded objects that are kept.
KEPT_BYTES = 64 * 1024 * 1024
#: When so many times the bound didn't find room since, everything is let go: what is asked for now gets its place.
FORGET_AFTER = 4
#: Seconds that a long list is encoded at a stretch, before others get their turn.
STRETCH_SECONDS = 0.01
#: The form of an item that is only its metadata.
METADATA = "metadata"


def has_message(kind: Kind, version: str) -> bool:
    """Has a built-in kind a protobuf message?"""
    from heeler.kinds.protobuf.facts import message_of

    return message_of(kind.group, version, kind.kind) is not None


def document(obj: Object) -> bytes:
    """An object that says what it is. Raises 406 for what has no message."""
    from heeler.kinds.protobuf import envelope

    found = envelope.whole(obj)
    if found is None:
        raise _no_message(str(obj.get("kind", "")))
    return found


def _no_message(kind: str) -> StatusError:
    text = f"object {kind} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
    return StatusError(406, "NotAcceptable", text)


def form_of(api_version: str, format: Format) -> str:
    """Which of an item's encodings is asked for: one of its apiVersions, or its metadata."""
    return METADATA if format.shape else api_version


def item_document(item: Item, api_version: str, format: Format, encoded: Encoded) -> bytes:
    """One stored object."""
    from heeler.kinds.protobuf import envelope

    form = form_of(api_version, format)
    content = envelope.unlisted(encoded.item(item, form))
    if form == METADATA:
        return envelope.document(f"meta.k8s.io/{format.version}", "PartialObjectMetadata", content)
    return envelope.document(api_version, item.kind.kind, content)


def list_document(page: Many, metadata: Object, format: Format, encoded: Encoded) -> bytes:
    """A page of a collection."""
    from heeler.kinds.protobuf import envelope

    form = form_of(page.api_version, format)
    items = page.encoded if page.encoded is not None else [encoded.item(item, form) for item in page.items]
    if form != METADATA:
        return envelope.list_document(page.api_version, page.kind.list_kind, metadata, items)
    return envelope.metadata_list_document(format.version, metadata, items)


def frames(kind: Kind, api_version: str, format: Format, encoded: Encoded) -> Callable[[Event], bytes]:
    """What makes frames of a watch's events, each once for all who want it so."""
    from heeler.kinds.protobuf import envelope

    form, shown, shown_version = form_of(api_version, format), kind.kind, api_version
    if form == METADATA:
        shown, shown_version = "PartialObjectMetadata", f"meta.k8s.io/{format.version}"
    key = f"protobuf {form} {format.version}"

    def frame(event: Event) -> bytes:
        found = event.forms.get(key)
        if found is None:
            item = encoded.item(event.item, form)
            found = event.forms[key] = envelope.item_frame(event.type, shown_version, shown, item)
        return found

    return frame


def error_frame(error: StatusError) -> bytes:
    """A refusal in the middle of a watch."""
    from heeler.kinds.protobuf import envelope

    return envelope.frame("ERROR", document(error.status()))


class Encoded:
    """Objects as items of lists in protobuf, kept for whoever asks next, up to a number of bytes."""

    def __init__(self, is_current: Callable[[Item], bool], limit: int = KEPT_BYTES) -> None:
        self._is_current = is_current
        self._limit = limit
        self._items: dict[Item, None] = {}
        self._refused = 0
        #: bytes that are kept.
        self.size = 0

    def item(self, item: Item, form: str) -> bytes:
        """An object as an item of a list; `form`: an apiVersion, or METADATA."""
        kept = item.encoded
        if kept is not None and form in kept:
            return kept[form]
        made = _listed(item, form)
        if not self._is_current(item):
            return made
        if self.size + len(made) <= self._limit:
            if kept is None:
                kept = item.encoded = {}
                self._items[item] = None
            kept[form] = made
            self.size += len(made)
        else:
            self._refused += len(made)
            if self._refused > FORGET_AFTER * self._limit:
                self.clear()
        return made

    def drop(self, item: Item) -> None:
        """The object has changed or is gone."""
        if item.encoded is not None:
            self.size -= sum(map(len, item.encoded.values()))
            item.encoded = None
            del self._items[item]

    def clear(self) -> None:
        """Keep nothing of what is kept."""
        for item in self._items:
            item.encoded = None
        self._items.clear()
        self.size = self._refused = 0

    async def warm(self, page: Many, format: Format) -> None:
        """Encode a page's items for `list_document`, letting others have their turn meanwhile."""
        loop = asyncio.get_running_loop()
        form, items, began = form_of(page.api_version, format), [], loop.time()
        for item in page.items:
            items.append(self.item(item, form))
            if loop.time() - began > STRETCH_SECONDS:
                await asyncio.sleep(0)
                began = loop.time()
        page.encoded = items


def _listed(item: Item, form: str) -> bytes:
    from heeler.kinds.protobuf import envelope

    if form == METADATA:
        metadata = item.kind.partial_metadata(item.transient(item.kind.storage_api_version)["metadata"])
        found = envelope.message_bytes("meta.k8s.io/v1", "PartialObjectMetadata", {"metadata": metadata})
    else:
        found = envelope.message_bytes(form, item.kind.kind, item.transient(form))
    if found is None:
        raise _no_message(item.kind.kind)
    return envelope.listed(found)
