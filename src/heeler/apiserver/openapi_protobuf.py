"""The OpenAPI v2 document in the protobuf form that kubectl and client-go ask for first: its definitions, without paths.

Messages and field numbers are those of openapi.v2 in https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto .
Written by hand: a dozen fields are needed of a schema that has hundreds, and the control plane does without a protobuf runtime.
"""

from __future__ import annotations

import struct
from typing import Any

import orjson

from heeler.objects.value import Object

#: What is answered; clients ask for it with an "@" in the place of the second dot.
CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_NAMES = (CONTENT_TYPE, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")


def media(accept: str) -> str:
    """The media type of the answer to an Accept header: JSON, this one, or "" for none."""
    named = [text.partition(";")[0].strip() for text in accept.split(",")] if accept else ["*/*"]
    for name in named:
        if name in ("application/json", "application/*", "*/*"):
            return "application/json"
        if name in _NAMES:
            return CONTENT_TYPE
    return ""


_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_DOUBLES = {"multipleOf": 6, "maximum": 7, "minimum": 9}
_BOOLS = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16}
_INTEGERS = {"maxLength": 11, "minLength": 12, "maxItems": 14, "minItems": 15, "maxProperties": 17, "minProperties": 18}
_REQUIRED, _ENUM, _ADDITIONAL, _TYPE, _ITEMS, _PROPERTIES, _EXTENSION = 19, 20, 21, 22, 23, 25, 31


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _named(name: str, value: bytes) -> bytes:
    """A map's entry: name = 1, value = 2."""
    return _text(1, name) + _bytes(2, value)


def _any(value: Any) -> bytes:
    """Any as YAML (of which JSON is a part)."""
    return _bytes(2, orjson.dumps(value) + b"\n")


def _schema(schema: Object) -> bytes:
    out = bytearray()
    for key, value in schema.items():
        if key in _TEXTS:
            out += _text(_TEXTS[key], value)
        elif key in _DOUBLES:
            out += _varint(_DOUBLES[key] << 3 | 1) + struct.pack("<d", value)
        elif key in _BOOLS:
            out += _varint(_BOOLS[key] << 3) + _varint(int(bool(value)))
        elif key in _INTEGERS:
            out += _varint(_INTEGERS[key] << 3) + _varint(value)
        elif key == "required":
            out += b"".join(_text(_REQUIRED, name) for name in value)
        elif key == "enum":
            out += b"".join(_bytes(_ENUM, _any(one)) for one in value)
        elif key == "additionalProperties":
            inner = (
                _bytes(1, _schema(value)) if isinstance(value, dict) else _varint(2 << 3) + _varint(int(bool(value)))
            )
            out += _bytes(_ADDITIONAL, inner)
        elif key == "type":
            out += _bytes(_TYPE, _text(1, value))
        elif key == "items":
            out += _bytes(_ITEMS, _bytes(1, _schema(value)))
        elif key == "properties":
            entries = (_bytes(1, _named(name, _schema(one))) for name, one in value.items())
            out += _bytes(_PROPERTIES, b"".join(entries))
        elif key.startswith("x-"):
            out += _bytes(_EXTENSION, _named(key, _any(value)))
    return bytes(out)


def encode(document: Object) -> bytes:
    """An openapi.v2.Document: swagger = 1, info = 2, paths = 8, definitions = 9."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    definitions = b"".join(_bytes(1, _named(name, _schema(one))) for name, one in document["definitions"].items())
    return _text(1, document["swagger"]) + _bytes(2, info) + _bytes(8, b"") + _bytes(9, definitions)
