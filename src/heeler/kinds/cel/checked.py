"""A compiled expression as a tree: what the compiler's bytes (cel.expr.CheckedExpr, or ParsedExpr if unchecked) hold.

The messages are few and small, so they are read from the wire here, without classes made from descriptors.
Source: https://github.com/google/cel-spec/tree/master/proto/cel/expr (syntax.proto, checked.proto)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Levels of a tree. The compiler's own limit is lower.
MAX_DEPTH = 300


@dataclass(frozen=True, slots=True)
class Type:
    """A deduced type. `kind`: "dyn", "null_type", "bool", …, "list", "map", "message", "opaque", "type" or "param"."""

    kind: str
    name: str = ""
    of: tuple[Type, ...] = ()

    def __str__(self) -> str:
        """As upstream's messages name it: "list(string)", "map(string, int)"."""
        if self.kind in ("list", "map"):
            return f"{self.kind}({', '.join(map(str, self.of))})"
        if self.kind in ("timestamp", "duration"):
            return f"google.protobuf.{self.kind.capitalize()}"
        if self.kind == "opaque" and self.of:
            return f"{self.name}({', '.join(map(str, self.of))})"
        return self.name if self.kind in ("message", "opaque", "param") else self.kind


DYN = Type("dyn")
#: The kind of values whose type only they know, as a fault shows it.
ANY = "google.protobuf.Any"


@dataclass(slots=True)
class Node:
    """A part of an expression; `id` is what `Tree.types` and `Tree.overloads` know it by."""

    id: int


@dataclass(slots=True)
class Literal(Node):
    """`value`: None, bool, int, float, str or bytes; `unsigned` for `1u`."""

    value: Any
    unsigned: bool = False


@dataclass(slots=True)
class Name(Node):
    name: str


@dataclass(slots=True)
class Select(Node):
    """`operand.field`, or `has(operand.field)` if `test`."""

    operand: Node
    field: str
    test: bool


@dataclass(slots=True)
class Call(Node):
    function: str
    target: Node | None
    arguments: list[Node]


@dataclass(slots=True)
class ListOf(Node):
    """`optional`: the places of elements that stand there only if they have a value."""

    elements: list[Node]
    optional: frozenset[int]


@dataclass(slots=True)
class Entry:
    """One entry of a map, or (`key` is a str) of a message."""

    key: Node | str
    value: Node
    optional: bool


@dataclass(slots=True)
class Struct(Node):
    """A map if `message` is "", else a message of that type."""

    message: str
    entries: list[Entry]


@dataclass(slots=True)
class Fold(Node):
    """What macros like `all` become: go through `range`, with a result that each step makes anew from the last."""

    variable: str
    second: str
    range: Node
    result_name: str
    start: Node
    condition: Node
    step: Node
    result: Node


@dataclass(slots=True)
class Tree:
    """`names`: nodes that stand for a (dotted) name; `positions`: where nodes stand in the text, in characters. All but the
    root is empty for unchecked expressions."""

    root: Node
    types: dict[int, Type] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    overloads: dict[int, tuple[str, ...]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)

    def type(self, node: Node) -> Type:
        return self.types.get(node.id, DYN)


def children(node: Node) -> Iterator[Node]:
    """The parts of a node, in the order of the text."""
    if isinstance(node, Select):
        yield node.operand
    elif isinstance(node, Call):
        if node.target is not None:
            yield node.target
        yield from node.arguments
    elif isinstance(node, ListOf):
        yield from node.elements
    elif isinstance(node, Struct):
        for entry in node.entries:
            if isinstance(entry.key, Node):
                yield entry.key
            yield entry.value
    elif isinstance(node, Fold):
        yield from (node.range, node.start, node.condition, node.step, node.result)


def walk(node: Node) -> Iterator[Node]:
    yield node
    for part in children(node):
        yield from walk(part)


def decode(data: bytes) -> Tree:
    """The tree of what `Expression.serialize` of the compiler gives. Raises ValueError for anything else."""
    outer = _fields(data)
    kind = bytes(outer[1][0]).decode().rpartition(".")[2]
    inner = _fields(outer[2][0])
    if kind == "ParsedExpr":
        return Tree(_node(inner[2][0], 0))
    if kind != "CheckedExpr":
        raise ValueError(f"not an expression: {kind}")
    tree = Tree(_node(inner[4][0], 0))
    for row in inner.get(2, ()):
        entry = _fields(row)
        reference = _fields(_first(entry, 2, b""))
        key = _number(entry, 1)
        if overloads := tuple(bytes(name).decode() for name in reference.get(3, ())):
            tree.overloads[key] = overloads
        elif name := _text(reference, 1):
            tree.names[key] = name
    for row in _fields(_first(inner, 5, b"")).get(4, ()):
        entry = _fields(row)
        tree.positions[_number(entry, 1)] = _number(entry, 2)
    for row in inner.get(3, ()):
        entry = _fields(row)
        tree.types[_number(entry, 1)] = _type(_first(entry, 2, b""))
    return tree


_Fields = dict[int, list[Any]]


def _fields(data: Any) -> _Fields:
    """Field numbers -> values: whole numbers, eight raw bytes of a double, or what is inside."""
    out: _Fields = {}
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        tag, at = _varint(view, at)
        wire: int = tag & 7
        value: Any
        if wire == 0:
            value, at = _varint(view, at)
        elif wire == 2:
            size, at = _varint(view, at)
            value, at = view[at : at + size], at + size
        elif wire == 1:
            value, at = view[at : at + 8], at + 8
        else:
            raise ValueError(f"unexpected wire type {wire}")
        out.setdefault(tag >> 3, []).append(value)
    return out


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _first(fields: _Fields, number: int, missing: Any) -> Any:
    found = fields.get(number)
    return found[-1] if found else missing


def _number(fields: _Fields, number: int) -> int:
    return int(_first(fields, number, 0))


def _text(fields: _Fields, number: int) -> str:
    return bytes(_first(fields, number, b"")).decode()


def _node(data: Any, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise ValueError("expression is nested too deeply")
    fields = _fields(data)
    id = _number(fields, 2)
    for number, make in _NODES.items():
        if number in fields:
            return make(id, _fields(fields[number][-1]), depth + 1)
    return Literal(id, None)


def _literal(id: int, fields: _Fields, depth: int) -> Node:
    if 2 in fields:
        return Literal(id, bool(_number(fields, 2)))
    if 3 in fields:
        number = _number(fields, 3)
        return Literal(id, number - (1 << 64) if number >> 63 else number)
    if 4 in fields:
        return Literal(id, _number(fields, 4), unsigned=True)
    if 5 in fields:
        return Literal(id, struct.unpack("<d", fields[5][-1])[0])
    if 6 in fields:
        return Literal(id, _text(fields, 6))
    return Literal(id, bytes(fields[7][-1]) if 7 in fields else None)


def _name(id: int, fields: _Fields, depth: int) -> Node:
    return Name(id, _text(fields, 1))


def _select(id: int, fields: _Fields, depth: int) -> Node:
    return Select(id, _node(_first(fields, 1, b""), depth), _text(fields, 2), bool(_number(fields, 3)))


def _call(id: int, fields: _Fields, depth: int) -> Node:
    target = _node(fields[1][-1], depth) if 1 in fields else None
    return Call(id, _text(fields, 2), target, [_node(row, depth) for row in fields.get(3, ())])


def _list(id: int, fields: _Fields, depth: int) -> Node:
    optional: set[int] = set()
    for row in fields.get(2, ()):
        if isinstance(row, int):
            optional.add(row)
            continue
        at = 0
        while at < len(row):
            place, at = _varint(row, at)
            optional.add(place)
    return ListOf(id, [_node(row, depth) for row in fields.get(1, ())], frozenset(optional))


def _struct(id: int, fields: _Fields, depth: int) -> Node:
    entries = []
    for row in fields.get(2, ()):
        entry = _fields(row)
        key = _node(entry[3][-1], depth) if 3 in entry else _text(entry, 2)
        entries.append(Entry(key, _node(_first(entry, 4, b""), depth), bool(_number(entry, 5))))
    return Struct(id, _text(fields, 1), entries)


def _fold(id: int, fields: _Fields, depth: int) -> Node:
    parts = [_node(_first(fields, number, b""), depth) for number in (2, 4, 5, 6, 7)]
    return Fold(id, _text(fields, 1), _text(fields, 8), parts[0], _text(fields, 3), *parts[1:])


_NODES = {3: _literal, 4: _name, 5: _select, 6: _call, 7: _list, 8: _struct, 9: _fold}

_PRIMITIVES = ("", "bool", "int", "uint", "double", "string", "bytes")
_WELL_KNOWN = ("", ANY, "timestamp", "duration")


def _type(data: Any) -> Type:
    fields = _fields(data)
    if 2 in fields:
        return Type("null_type")
    if 3 in fields or 4 in fields:
        return Type(_PRIMITIVES[_number(fields, 3) or _number(fields, 4)])
    if 5 in fields:
        return Type(_WELL_KNOWN[_number(fields, 5)])
    if 6 in fields:
        return Type("list", of=(_inner(fields[6][-1], 1),))
    if 7 in fields:
        return Type("map", of=(_inner(fields[7][-1], 1), _inner(fields[7][-1], 2)))
    if 9 in fields:
        return Type("message", _text(fields, 9))
    if 10 in fields:
        return Type("param", _text(fields, 10))
    if 11 in fields:
        return Type("type")
    if 14 in fields:
        inner = _fields(fields[14][-1])
        return Type("opaque", _text(inner, 1), tuple(_type(row) for row in inner.get(2, ())))
    return DYN


def _inner(data: Any, number: int) -> Type:
    fields = _fields(data)
    return _type(fields[number][-1]) if number in fields else DYN
