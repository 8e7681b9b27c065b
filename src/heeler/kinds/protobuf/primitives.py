"""Varints, lengths, tags: what every message is made of, and the words for what is broken in one.

The words are those of the generated Go code, as they stand in recorded and tried answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
_MASK = (1 << 64) - 1
#: Groups in groups that are skipped (nothing of Kubernetes uses them).
_MAX_GROUPS = 100


class ProtobufError(ValueError):
    """The bytes aren't such a message; the text says why."""


def varint(number: int) -> bytes:
    """The bytes of an integer; a negative one as its 64 bits."""
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    number &= _MASK
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_ONE_BYTE = tuple(bytes([n]) for n in range(0x80))


@cache
def short_prefixes(tag: bytes) -> tuple[bytes, ...]:
    """A tag with each length of one byte: what stands before most texts."""
    return tuple(tag + one for one in _ONE_BYTE)


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def block(tag: bytes, data: bytes) -> bytes:
    """A tag of wire type LENGTH, the length, the data."""
    size = len(data)
    return (short_prefixes(tag)[size] if size < 0x80 else tag + varint(size)) + data


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of up to 64 bits and the offset behind it. Raises ProtobufError."""
    if at < end and data[at] < 0x80:  # most are one byte
        return data[at], at + 1
    value = shift = 0
    while True:
        if shift >= 64:
            raise ProtobufError("proto: integer overflow")
        if at >= end:
            raise ProtobufError("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7


def read_block(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the data behind a length begin and end. Raises ProtobufError."""
    if at < end and data[at] < 0x80:
        stop = at + 1 + data[at]
        at += 1
    else:
        size, at = read_varint(data, at, end)
        if size >= 1 << 63:
            raise ProtobufError("proto: negative length found during unmarshaling")
        stop = at + size
    if stop > end:
        raise ProtobufError("unexpected EOF")
    return at, stop


def signed(value: int, bits: int) -> int:
    """The lowest bits of a number as a signed one."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def check_tag(found: int, message: str) -> None:
    """Refuses tags that no message has. `message`: its short name."""
    number, wire = signed(found >> 3, 32), found & 7
    if wire == END_GROUP:
        raise ProtobufError(f"proto: {message}: wiretype end group for non-group")
    if number <= 0:
        raise ProtobufError(f"proto: {message}: illegal tag {number} (wire type {found})")


def wrong_wire(wire: int, field: str) -> ProtobufError:
    return ProtobufError(f"proto: wrong wireType = {wire} for field {field}")


def skip(data: bytes, at: int, end: int, wire: int) -> int:
    """The offset behind a value that nobody knows. Raises ProtobufError."""
    depth = 0
    while True:
        if wire == VARINT:
            at = read_varint(data, at, end)[1]
        elif wire == LENGTH:
            at = read_block(data, at, end)[1]
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
            if at > end:
                raise ProtobufError("unexpected EOF")
        elif wire == GROUP:
            depth += 1
            if depth > _MAX_GROUPS:
                raise ProtobufError("exceeded max depth")
        elif wire == END_GROUP:
            if depth == 0:
                raise ProtobufError("proto: unexpected end of group")
            depth -= 1
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")
        if depth == 0:
            return at
        found, at = read_varint(data, at, end)
        wire = found & 7


def parts(
    data: bytes, at: int, end: int, message: str, known: dict[int, tuple[int, str]]
) -> Iterator[tuple[int, int, int]]:
    """The known fields of a small message, as they come: number and (value, 0), or where a block begins and ends.

    `known`: number → (wire type: VARINT or LENGTH, Go's name of the field). Raises ProtobufError.
    """
    while at < end:
        found, at = read_varint(data, at, end)
        check_tag(found, message)
        number, wire = found >> 3, found & 7
        if number not in known:
            at = skip(data, at, end, wire)
            continue
        expected, name = known[number]
        if wire != expected:
            raise wrong_wire(wire, name)
        if wire == VARINT:
            value, at = read_varint(data, at, end)
            yield number, value, 0
        else:
            start, at = read_block(data, at, end)
            yield number, start, at
