"""A result as bytes: JSON or YAML, whole objects, tables or metadata only; lists join cached bytes.

Protobuf is `encode_protobuf.py`'s. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (tables).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver import encode_protobuf
from heeler.apiserver.body import internal_name
from heeler.apiserver.cache import Event, head_of
from heeler.apiserver.call import Call, Many, One, Plain, Raw, Result, Watching
from heeler.apiserver.negotiate import JSON, PROTOBUF, YAML, Format
from heeler.objects import faults, yaml_text
from heeler.objects.status import StatusError, bad_request
from heeler.objects.value import Object
from heeler.wire.http.messages import Response, Upgrade

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer
    from heeler.kinds.kind import Kind

#: Bodies from this size on are compressed for clients that take gzip (upstream's threshold).
GZIP_FROM = 128 * 1024
#: What user agents of programs that show an answer to a person begin with.
_READ_BY_PEOPLE = ("curl", "Wget", "Mozilla/5.0")
META = "meta.k8s.io"


def encode(result: Result, call: Call, format: Format, server: ApiServer) -> Response | Upgrade:
    """The HTTP answer."""
    if isinstance(result, Raw):
        if isinstance(result.response, Response):
            result.response.headers += warning_headers(call)
        return result.response
    if isinstance(result, Watching):
        media = JSON if format.media == JSON else f"{format.media};stream=watch"
        headers = [("Content-Type", media), *warning_headers(call)]
        return Response(200, headers, _watch(result, format, server, call.param("includeObject")))
    how = _protobuf if format.media == PROTOBUF else document
    status, body = how(result, call, format, server)
    return _answer(call, format, status, body)


def document(result: One | Many | Plain, call: Call, format: Format, server: ApiServer) -> tuple[int, bytes | Object]:
    """The status, and the body as JSON bytes or as an object to encode."""
    if isinstance(result, Plain):
        if format.shape and result.rows_of is not None:
            return result.status, _shaped(result.object, result.rows_of, call, format, server)
        if format.shape.startswith("PartialObjectMetadata") and result.object["kind"] != "Status":
            return result.status, _plain_metadata(result.object, format)
        return result.status, result.object
    if isinstance(result, One):
        _check_shape(format, _go_name(result.kind), collection=False)
        if format.shape == "Table":
            objects = [result.value()]
            include = call.param("includeObject")
            return result.status, _table(result.kind, objects, format, server, include, _meta_of(objects[0]))
        if format.shape:
            return result.status, _partial(result.kind, result.value(), format)
        if result.item is not None:
            return result.status, result.item.served(result.api_version)
        return result.status, result.value()
    _check_shape(format, _go_name(result.kind), collection=True)
    if format.shape == "Table":
        objects = [i.in_version(result.api_version) for i in result.items]
        return 200, _table(result.kind, objects, format, server, call.param("includeObject"), _list_meta(result))
    if format.shape:
        items = [_partial(result.kind, i.in_version(result.api_version), format) for i in result.items]
        out = {"kind": "PartialObjectMetadataList", "apiVersion": f"{META}/{format.version}"}
        return 200, {**out, "metadata": _list_meta(result), "items": items}
    lines = format.media == JSON and _pretty(call, format)
    return 200, _list_lines(result) if lines else _list_bytes(result)


_CUSTOM = "unstructured.Unstructured"


def _go_name(kind: Kind) -> str:
    """The Go type of a kind's objects, as messages name it."""
    return _CUSTOM if kind.custom else f"{internal_name(kind.group)}.{kind.kind}"


def _check_shape(format: Format, go_name: str, *, collection: bool) -> None:
    """Metadata of a list was asked for as that of an object, or the other way round. Raises 406, and upstream's odd 500."""
    if not format.shape.startswith("PartialObjectMetadata") or format.shape.endswith("List") == collection:
        return
    if go_name == _CUSTOM and not collection:
        raise StatusError(500, "", "content is not a list")
    told = f"is a list (*{go_name}List)" if collection else f"is not a list (*{go_name})"
    text = f"you requested {format.shape}, but the requested object {told}"
    raise StatusError(406, "NotAcceptable", text)


def _plain_metadata(found: Object, format: Format) -> Object:
    """The metadata of an object or list that isn't stored."""
    group = found["apiVersion"].rpartition("/")[0]
    _check_shape(format, f"{internal_name(group)}.{found['kind'].removesuffix('List')}", collection="items" in found)
    head = {"apiVersion": f"{META}/{format.version}"}
    if "items" not in found:
        return {"kind": "PartialObjectMetadata", **head, "metadata": found.get("metadata") or {}}
    items = [{"kind": "PartialObjectMetadata", **head, "metadata": item["metadata"]} for item in found["items"]]
    return {"kind": "PartialObjectMetadataList", **head, "metadata": found.get("metadata") or {}, "items": items}


def _protobuf(result: One | Many | Plain, call: Call, format: Format, server: ApiServer) -> tuple[int, bytes | Object]:
    """The status and the document."""
    encoded = server.cache.encoded
    if not isinstance(result, Plain):
        _check_shape(format, _go_name(result.kind), collection=isinstance(result, Many))
    if isinstance(result, Many):
        return 200, encode_protobuf.list_document(result, _list_meta(result), format, encoded)
    if isinstance(result, One) and result.item is not None:
        return result.status, encode_protobuf.item_document(result.item, result.api_version, format, encoded)
    status, obj = document(result, call, format, server)
    assert not isinstance(obj, bytes)
    return status, encode_protobuf.document(obj)


def _shaped(found: Object, kind: Kind, call: Call, format: Format, server: ApiServer) -> Object:
    """An object or list that isn't stored, as a table or as metadata only."""
    collection = "items" in found
    _check_shape(format, _go_name(kind), collection=collection)
    head = {"kind": kind.kind, "apiVersion": found["apiVersion"]}
    objects = [{**head, **item} for item in found["items"]] if collection else [found]
    if format.shape == "Table":
        meta = {} if collection else _meta_of(found)
        return _table(kind, objects, format, server, call.param("includeObject"), meta)
    items = [_partial(kind, obj, format) for obj in objects]
    if not collection:
        return items[0]
    out = {"kind": "PartialObjectMetadataList", "apiVersion": f"{META}/{format.version}"}
    return {**out, "metadata": {}, "items": items}


def _list_meta(page: Many) -> Object:
    out: Object = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        out["continue"] = page.continue_token
        if page.remaining is not None:
            out["remainingItemCount"] = page.remaining
    return out


class _Lines(bytes):
    """JSON in lines, as it is to be sent."""


def _list_lines(page: Many) -> _Lines:
    """A list for people. Item by item: the parsed form of 10,000 pods at once takes three times as long, and 200 MiB."""
    head = orjson.dumps({**_list_head(page), "items": []}, option=orjson.OPT_INDENT_2)
    if not page.items:
        return _Lines(head)
    parts = []
    for item in page.items:
        lines = orjson.dumps(orjson.loads(item.listed(page.api_version)), option=orjson.OPT_INDENT_2)
        parts.append(lines.replace(b"\n", b"\n    "))
    return _Lines(b"%b[\n    %b\n  ]\n}" % (head.removesuffix(b"[]\n}"), b",\n    ".join(parts)))


def _list_head(page: Many) -> Object:
    meta = {"continue": "", **_list_meta(page)} if page.kind.custom else _list_meta(page)
    return {"kind": page.kind.list_kind, "apiVersion": page.api_version, "metadata": meta}


def _list_bytes(page: Many) -> bytes:
    head = orjson.dumps(_list_head(page))
    version, kind = page.api_version, page.kind
    parts: list[bytes | memoryview] = [head[:-1], b',"items":[']
    if version == kind.storage_api_version and not kind.custom:
        # the stored bytes as they are, each copied once: this is what large lists are made of
        cut = len(head_of(kind.kind, version))
        for item in page.items:
            parts += (b'{"metadata":{"resourceVersion":"%d",' % item.revision, memoryview(item.value)[cut:], b",")
    else:
        for item in page.items:
            parts += (item.listed(version), b",")
    if page.items:
        parts.pop()
    parts.append(b"]}")
    return b"".join(parts)


def _meta_of(obj: Object) -> Object:
    revision = obj["metadata"].get("resourceVersion")
    return {"resourceVersion": revision} if revision else {}


def _partial(kind: Kind, obj: Object, format: Format) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{META}/{format.version}",
        "metadata": kind.partial_metadata(obj["metadata"]),
    }


def columns_of(kind: Kind, api_version: str) -> list[Object]:
    """A table's column definitions."""
    from heeler.kinds.descriptions import describe

    return [
        {
            "name": c.name,
            "type": c.type,
            "format": c.format,
            "description": describe(c.about),
            "priority": c.priority,
        }
        for c in kind.columns(api_version)
    ]


#: What of an object its row of a table may carry.
_INCLUDES = ("Metadata", "Object", "None")


def _table(
    kind: Kind, objects: list[Object], format: Format, server: ApiServer, include: str, metadata: Object
) -> Object:
    """Rows of `objects` (in the version that was asked for). Raises 400 for an `include` that there isn't."""
    if include not in ("", *_INCLUDES):
        choices = ", ".join(f"'{name}'" for name in _INCLUDES)
        words = f"includeObject: Invalid value: {faults.quote(include)}: must be {choices}, or empty"
        raise bad_request(f"Unable to convert to Table as requested: {words}")
    rows = [_row(kind, obj, format, server, include) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": f"{META}/{format.version}",
        "metadata": metadata,
        "columnDefinitions": columns_of(kind, ""),
        "rows": rows or (None if kind.null_rows else []),
    }


def _row(kind: Kind, obj: Object, format: Format, server: ApiServer, include: str) -> Object:
    stored = kind.convert(obj, obj["apiVersion"], kind.storage_api_version)
    row: Object = {"cells": kind.row(stored, server.clock.time())}
    conditions = kind.row_conditions(stored)
    if conditions:
        row["conditions"] = conditions
    if include == "None":
        row["object"] = None
    elif include == "Object":
        row["object"] = obj
    else:
        row["object"] = _partial(kind, obj, format)
    return row


async def _watch(result: Watching, format: Format, server: ApiServer, include: str) -> AsyncIterator[bytes]:
    """The events as lines or frames; a refusal in the middle is an ERROR event."""
    show = _shown(result, format, server, include)
    events = result.events
    try:
        async for event in events:
            if format.shape == "PartialObjectMetadataList":
                return  # an event's object is no list: upstream's encoder gives up
            yield show(event)
    except StatusError as error:
        if format.media == PROTOBUF:
            yield encode_protobuf.error_frame(error)
        else:
            yield orjson.dumps({"type": "ERROR", "object": error.status()}) + b"\n"
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _shown(result: Watching, format: Format, server: ApiServer, include: str) -> Callable[[Event], bytes]:
    """What makes bytes of a watch's events."""
    kind, version = result.kind, result.api_version
    if format.media == PROTOBUF:
        return encode_protobuf.frames(kind, version, format, server.cache.encoded)
    if not format.shape:
        return lambda event: event.line(version)
    first = True

    def line(event: Event) -> bytes:
        nonlocal first
        obj = event.item.in_version(version)
        if format.shape == "Table":
            shown = _event_table(kind, obj, format, server, include, first)
            first = False
        else:
            shown = _partial(kind, obj, format)
        return orjson.dumps({"type": event.type, "object": shown}) + b"\n"

    return line


def _event_table(kind: Kind, obj: Object, format: Format, server: ApiServer, include: str, first: bool) -> Object:
    """One event's table: the columns come with the first only."""
    table = _table(kind, [obj], format, server, include, _meta_of(obj))
    if not first:
        table["columnDefinitions"] = None
    return table


def _answer(call: Call, format: Format, status: int, body: bytes | Object) -> Response:
    if format.media == PROTOBUF:
        assert isinstance(body, bytes)
        data = body
    elif format.media == YAML:
        value: Any = orjson.loads(body) if isinstance(body, bytes) else body
        data = yaml_text.dump(value).encode()
    elif isinstance(body, _Lines):
        data = body
    elif isinstance(body, bytes):
        data = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2) if _pretty(call, format) else body
    else:
        data = orjson.dumps(body, option=orjson.OPT_INDENT_2 if _pretty(call, format) else 0)
    headers = [("Content-Type", format.media), *warning_headers(call)]
    return compress(call, Response(status, headers, data))


def compress(call: Call, answer: Response) -> Response:
    """Gzip a large body for whoever takes it."""
    data = answer.body
    if isinstance(data, bytes) and len(data) >= GZIP_FROM and "gzip" in call.headers.get("accept-encoding", ""):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        answer.body = packer.compress(data) + packer.flush()
        answer.headers.append(("Content-Encoding", "gzip"))
    return answer


def _pretty(call: Call, format: Format | None = None) -> bool:
    """Asked for, or read by a person: browsers and the programs of the shell get lines unless they say otherwise."""
    text = call.param("pretty", "")
    if not text and call.headers.get("user-agent", "").startswith(_READ_BY_PEOPLE):
        return True
    return (format is not None and format.pretty) or text.lower() in ("1", "t", "true")


def warning_headers(call: Call) -> list[tuple[str, str]]:
    """Warning headers (RFC 7234, code 299, no agent)."""
    out = []
    for text in call.warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        clean = "".join(c if c.isprintable() else " " for c in quoted)
        out.append(("Warning", f'299 - "{clean}"'))
    return out


def encode_error(error: StatusError, call: Call, media: str) -> Response:
    """A refusal as an HTTP answer."""
    headers = [("Content-Type", media), *error.headers, *warning_headers(call)]
    if media == PROTOBUF:
        return Response(error.code, headers, encode_protobuf.document(error.status()))
    if media == YAML:
        return Response(error.code, headers, yaml_text.dump(error.status()).encode())
    return Response(
        error.code, headers, orjson.dumps(error.status(), option=orjson.OPT_INDENT_2 if _pretty(call) else 0)
    )
