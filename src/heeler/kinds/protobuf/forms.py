"""Messages that JSON writes in another form: times, quantities, embedded JSON, unions of a schema.

Each has a reader (bytes and offsets → JSON value), a writer (JSON value → the message's bytes) and its zero: what a Go
struct has where nothing was given.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from heeler.kinds.protobuf.facts import EXTENSIONS, META
from heeler.kinds.protobuf.primitives import (
    LENGTH,
    VARINT,
    ProtobufError,
    block,
    parts,
    signed,
    tag,
    varint,
)

Reader = Callable[[bytes, int, int], Any]
Writer = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Form:
    read: Reader
    write: Writer
    #: the value that JSON shows of a message that is zero.
    zero: Any = None


_FIRST = tag(1, LENGTH)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ZERO_TIME = -62_135_596_800  # of Go: the first moment of the year 1
#: Years repeat after so many seconds; Python's calendar begins one year after Go's.
_CYCLE = 146_097 * 86_400
_YEAR_ZERO = _ZERO_TIME - 366 * 86_400


def _moment(seconds: int) -> str:
    """2026-11-26T00:00:00. Raises ProtobufError for what RFC 3339 can't write."""
    try:
        if _YEAR_ZERO <= seconds < _ZERO_TIME:
            return "0000" + _moment(seconds + _CYCLE)[4:]
        return (_EPOCH + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    except OverflowError:
        raise ProtobufError("Time.MarshalJSON: year outside of range [0,9999]") from None


@lru_cache(maxsize=4096)
def _instant(text: str) -> tuple[int, int]:
    """Seconds since the epoch and microseconds of an RFC 3339 time."""
    if text.startswith("0000"):
        seconds, micros = _instant("0400" + text[4:])
        return seconds - _CYCLE, micros
    since = datetime.datetime.fromisoformat(text) - _EPOCH
    return since.days * 86_400 + since.seconds, since.microseconds


_TIMESTAMP = {1: (VARINT, "Seconds"), 2: (VARINT, "Nanos")}


def _timestamp(data: bytes, at: int, end: int) -> tuple[int, int]:
    seconds = nanos = 0
    for number, value, _ in parts(data, at, end, "Timestamp", _TIMESTAMP):
        if number == 1:
            seconds = signed(value, 64)
        else:
            nanos = signed(value, 32)
    return seconds, nanos


def _read_time(data: bytes, at: int, end: int) -> str | None:
    return None if at == end else _moment(_timestamp(data, at, end)[0]) + "Z"


def _read_micro_time(data: bytes, at: int, end: int) -> str | None:
    if at == end:
        return None
    seconds, nanos = _timestamp(data, at, end)
    more, micros = divmod(nanos // 1000, 1_000_000)
    return f"{_moment(seconds + more)}.{micros:06d}Z"


def _write_time(value: str) -> bytes:
    seconds, _ = _instant(value)
    return b"" if seconds == _ZERO_TIME else b"\x08%b\x10\x00" % varint(seconds)


def _write_micro_time(value: str) -> bytes:
    seconds, micros = _instant(value)
    return b"" if (seconds, micros) == (_ZERO_TIME, 0) else b"\x08%b\x10%b" % (varint(seconds), varint(micros * 1000))


def _read_quantity(data: bytes, at: int, end: int) -> str:
    text = b"0"
    for _, start, stop in parts(data, at, end, "Quantity", {1: (LENGTH, "String_")}):
        text = data[start:stop]
    return text.decode("utf-8", "replace")


def _write_text(value: Any) -> bytes:
    return block(_FIRST, str(value).encode())


_INT_OR_STRING = {1: (VARINT, "Type"), 2: (VARINT, "IntVal"), 3: (LENGTH, "StrVal")}


def _read_int_or_string(data: bytes, at: int, end: int) -> int | str:
    form, number, text = 0, 0, b""
    for field, a, b in parts(data, at, end, "IntOrString", _INT_OR_STRING):
        if field == 1:
            form = a
        elif field == 2:
            number = signed(a, 32)
        else:
            text = data[a:b]
    return text.decode("utf-8", "replace") if form else number


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + block(b"\x1a", value.encode())
    return b"\x08\x00\x10%b\x1a\x00" % varint(value)


def _read_json(data: bytes, at: int, end: int) -> Any:
    """Bytes that are JSON themselves."""
    raw = b""
    for _, start, stop in parts(data, at, end, "RawExtension", {1: (LENGTH, "Raw")}):
        raw = data[start:stop]
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"embedded JSON is broken: {error}") from error


def _write_json(value: Any) -> bytes:
    return b"" if value is None else block(_FIRST, orjson.dumps(value))


def _read_texts(data: bytes, at: int, end: int) -> list[str]:
    return [
        data[start:stop].decode("utf-8", "replace")
        for _, start, stop in parts(data, at, end, "ExtraValue", {1: (LENGTH, "Items")})
    ]


def _write_texts(value: list[str]) -> bytes:
    return b"".join(block(_FIRST, one.encode()) for one in value)


#: Messages that JSON writes in another form.
FORMS: dict[str, Form] = {
    f"{META}.v1.Time": Form(_read_time, _write_time),
    f"{META}.v1.MicroTime": Form(_read_micro_time, _write_micro_time),
    f"{META}.v1.FieldsV1": Form(_read_json, _write_json),
    f"{META}.v1.Verbs": Form(_read_texts, _write_texts),
    "k8s.io.apimachinery.pkg.api.resource.Quantity": Form(_read_quantity, _write_text, "0"),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": Form(_read_int_or_string, _write_int_or_string, 0),
    "k8s.io.apimachinery.pkg.runtime.RawExtension": Form(_read_json, _write_json),
    f"{EXTENSIONS}.JSON": Form(_read_json, _write_json),
    "k8s.io.api.certificates.v1.ExtraValue": Form(_read_texts, _write_texts),
    "k8s.io.api.authentication.v1.ExtraValue": Form(_read_texts, _write_texts),
    "k8s.io.api.authorization.v1.ExtraValue": Form(_read_texts, _write_texts),
}


@dataclass(frozen=True, slots=True)
class Union:
    """A message of which JSON shows the one field that is set. `spread`: JSON value → fields; `join`: the way back."""

    spread: Callable[[Any], dict[str, Any]]
    join: Callable[[dict[str, Any]], Any]


_SCHEMA = f"{EXTENSIONS}.JSONSchemaProps"
UNIONS: dict[str, Union] = {
    f"{_SCHEMA}OrArray": Union(
        lambda value: {"JSONSchemas": value} if isinstance(value, list) else {"Schema": value},
        lambda found: found.get("JSONSchemas") or found.get("Schema"),
    ),
    f"{_SCHEMA}OrBool": Union(
        lambda value: {"Allows": value} if isinstance(value, bool) else {"Allows": True, "Schema": value},
        lambda found: found.get("Schema", found.get("Allows", False)),
    ),
    f"{_SCHEMA}OrStringArray": Union(
        lambda value: {"Property": value} if isinstance(value, list) else {"Schema": value},
        lambda found: found.get("Property") or found.get("Schema"),
    ),
}
