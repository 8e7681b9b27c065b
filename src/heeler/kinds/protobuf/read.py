"""A message's bytes as a JSON value.

What a Go struct holds by value is left out where it is zero (it was sent all the same): absent and zero are one there, and
`objects.decode` makes of it what a typed object would hold. Fields that come again are merged, as protobuf wants it. The
cost is bounded by the size of the bytes and by MAX_DEPTH. Next: `envelope.py`.
"""

from __future__ import annotations

import base64
import struct
import threading
from collections.abc import Callable
from typing import Any

from heeler.kinds.protobuf.facts import Field, fields_of
from heeler.kinds.protobuf.forms import FORMS, UNIONS
from heeler.kinds.protobuf.primitives import (
    FIXED64,
    LENGTH,
    VARINT,
    ProtobufError,
    check_tag,
    read_block,
    read_varint,
    signed,
    skip,
    wrong_wire,
)
from heeler.objects.value import Object

#: Messages in messages that are followed.
MAX_DEPTH = 200

#: (bytes, from, end, depth, what the field holds already) → the value.
Value = Callable[[bytes, int, int, int, Any], Any]
#: (bytes, offset behind the tag, end of the message, depth, the message so far) → the offset behind the field.
Step = Callable[[bytes, int, int, int, Object], int]


def read(message: str, data: bytes) -> Object:
    """The JSON value of a message's bytes. Raises KeyError for a name that isn't there, and ProtobufError."""
    found: Object = _message(message).read(data, 0, len(data), 0, None)
    return found


class _Message:
    """A message's reader; its fields are made at the first use, as messages may hold themselves."""

    __slots__ = ("_begun", "_go_names", "_name", "_steps", "_whole")

    def __init__(self, name: str) -> None:
        self._name = name
        self._steps: dict[int, Step] = {}
        self._go_names: dict[int, str] = {}
        self._begun = self._whole = False

    def _make(self) -> None:
        with _LOCK:  # another thread waits until all is made; this one comes back here where a message holds itself
            if self._begun:
                return
            self._begun = True
            for field in fields_of(self._name):
                self._go_names[field.number] = field.go_name
                for wire, step in _steps(field):
                    self._steps[field.number << 3 | wire] = step
            self._whole = True

    def read(self, data: bytes, at: int, end: int, depth: int, held: Object | None) -> Object:
        out: Object = {} if held is None else held
        if not self._whole:
            self._make()
        if depth > MAX_DEPTH:
            raise ProtobufError("exceeded max depth")
        steps = self._steps
        while at < end:
            tag = data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = read_varint(data, at, end)
            step = steps.get(tag)
            if step is None:
                at = self._unknown(data, at, end, tag)
            else:
                at = step(data, at, end, depth, out)
        return out

    def _unknown(self, data: bytes, at: int, end: int, tag: int) -> int:
        check_tag(tag, self._name.rpartition(".")[2])
        number, wire = tag >> 3, tag & 7
        if number in self._go_names:
            raise wrong_wire(wire, self._go_names[number])
        return skip(data, at, end, wire)


_made: dict[str, _Message] = {}
_LOCK = threading.RLock()


def _message(name: str) -> _Message:
    found = _made.get(name)
    if found is None:
        fields_of(name)  # raises for a name that isn't there
        found = _made[name] = _Message(name)
    return found


def _steps(field: Field) -> list[tuple[int, Step]]:
    """What reads a field, by wire type."""
    if field.shape == "map":
        return [(LENGTH, _map(field))]
    if field.type == "string":
        return [(LENGTH, _text(field))]
    if field.type in _NUMBERS:
        steps = [(VARINT, _number(field))]
        return [*steps, (LENGTH, _packed(field))] if field.shape == "many" else steps
    if field.type == "double":
        return [(FIXED64, _double(field))]
    return [(LENGTH, _block(field))]


#: Integers and truth values out of the 64 bits of a varint.
_NUMBERS: dict[str, Callable[[int], Any]] = {
    "int32": lambda value: signed(value, 32),
    "int64": lambda value: signed(value, 64),
    "bool": bool,
}


def _put(field: Field) -> Callable[[Object, Any], None]:
    """What takes a value into the message."""
    name = field.name
    if field.shape == "many":

        def append(out: Object, value: Any) -> None:
            held = out.get(name)
            if held is None:
                out[name] = [value]
            else:
                held.append(value)

        return append
    if not field.always:
        return lambda out, value: out.__setitem__(name, value)
    form = FORMS.get(field.type)
    if form is None:

        def set_unless_empty(out: Object, value: Any) -> None:
            if value:
                out[name] = value
            else:
                out.pop(name, None)

        return set_unless_empty
    zero = form.zero

    def set_unless_zero(out: Object, value: Any) -> None:
        if value != zero:
            out[name] = value
        else:
            out.pop(name, None)

    return set_unless_zero


def _text(field: Field) -> Step:
    put, name = _put(field), field.name
    empties = field.always and field.shape == "one"

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        start, at = read_block(data, at, end)
        if start == at and empties:  # what nobody gave is sent all the same
            if name in out:
                del out[name]
        else:
            put(out, data[start:at].decode("utf-8", "replace"))
        return at

    return step


def _number(field: Field) -> Step:
    put, made = _put(field), _NUMBERS[field.type]

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        value, at = read_varint(data, at, end)
        put(out, made(value))
        return at

    return step


def _packed(field: Field) -> Step:
    """Several numbers in one block."""
    put, made = _put(field), _NUMBERS[field.type]

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        at, stop = read_block(data, at, end)
        while at < stop:
            value, at = read_varint(data, at, stop)
            put(out, made(value))
        return at

    return step


def _double(field: Field) -> Step:
    put = _put(field)

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        if at + 8 > end:
            raise ProtobufError("unexpected EOF")
        put(out, struct.unpack_from("<d", data, at)[0])
        return at + 8

    return step


def _block(field: Field) -> Step:
    """Bytes, or a message."""
    put, value = _put(field), _value(field.type)
    name = field.name
    if not name:  # its fields stand inline

        def inline(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
            start, at = read_block(data, at, end)
            value(data, start, at, depth + 1, out)
            return at

        return inline
    merges = field.shape == "one"

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        start, at = read_block(data, at, end)
        put(out, value(data, start, at, depth + 1, out.get(name) if merges else None))
        return at

    return step


def _map(field: Field) -> Step:
    """Entries of a key (1) and a value (2)."""
    name, type_ = field.name, field.type
    value = None if type_ in _NUMBERS else _value(type_)
    nothing: Any = _NUMBERS[type_](0) if value is None else value(b"", 0, 0, 0, None)

    def step(data: bytes, at: int, end: int, depth: int, out: Object) -> int:
        at, stop = read_block(data, at, end)
        key, found = "", nothing if nothing.__class__ is not dict else {}
        while at < stop:
            tag, at = read_varint(data, at, stop)
            number = tag >> 3  # Go doesn't look at the wire types of these two
            if number == 1:
                start, at = read_block(data, at, stop)
                key = data[start:at].decode("utf-8", "replace")
            elif number == 2 and value is not None:
                start, at = read_block(data, at, stop)
                found = value(data, start, at, depth + 1, None)
            elif number == 2:
                number, at = read_varint(data, at, stop)
                found = _NUMBERS[type_](number)
            else:
                at = skip(data, at, stop, tag & 7)
        held = out.get(name)
        if held is None:
            held = out[name] = {}
        held[key] = found
        return stop

    return step


def _value(type_: str) -> Value:
    """What reads a value that is a block: a text, bytes, a message in whatever form JSON has it."""
    if type_ == "string":
        return lambda data, at, end, depth, held: data[at:end].decode("utf-8", "replace")
    if type_ == "bytes":
        return lambda data, at, end, depth, held: base64.b64encode(data[at:end]).decode()
    form = FORMS.get(type_)
    if form is not None:
        reader = form.read
        return lambda data, at, end, depth, held: reader(data, at, end)
    message = _message(type_)
    union = UNIONS.get(type_)
    if union is not None:
        join = union.join
        return lambda data, at, end, depth, held: join(message.read(data, at, end, depth, None))
    return message.read
