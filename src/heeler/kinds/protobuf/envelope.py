"""The document: "k8s\\0" and a runtime.Unknown that says what the message is; frames of a watch; lists out of parts.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from heeler.kinds.protobuf.facts import META, message_of
from heeler.kinds.protobuf.primitives import LENGTH, ProtobufError, block, parts, tag, varint
from heeler.kinds.protobuf.read import read
from heeler.kinds.protobuf.write import write
from heeler.objects.value import Object

MAGIC = b"k8s\0"
_FIRST, _SECOND = tag(1, LENGTH), tag(2, LENGTH)
#: contentEncoding and contentType, which say nothing.
_END = tag(3, LENGTH) + b"\0" + tag(4, LENGTH) + b"\0"
_UNKNOWN = {
    1: (LENGTH, "TypeMeta"),
    2: (LENGTH, "Raw"),
    3: (LENGTH, "ContentEncoding"),
    4: (LENGTH, "ContentType"),
}
_TYPE_META = {1: (LENGTH, "APIVersion"), 2: (LENGTH, "Kind")}


def open_document(raw: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind ("" where nothing, or no version, is said) and the message's bytes. Raises ProtobufError."""
    if not raw:
        raise ProtobufError("empty data")
    if not raw.startswith(MAGIC):
        shown = " ".join(map(str, MAGIC))
        raise ProtobufError(f"provided data does not appear to be a protobuf message, expected prefix [{shown}]")
    if len(raw) == len(MAGIC):
        raise ProtobufError("empty body")
    meta, content = {1: "", 2: ""}, b""
    for number, start, stop in parts(raw, len(MAGIC), len(raw), "Unknown", _UNKNOWN):
        if number == 1:
            for field, a, b in parts(raw, start, stop, "TypeMeta", _TYPE_META):
                meta[field] = raw[a:b].decode("utf-8", "replace")
        elif number == 2:
            content = raw[start:stop]
    return (meta[1] if meta[1].count("/") < 2 else ""), meta[2], content


def read_object(api_version: str, kind: str, content: bytes) -> Object | None:
    """A kind's message as a JSON value; None for a kind without one. Raises ProtobufError."""
    group, _, version = api_version.rpartition("/")
    message = message_of(group, version, kind)
    return None if message is None else read(message, content)


def message_bytes(api_version: str, kind: str, value: Object) -> bytes | None:
    """The message of a kind's object or list; None for a kind without one."""
    group, _, version = api_version.rpartition("/")
    message = message_of(group, version, kind)
    return None if message is None else write(message, value)


def document(api_version: str, kind: str, content: bytes | Iterable[bytes]) -> bytes:
    """The document around a message's bytes, or around their pieces."""
    pieces = [content] if isinstance(content, bytes) else list(content)
    return b"".join([_head(api_version, kind), varint(sum(map(len, pieces))), *pieces, _END])


@lru_cache(maxsize=1024)
def _head(api_version: str, kind: str) -> bytes:
    meta = block(_FIRST, api_version.encode()) + block(_SECOND, kind.encode())
    return MAGIC + block(_FIRST, meta) + _SECOND


def whole(value: Object) -> bytes | None:
    """An object that says what it is as a document; None if its kind has no message."""
    api_version, kind = str(value.get("apiVersion") or ""), str(value.get("kind") or "")
    content = message_bytes(api_version or "v1", kind, value)
    return None if content is None else document(api_version, kind, content)


def listed(content: bytes) -> bytes:
    """An object's message as a list's item."""
    return block(_SECOND, content)


def unlisted(item: bytes) -> bytes:
    """The message in a list's item."""
    return item[_behind_length(item) :]


def _behind_length(item: bytes) -> int:
    at = 1
    while item[at] >= 0x80:
        at += 1
    return at + 1


def list_document(api_version: str, list_kind: str, metadata: Object, items: Iterable[bytes]) -> bytes:
    """A list of `listed` items."""
    head = block(_FIRST, write(f"{META}.v1.ListMeta", metadata))
    return document(api_version, list_kind, [head, *items])


def metadata_list_document(version: str, metadata: Object, items: Iterable[bytes]) -> bytes:
    """A list of metadata only; its older version has the two fields the other way round."""
    api_version, kind = f"meta.k8s.io/{version}", "PartialObjectMetadataList"
    if version == "v1":
        return list_document(api_version, kind, metadata, items)
    meta = block(_SECOND, write(f"{META}.v1.ListMeta", metadata))
    return document(api_version, kind, [*(block(_FIRST, unlisted(item)) for item in items), meta])


def frame(type: str, shown: bytes) -> bytes:
    """One event of a watch: its length in four bytes, then a WatchEvent around a document."""
    event = _type(type) + block(_SECOND, block(_FIRST, shown))
    return len(event).to_bytes(4, "big") + event


@lru_cache(maxsize=16)
def _type(type: str) -> bytes:
    return block(_FIRST, type.encode())


def item_frame(type: str, api_version: str, kind: str, item: bytes) -> bytes:
    """The same of a list's item, copied once: watches begin with thousands of them."""
    at = _behind_length(item)
    return b"".join((_frame_head(type, api_version, kind, len(item) - at), memoryview(item)[at:], _END))


@lru_cache(maxsize=8192)
def _frame_head(type: str, api_version: str, kind: str, size: int) -> bytes:
    """What stands before a message of so many bytes in a frame: much the same for objects of a kind."""
    first, head = _type(type), _head(api_version, kind) + varint(size)
    document_size = len(head) + size + len(_END)
    inner = _FIRST + varint(document_size)
    outer = _SECOND + varint(len(inner) + document_size)
    length = len(first) + len(outer) + len(inner) + document_size
    return b"".join((length.to_bytes(4, "big"), first, outer, inner, head))
