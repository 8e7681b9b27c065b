"""A JSON value as a message's bytes, byte for byte as generated Go code writes it.

Fields come in the order of their numbers, a map's entries in that of their keys; what a Go struct holds by value is written
even where it is zero. Next: `envelope.py`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

from heeler.kinds.protobuf.facts import Field, fields_of
from heeler.kinds.protobuf.forms import FORMS, UNIONS
from heeler.kinds.protobuf.primitives import FIXED64, LENGTH, VARINT, block, short_prefixes, tag, varint
from heeler.objects.value import Object

Writer = Callable[[Any], bytes]


def write(message: str, value: Object) -> bytes:
    """A message's bytes; what the message doesn't have is left out. Raises KeyError for a name that isn't there."""
    return _message(message).write(value)


class _Message:
    """A message's writer: a piece for each field, those that are always written filled with their zeros.

    It is made at the first use, as messages may hold themselves.
    """

    __slots__ = ("_inline", "_name", "_pieces", "_writers")

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: list[bytes] | None = None
        #: JSON name → place among the pieces, and what makes the piece (with its tag).
        self._writers: dict[str, tuple[int, Writer]] = {}
        self._inline: list[tuple[int, bytes, _Message]] = []

    def _make(self) -> list[bytes]:
        fields = list(enumerate(fields_of(self._name)))
        self._writers = {field.name: (place, _field(field)) for place, field in fields if field.name}
        self._inline = [
            (place, tag(field.number, LENGTH), _message(field.type)) for place, field in fields if not field.name
        ]
        # last, as it says to other threads too that all is made
        self._pieces = pieces = [_zero(field) if field.always else b"" for _, field in fields]
        return pieces

    def write(self, value: Object) -> bytes:
        pieces = (self._pieces or self._make()).copy()
        writers = self._writers
        for name, item in value.items():
            found = writers.get(name)
            if found is not None and item is not None:
                pieces[found[0]] = found[1](item)
        for place, head, message in self._inline:
            pieces[place] = block(head, message.write(value))
        return b"".join(pieces)


_made: dict[str, _Message] = {}


def _message(name: str) -> _Message:
    found = _made.get(name)
    if found is None:
        fields_of(name)  # raises for a name that isn't there
        found = _made[name] = _Message(name)
    return found


def _field(field: Field) -> Writer:
    """What makes a field's bytes, tag and all."""
    if field.shape == "map":
        return _map(field)
    one = _one(field.number, field.type)
    if field.shape == "one":
        return one
    nothing = _zero_value(field.type)
    return lambda value: b"".join([one(nothing if item is None else item) for item in value])


def _one(number: int, type_: str) -> Writer:
    """A single value with its tag."""
    if type_ == "string":
        head = tag(number, LENGTH)
        prefixes = short_prefixes(head)

        def text(value: str) -> bytes:
            data = value.encode()
            size = len(data)
            return prefixes[size] + data if size < 0x80 else b"%b%b%b" % (head, varint(size), data)

        return text
    if type_ == "bool":
        false, true = (tag(number, VARINT) + bytes([bit]) for bit in (0, 1))
        return lambda value: true if value else false
    if type_ in ("int32", "int64"):
        plain = tag(number, VARINT)
        return lambda value: plain + varint(int(value))
    if type_ == "double":
        fixed = tag(number, FIXED64)
        return lambda value: fixed + struct.pack("<d", value)
    head, content = tag(number, LENGTH), _content(type_)
    return lambda value: block(head, content(value))


def _content(type_: str) -> Writer:
    """Bytes or a message without tag and length."""
    if type_ == "bytes":
        return base64.b64decode
    form = FORMS.get(type_)
    if form is not None:
        return form.write
    message = _message(type_)
    union = UNIONS.get(type_)
    if union is None:
        return message.write
    spread = union.spread
    return lambda value: message.write(spread(value))


def _map(field: Field) -> Writer:
    """Entries of a key (1) and a value (2)."""
    head, key, item = tag(field.number, LENGTH), _one(1, "string"), _one(2, field.type)
    nothing = _zero_value(field.type)

    def entries(value: Object) -> bytes:
        return b"".join(
            [block(head, key(name) + item(nothing if value[name] is None else value[name])) for name in sorted(value)]
        )

    return entries


def _zero(field: Field) -> bytes:
    """What stands for a field by value that isn't given."""
    form = FORMS.get(field.type)
    if form is not None and form.zero is None:
        return block(tag(field.number, LENGTH), b"")
    return _one(field.number, field.type)(_zero_value(field.type))


def _zero_value(type_: str) -> Any:
    if type_ in ("string", "bytes"):
        return ""
    if type_ in ("bool", "int32", "int64", "double"):
        return 0
    form = FORMS.get(type_)
    return {} if form is None else form.zero
