"""Decoding a JSON value into a typed object and back, as a Go server's strict JSON decoder and encoder do together.

What comes out is what such a server would write: unknown fields gone (and named), nulls and empty optional fields gone,
fields that are always written filled in, quantities and times in canonical form. A value of the wrong type raises
`DecodeError` with Go's words. Field names are case-sensitive.

A type is compiled once to closures that know nothing of paths (the hot path of every write); only when they find
something wrong does a slow walk look for its place and words.
"""

from __future__ import annotations

import binascii
import datetime
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from heeler.base.made import Made
from heeler.objects import quantities
from heeler.objects.faults import quote
from heeler.objects.schema import Field, Type
from heeler.objects.value import Object, Value


class DecodeError(ValueError):
    """The value does not fit its type; the message is Go's."""


class _Mismatch(Exception):
    """Raised by the fast walk; the slow walk finds the words."""


_Decoder = Callable[[Any, list[bool]], Any]
#: Stands for "leave this field out".
_DROP: Any = object()

_compiled: Made[int, tuple[Type, _Decoder]] = Made()


def decode(value: Value, type: Type, *, strict: bool = False) -> tuple[Value, list[str]]:
    """`(object, problems)`: the object as a server would write it, and a line for each unknown field.

    With `strict` the caller refuses the request for its problems; here it only says that they are wanted: without it
    unknown fields are still named, as they are warned of. The value given is not changed, but parts of it may be
    shared with the result. Raises DecodeError.
    """
    unknown: list[bool] = []
    try:
        out = compiled(type)(value, unknown)
    except _Mismatch:
        _explain(value, type, "", "", [])
        raise DecodeError("json: the value does not fit its type") from None
    problems: list[str] = []
    if unknown:
        _unknown(value, type, "", problems)
    return out, problems


def compiled(type: Type) -> _Decoder:
    """The fast decoder of a type, made at first use."""
    found = _compiled.whole.get(id(type))
    if found is not None:
        return found[1]

    def make(begun: dict[int, tuple[Type, _Decoder]]) -> tuple[Type, _Decoder]:
        later: list[_Decoder] = []

        def forward(value: Any, unknown: list[bool]) -> Any:
            return later[0](value, unknown)

        begun[id(type)] = (type, forward)  # types may reach themselves
        later.append(_compile(type))
        return type, later[0]

    return _compiled.get(id(type), make)[1]


def zero(type: Type) -> Value:
    """What Go writes for a value of this type that was never set."""
    form = type.form
    if form == "struct":
        return {f.name: None if f.pointer else zero(f.type) for f in type.fields.values() if f.always}
    if form in ("string", "duration"):
        return ""
    if form in ("int32", "int64", "float", "intorstring"):
        return 0
    if form == "bool":
        return False
    if form == "quantity":
        return "0"
    return None


def _compile(type: Type) -> _Decoder:
    form = type.form
    if form == "struct":
        return _struct(type)
    if form == "list":
        return _list(type)
    if form == "map":
        return _map(type)
    if form == "any":
        return _any(type)
    return _SCALARS[form]


def _struct(type: Type) -> _Decoder:
    fields: dict[str, tuple[_Decoder, bool]] = {}
    for f in type.fields.values():
        keep = f.always or f.pointer or f.type.form in ("time", "microtime")
        fields[f.name] = (compiled(f.type), keep)
    always = [(f.name, None if f.pointer else f.type) for f in type.fields.values() if f.always]
    find = fields.get
    preserve = type.preserve

    def struct(value: Any, unknown: list[bool]) -> Any:
        if value.__class__ is not dict:
            raise _Mismatch
        out: Object = {}
        for key, item in value.items():
            found = find(key)
            if found is None:
                if preserve:
                    out[key] = item
                else:
                    unknown.append(True)
                continue
            if item is None:
                continue
            made = found[0](item, unknown)
            if made or found[1]:
                out[key] = made
        for name, kind in always:
            if name not in out:
                out[name] = None if kind is None else zero(kind)
        return out

    return struct


def _list(type: Type) -> _Decoder:
    assert type.item is not None
    kind = type.item
    item = compiled(kind)
    if kind.form == "string":

        def texts(value: Any, unknown: list[bool]) -> Any:
            if value.__class__ is not list:
                raise _Mismatch
            for one in value:
                if one.__class__ is not str:
                    return [zero(kind) if x is None else item(x, unknown) for x in value]
            return value

        return texts

    def items(value: Any, unknown: list[bool]) -> Any:
        if value.__class__ is not list:
            raise _Mismatch
        return [zero(kind) if one is None else item(one, unknown) for one in value]

    return items


def _map(type: Type) -> _Decoder:
    assert type.item is not None
    kind = type.item
    item = _resource if type.name == "ResourceList" else compiled(kind)
    if kind.form == "string":

        def texts(value: Any, unknown: list[bool]) -> Any:
            if value.__class__ is not dict:
                raise _Mismatch
            for one in value.values():
                if one.__class__ is not str:
                    return {k: zero(kind) if x is None else item(x, unknown) for k, x in value.items()}
            return value

        return texts

    def items(value: Any, unknown: list[bool]) -> Any:
        if value.__class__ is not dict:
            raise _Mismatch
        return {key: zero(kind) if one is None else item(one, unknown) for key, one in value.items()}

    return items


def _any(type: Type) -> _Decoder:
    if type.item is None:
        return lambda value, unknown: value
    struct = compiled(type.item)

    def union(value: Any, unknown: list[bool]) -> Any:
        if value.__class__ is dict:
            return struct(value, unknown)
        if value.__class__ is list:
            return [struct(x, unknown) if x.__class__ is dict else x for x in value]
        return value

    return union


def _string(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not str:
        raise _Mismatch
    return value


def _int32(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not int or not -(2**31) <= value < 2**31:
        raise _Mismatch
    return value


def _int64(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not int or not -(2**63) <= value < 2**63:
        raise _Mismatch
    return value


def _float(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is int:
        return value
    if value.__class__ is not float:
        raise _Mismatch
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _bool(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not bool:
        raise _Mismatch
    return value


def _bytes(value: Any, unknown: list[bool]) -> Any:
    """Base64 text, or the bytes as numbers in a list, as Go takes them."""
    if value.__class__ is list and all(_wrong_byte(item) is None for item in value):
        return binascii.b2a_base64(bytes(item or 0 for item in value), newline=False).decode()
    if value.__class__ is not str:
        raise _Mismatch
    if "\n" in value or "\r" in value:
        value = value.replace("\n", "").replace("\r", "")
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        raise _Mismatch from None
    return value


def _wrong_byte(value: Value) -> str | None:
    """What it is, if it isn't a byte."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255):
        return None
    kind = _json_kind(value)
    return f"number {orjson.dumps(value).decode()}" if kind == "number" else kind


def _quantity(value: Any, unknown: list[bool]) -> Any:
    try:
        return quantities.canonical(_number_text(value))
    except ValueError:
        raise _Mismatch from None


def _resource(value: Any, unknown: list[bool]) -> Any:
    """An amount of a resource: at most thousandths."""
    try:
        return quantities.canonical_milli(_number_text(value))
    except ValueError:
        raise _Mismatch from None


def _number_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else orjson.dumps(value).decode()


def _intorstring(value: Any, unknown: list[bool]) -> Any:
    return value if value.__class__ is str else _int32(value, unknown)


_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))\Z")
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


def _moment(text: str) -> tuple[datetime.datetime, str]:
    """The moment in UTC and the digits of its fraction."""
    found = _RFC3339.match(text)
    if found is None:
        raise _Mismatch
    year, month, day, hour, minute, second, fraction, sign, ahead, ahead_minutes = found.groups()
    try:
        moment = datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
        if sign:
            offset = datetime.timedelta(hours=int(ahead), minutes=int(ahead_minutes))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        raise _Mismatch from None
    return moment, fraction or ""


def _time(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not str:
        raise _Mismatch
    return _seconds(value)


@lru_cache(maxsize=1024)
def _seconds(text: str) -> str:
    """An object is read many times, and says when it was made each time."""
    moment, _ = _moment(text)
    if _PLAIN_TIME.match(text):
        return text
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _microtime(value: Any, unknown: list[bool]) -> Any:
    if value.__class__ is not str:
        raise _Mismatch
    moment, fraction = _moment(value)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + f".{(fraction + '000000')[:6]}Z"


_SCALARS: dict[str, _Decoder] = {
    "string": _string,
    "duration": _string,
    "int32": _int32,
    "int64": _int64,
    "float": _float,
    "bool": _bool,
    "bytes": _bytes,
    "quantity": _quantity,
    "intorstring": _intorstring,
    "time": _time,
    "microtime": _microtime,
}


# Storage that knows no empty lists.

_Collapser = Callable[[Any], None]
_collapsers: Made[int, tuple[Type, _Collapser | None]] = Made()


def collapse(obj: Value, type: Type) -> None:
    """Turn, in place, empty lists and maps that are always written into null.

    Upstream stores built-in kinds in a format that has no empty lists, so an object read back shows null for them.
    """
    work = _collapser(type)
    if work is not None:
        work(obj)


def _collapser(type: Type) -> _Collapser | None:
    """The walk over the parts of a type that can hold such fields; None if it has none."""
    found = _collapsers.whole.get(id(type))
    if found is not None:
        return found[1]

    def make(begun: dict[int, tuple[Type, _Collapser | None]]) -> tuple[Type, _Collapser | None]:
        held: list[_Collapser | None] = []

        def forward(value: Any) -> None:
            if held and held[0] is not None:
                held[0](value)

        begun[id(type)] = (type, forward)  # types may reach themselves
        held.append(_make_collapser(type))
        return type, held[0]

    return _collapsers.get(id(type), make)[1]


def _make_collapser(type: Type) -> _Collapser | None:
    if type.form in ("list", "map") and type.item is not None:
        inner = _collapser(type.item)
        if inner is None:
            return None

        def parts(value: Any) -> None:
            for item in value.values() if value.__class__ is dict else value or ():
                inner(item)

        return parts
    if type.form != "struct":
        return None
    empties = [f.name for f in type.fields.values() if (f.always or f.pointer) and f.type.form in ("list", "map")]
    deeper = [(f.name, walk) for f in type.fields.values() if (walk := _collapser(f.type)) is not None]
    if not empties and not deeper:
        return None

    def struct(value: Any) -> None:
        if value.__class__ is not dict:
            return
        for name in empties:
            if name in value and not value[name]:
                value[name] = None
        for name, walk in deeper:
            if name in value:
                walk(value[name])

    return struct


# The slow walk: where and what.


def _children(value: Value, type: Type) -> list[tuple[str, Value, Type, Field | None]]:
    """`(path step, value, type, field)` of each known part of a struct, list or map that has one."""
    if type.form == "struct" and isinstance(value, dict):
        return [
            (f".{key}", item, type.fields[key].type, type.fields[key])
            for key, item in value.items()
            if key in type.fields
        ]
    if type.form == "list" and isinstance(value, list) and type.item:
        return [(f"[{at}]", item, type.item, None) for at, item in enumerate(value)]
    if type.form == "map" and isinstance(value, dict) and type.item:
        return [(f".{key}", item, type.item, None) for key, item in value.items()]
    if type.form == "any" and type.item:
        if isinstance(value, dict):
            return [("", value, type.item, None)]
        if isinstance(value, list):
            return [(f"[{at}]", item, type.item, None) for at, item in enumerate(value) if isinstance(item, dict)]
    return []


def _unknown(value: Value, type: Type, path: str, problems: list[str]) -> None:
    """A line for each field that no struct knows, in the order of the document."""
    if type.form == "struct" and isinstance(value, dict) and not type.preserve:
        for key, item in value.items():
            if key not in type.fields:
                problems.append(f"unknown field {quote(f'{path}.{key}'.removeprefix('.'))}")
            elif item is not None:
                _unknown(item, type.fields[key].type, f"{path}.{key}", problems)
        return
    for step, item, kind, _ in _children(value, type):
        if item is not None:
            _unknown(item, kind, path + step, problems)


def _explain(value: Value, type: Type, struct: str, path: str, seen: list[str]) -> None:
    """Raise DecodeError for the first value that does not fit, in the order of the document.

    `struct` is the innermost struct around the value, `path` the field names from the root (without indices).
    """
    if value is None:
        return
    wrong = _wrong(value, type)
    if wrong is not None:
        raise DecodeError(wrong.replace("@", f"Go struct field {struct}.{path}" if path else "Go value", 1))
    for _, item, kind, field in _children(value, type):
        if field is None:
            _explain(item, kind, struct, path, seen)
            continue
        step = f"{field.embedded}.{field.name}" if field.embedded else field.name
        _explain(item, kind, type.name, f"{path}.{step}" if path else step, seen)


def go_type(type: Type) -> str:
    """The type as Go's messages name it: "int32", "[]v1.Container", "map[string]string"."""
    form = type.form
    if form in ("map", "list") and type.name:
        return f"{type.package}.{type.name}" if type.package else type.name
    if form == "list" and type.item:
        return f"[]{go_type(type.item)}"
    if form == "map" and type.item:
        return f"map[string]{go_type(type.item)}"
    if type.name:
        return f"{type.package}.{type.name}" if type.package else type.name
    return {
        "float": "float64",
        "bytes": "[]uint8",
        "intorstring": "int32",
        "time": "string",
        "microtime": "string",
        "duration": "string",
        "quantity": "resource.Quantity",
    }.get(form, form)


def _json_kind(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"


def _wrong(value: Value, type: Type) -> str | None:
    """What is wrong with this value itself (not with its parts); `@` stands for the place."""
    form = type.form
    if form in ("struct", "map") and not isinstance(value, dict):
        return f"json: cannot unmarshal {_json_kind(value)} into @ of type {go_type(type)}"
    if form == "list" and not isinstance(value, list):
        return f"json: cannot unmarshal {_json_kind(value)} into @ of type {go_type(type)}"
    if form in ("struct", "map", "list", "any"):
        return None
    try:
        _SCALARS[form](value, [])
        return None
    except _Mismatch:
        pass
    if form == "quantity":
        return _quantity_words(value)
    if form in ("time", "microtime") and isinstance(value, str):
        return _time_words(value, form)
    if form == "bytes" and isinstance(value, list):
        wrong = next(found for item in value if (found := _wrong_byte(item)) is not None)
        return f"json: cannot unmarshal {wrong} into @ of type uint8"
    if form == "bytes" and isinstance(value, str):
        return f"illegal base64 data at input byte {_bad_base64(value)}"
    kind = _json_kind(value)
    if kind == "number" and form in ("int32", "int64", "intorstring"):
        kind = f"number {orjson.dumps(value).decode() if not isinstance(value, int) else value}"
    return f"json: cannot unmarshal {kind} into @ of type {go_type(type)}"


def _quantity_words(value: Value) -> str:
    try:
        quantities.parse(_number_text(value))
    except quantities.QuantityError as error:
        return str(error)
    return quantities.WRONG_FORMAT


def _bad_base64(text: str) -> int:
    """The offset at which Go's decoder gives up."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    at, held = 0, 0
    for at, char in enumerate(text):
        if char in "\r\n":
            continue
        if char == "=":
            rest = text[at + 1 :].replace("\n", "").replace("\r", "")
            if held in (0, 1):
                return at
            if held == 2 and not rest.startswith("="):
                return len(text) if not rest else at + 1
            return at + 1 if held == 3 else at + 2
        if char not in alphabet:
            return at
        held = (held + 1) % 4
    return len(text) - held


_TIME_PARTS = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
    ("05", r"\d\d"),
)


def _time_words(text: str, form: str) -> str:
    """Go's message for a text that is no RFC 3339 time."""
    layout = "2006-01-02T15:04:05Z07:00" if form == "time" else "2006-01-02T15:04:05.000000Z07:00"
    start = f"parsing time {quote(text)} as {quote(layout)}: "
    at = 0
    numbers: dict[str, int] = {}
    for part, pattern in _TIME_PARTS:
        found = re.compile(pattern).match(text, at)
        if found is None:
            return f"{start}cannot parse {quote(text[at:])} as {quote(part)}"
        if part.isdigit():
            numbers[part] = int(found.group())
        at = found.end()
    for part, name, low, high in (
        ("01", "month", 1, 12),
        ("02", "day", 1, 31),
        ("15", "hour", 0, 23),
        ("04", "minute", 0, 59),
        ("05", "second", 0, 59),
    ):
        if not low <= numbers[part] <= high:
            return f"parsing time {quote(text)}: {name} out of range"
    fraction = re.compile(r"[.,]\d+").match(text, at)
    if fraction:
        at = fraction.end()
    elif form == "microtime":
        return f'{start}cannot parse {quote(text[at:])} as ".000000"'
    if not re.fullmatch(r"Z|[+-]\d\d:\d\d", text[at:]):
        if re.match(r"Z|[+-]\d\d:\d\d", text[at:]):
            rest = text[at + (1 if text[at] == "Z" else 6) :]
            return f"parsing time {quote(text)}: extra text: {quote(rest)}"
        return f'{start}cannot parse {quote(text[at:])} as "Z07:00"'
    return f"parsing time {quote(text)}: day out of range"


# Duplicate keys, which orjson drops without a word.


def duplicate_keys(raw: bytes) -> list[str]:
    """`duplicate field "a.b"` for each key that stands twice in one object of a JSON document, in its order.

    A slow parser: call it when `may_repeat_keys` says that something could be found. Raises ValueError for no JSON.
    """
    found: list[str] = []

    class _Pairs(list[tuple[str, Any]]):
        pass

    def walk(value: Any, path: str) -> None:
        if isinstance(value, _Pairs):
            seen: dict[str, bool] = {}
            for key, item in value:
                here = f"{path}.{key}".removeprefix(".")
                if key in seen:
                    line = f"duplicate field {quote(here)}"
                    if line not in found:
                        found.append(line)
                seen[key] = True
                walk(item, here)
        elif isinstance(value, list):
            for at, item in enumerate(value):
                walk(item, f"{path}[{at}]")

    walk(json.loads(raw, object_pairs_hook=_Pairs), "")
    return found


def may_repeat_keys(raw: bytes, value: Value) -> bool:
    """Cheap: whether a JSON text has more key-like colons than its value has keys (texts with `":` count too)."""
    return raw.count(b'":') + raw.count(b'" :') > _keys(value)


def _keys(value: Value) -> int:
    count, todo = 0, [value]
    while todo:
        item = todo.pop()
        if item.__class__ is dict:
            count += len(item)
            todo += item.values()
        elif item.__class__ is list:
            todo += item
    return count
