"""Kubernetes' protobuf encoding read into plain JSON values, by a table of messages (`kinds/schema/protobuf.json.gz`).

Only reading: a client that sends protobuf takes JSON as an answer too, unless it says otherwise (then it gets 406). The
result has every field that was sent, zero or not; `objects.decode` makes of it what a typed object would hold. Source:
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding and
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from heeler.base.clock import rfc3339, rfc3339_micro
from heeler.kinds.types import read_schema
from heeler.objects.value import Object

MAGIC = b"k8s\0"
#: Nesting that is followed.
MAX_DEPTH = 200
_UNKNOWN = "k8s.io.apimachinery.pkg.runtime.Unknown"
_PACKAGES = {
    "": "k8s.io.api.core",
    "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
}


class ProtobufError(ValueError):
    """The bytes aren't such a message; the text says why."""


class _Reader:
    """The bytes of a document."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            if at >= end or shift > 63:
                raise ProtobufError("unexpected EOF")
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7


def envelope(raw: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and the message's bytes of a document. Raises ProtobufError."""
    if not raw:
        raise ProtobufError("empty data")
    if not raw.startswith(MAGIC):
        raise ProtobufError(f"provided data does not appear to be a protobuf message, expected prefix {list(MAGIC)}")
    found = message(_UNKNOWN, raw[len(MAGIC) :])
    meta = found.get("typeMeta") or {}
    content = base64.b64decode(found.get("raw") or "")
    return str(meta.get("apiVersion", "")), str(meta.get("kind", "")), content


def read(group: str, version: str, kind: str, raw: bytes) -> Object | None:
    """The message of a kind as a JSON value; None for a kind without one. Raises ProtobufError."""
    package = _PACKAGES.get(group) or f"k8s.io.api.{group.split('.', 1)[0]}"
    for name in (f"{package}.{version}.{kind}", f"k8s.io.apimachinery.pkg.apis.meta.v1.{kind}"):
        if name in _messages():
            return message(name, raw)
    return None


def message(name: str, raw: bytes) -> Object:
    """One message by its name."""
    value = _read_message(name, _Reader(raw), 0, len(raw), 0)
    return value if isinstance(value, dict) else {}


@cache
def _messages() -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = read_schema("protobuf.json.gz")
    return found


@cache
def _fields(name: str) -> dict[int, tuple[str, str, str, str]]:
    """number -> (JSON name, "one" | "many" | "map", type of a value, type of a map's key)."""
    out: dict[int, tuple[str, str, str, str]] = {}
    for number, json_name, type_ in _messages()[name]:
        if type_.startswith("repeated "):
            out[number] = (json_name, "many", type_.removeprefix("repeated "), "")
        elif type_.startswith("map<"):
            key, _, value = type_[4:-1].partition(",")
            out[number] = (json_name, "map", value.strip(), key)
        else:
            out[number] = (json_name, "one", type_, "")
    return out


def _read_message(name: str, reader: _Reader, at: int, end: int, depth: int) -> Any:
    """A message between two offsets, as JSON has it."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special(reader.data[at:end])
    if depth > MAX_DEPTH:
        raise ProtobufError("exceeded max depth")
    fields = _fields(name)
    out: Object = {}
    while at < end:
        tag, at = reader.varint(at, end)
        number, wire = tag >> 3, tag & 7
        known = fields.get(number)
        if known is None:
            at = _skip(reader, at, end, wire)
            continue
        json_name, shape, type_, key_type = known
        if shape == "map":
            start, at = _span(reader, at, end, wire)
            key, value = _entry(reader, start, at, key_type, type_, depth)
            out.setdefault(json_name, {})[key] = value
            continue
        if shape == "many" and wire == 2 and type_ in _PACKED:
            start, at = _span(reader, at, end, wire)
            while start < at:
                value, start = _value(reader, start, at, 0, type_, depth)
                out.setdefault(json_name, []).append(value)
            continue
        value, at = _value(reader, at, end, wire, type_, depth)
        if shape == "many":
            out.setdefault(json_name, []).append(value)
        elif json_name:
            out[json_name] = value
        elif isinstance(value, dict):
            out.update(value)
    after = _AFTER.get(name)
    return after(out) if after is not None else out


def _value(reader: _Reader, at: int, end: int, wire: int, type_: str, depth: int) -> tuple[Any, int]:
    """One value and the offset behind it."""
    if wire == 2:
        start, stop = _span(reader, at, end, wire)
        if type_ == "string":
            return reader.data[start:stop].decode("utf-8", "replace"), stop
        if type_ == "bytes":
            return base64.b64encode(reader.data[start:stop]).decode(), stop
        if type_ not in _messages():
            raise ProtobufError(f"proto: wrong wireType = {wire}")
        return _read_message(type_, reader, start, stop, depth + 1), stop
    if wire == 0:
        number, at = reader.varint(at, end)
        if type_ == "bool":
            return bool(number), at
        if number >= 1 << 63:
            number -= 1 << 64
        return number, at
    if wire in (1, 5):
        size = 8 if wire == 1 else 4
        if at + size > end:
            raise ProtobufError("unexpected EOF")
        piece = reader.data[at : at + size]
        form = {("double", 8): "<d", ("float", 4): "<f"}.get((type_, size), "<q" if size == 8 else "<i")
        return struct.unpack(form, piece)[0], at + size
    raise ProtobufError(f"proto: illegal wireType {wire}")


def _entry(reader: _Reader, at: int, end: int, key_type: str, type_: str, depth: int) -> tuple[str, Any]:
    key, value = "", _zero(type_)
    while at < end:
        tag, at = reader.varint(at, end)
        if tag >> 3 == 1:
            found, at = _value(reader, at, end, tag & 7, key_type, depth)
            key = str(found)
        elif tag >> 3 == 2:
            value, at = _value(reader, at, end, tag & 7, type_, depth)
        else:
            at = _skip(reader, at, end, tag & 7)
    return key, value


def _zero(type_: str) -> Any:
    if type_ in ("string", "bytes"):
        return ""
    if type_ == "bool":
        return False
    return 0 if type_ in _PACKED else {}


def _span(reader: _Reader, at: int, end: int, wire: int) -> tuple[int, int]:
    if wire != 2:
        raise ProtobufError(f"proto: wrong wireType = {wire}")
    size, at = reader.varint(at, end)
    if at + size > end:
        raise ProtobufError("unexpected EOF")
    return at, at + size


def _skip(reader: _Reader, at: int, end: int, wire: int) -> int:
    if wire == 0:
        return reader.varint(at, end)[1]
    if wire == 2:
        return _span(reader, at, end, wire)[1]
    if wire in (1, 5):
        return at + (8 if wire == 1 else 4)
    raise ProtobufError(f"proto: illegal wireType {wire}")


_PACKED = ("int32", "int64", "uint32", "uint64", "bool", "double", "float")


def _plain(raw: bytes, name: str) -> Object:
    """A message of scalars, read by the same table but without its JSON form."""
    reader, out, at = _Reader(raw), {}, 0
    fields = _fields(name)
    while at < len(raw):
        tag, at = reader.varint(at, len(raw))
        known = fields.get(tag >> 3)
        if known is None:
            at = _skip(reader, at, len(raw), tag & 7)
        else:
            out[known[0]], at = _value(reader, at, len(raw), tag & 7, known[2], 0)
    return out


_UTIL = "k8s.io.apimachinery.pkg"


def _time(raw: bytes) -> str | None:
    found = _plain(raw, f"{_UTIL}.apis.meta.v1.Time")
    return rfc3339(found.get("seconds", 0)) if found.get("seconds") is not None and raw else None


def _micro_time(raw: bytes) -> str | None:
    if not raw:
        return None
    found = _plain(raw, f"{_UTIL}.apis.meta.v1.MicroTime")
    return rfc3339_micro(found.get("seconds", 0) + found.get("nanos", 0) / 1e9)


def _quantity(raw: bytes) -> str:
    return str(_plain(raw, f"{_UTIL}.api.resource.Quantity").get("string", "0") or "0")


def _int_or_string(raw: bytes) -> int | str:
    found = _plain(raw, f"{_UTIL}.util.intstr.IntOrString")
    return str(found.get("strVal", "")) if found.get("type") else int(found.get("intVal", 0))


def _duration(raw: bytes) -> str:
    """Go's text of a duration: 1h2m3s."""
    nanos = int(_plain(raw, f"{_UTIL}.apis.meta.v1.Duration").get("duration", 0))
    if nanos == 0:
        return "0s"
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    seconds, rest = divmod(nanos, 1_000_000_000)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    tail = f"{seconds}.{rest:09d}".rstrip("0") if rest else str(seconds)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{tail}s"


def _raw_json(raw: bytes) -> Any:
    """RawExtension and its kin: bytes that are JSON themselves."""
    found = _Reader(raw)
    at, value = 0, b""
    while at < len(raw):
        tag, at = found.varint(at, len(raw))
        if tag >> 3 == 1 and tag & 7 == 2:
            start, at = _span(found, at, len(raw), 2)
            value = raw[start:at]
        else:
            at = _skip(found, at, len(raw), tag & 7)
    if not value:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"embedded JSON is broken: {error}") from error


def _verbs(raw: bytes) -> list[str]:
    reader, out, at = _Reader(raw), [], 0
    while at < len(raw):
        _, at = reader.varint(at, len(raw))
        start, at = _span(reader, at, len(raw), 2)
        out.append(raw[start:at].decode("utf-8", "replace"))
    return out


_SCHEMA = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
#: Messages that stand for one of their fields.
_AFTER: dict[str, Callable[[Object], Any]] = {
    f"{_SCHEMA}OrArray": lambda found: found.get("schema") or found.get("jSONSchemas"),
    f"{_SCHEMA}OrBool": lambda found: found.get("schema") or found.get("allows", False),
    f"{_SCHEMA}OrStringArray": lambda found: found.get("schema") or found.get("property"),
}
#: Messages that JSON writes in another form.
_SPECIAL: dict[str, Callable[[bytes], Any]] = {
    f"{_UTIL}.apis.meta.v1.Time": _time,
    f"{_UTIL}.apis.meta.v1.MicroTime": _micro_time,
    f"{_UTIL}.apis.meta.v1.Duration": _duration,
    f"{_UTIL}.apis.meta.v1.FieldsV1": _raw_json,
    f"{_UTIL}.apis.meta.v1.Verbs": _verbs,
    f"{_UTIL}.api.resource.Quantity": _quantity,
    f"{_UTIL}.api.resource.QuantityValue": _quantity,
    f"{_UTIL}.util.intstr.IntOrString": _int_or_string,
    f"{_UTIL}.runtime.RawExtension": _raw_json,
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": _raw_json,
    "k8s.io.api.certificates.v1.ExtraValue": _verbs,
    "k8s.io.api.authentication.v1.ExtraValue": _verbs,
    "k8s.io.api.authentication.v1.AttestationValue": _verbs,
    "k8s.io.api.authorization.v1.ExtraValue": _verbs,
}
