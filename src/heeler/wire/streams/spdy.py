"""SPDY/3.1 frames without I/O, as Kubernetes' remote commands and port-forwards use them: no flow control, no push.

Source: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 0x01
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, INTERNAL_ERROR = 1, 3, 5, 6
#: Bytes of one frame, and of one frame's headers when unpacked, that are taken at the most.
MAX_FRAME, MAX_HEADERS = 1 << 20, 64 << 10

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
).split()
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    """The preset dictionary of the header compression (section 2.6.10.1): words with their lengths, then a tail."""
    words = [*_WORDS, *_MORE]
    return b"".join(struct.pack(">I", len(w)) + w.encode() for w in words) + _TAIL.encode()


DICTIONARY = _dictionary()


class SpdyError(Exception):
    """The other end broke the protocol."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The other end opened a stream; `ended` tells that it sends nothing on it."""

    stream: int
    headers: dict[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class Replied:
    stream: int
    headers: dict[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream; `ended` with the last ones."""

    stream: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Pinged:
    id: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    last: int


Event = Opened | Replied | Data | Reset | Pinged | GoneAway


@dataclass(slots=True)
class Codec:
    """One end of a connection: `feed` takes what came, the other methods give what to send."""

    _buffer: bytearray = field(default_factory=bytearray)
    _packer: zlib._Compress = field(default_factory=lambda: zlib.compressobj(level=6, zdict=DICTIONARY))
    _unpacker: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=DICTIONARY))

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now. Raises SpdyError."""
        self._buffer += data
        out: list[Event] = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > MAX_FRAME:
                raise SpdyError(f"frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                break
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            event = self._control(first, flags, body) if first >> 31 else Data(first, body, bool(flags & FIN))
            if event is not None:
                out.append(event)
        return out

    def _control(self, first: int, flags: int, body: bytes) -> Event | None:
        version, kind, ended = first >> 16 & 0x7FFF, first & 0xFFFF, bool(flags & FIN)
        if version != 3:
            raise SpdyError(f"SPDY version {version}")
        try:
            if kind == SYN_STREAM:
                stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
                return Opened(stream, self._headers(body[10:]), ended)
            if kind in (SYN_REPLY, HEADERS):
                stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
                headers = self._headers(body[4:])
                return Replied(stream, headers, ended)
            if kind == RST_STREAM:
                stream, status = struct.unpack(">II", body)
                return Reset(stream & 0x7FFFFFFF, status)
            if kind == PING:
                return Pinged(struct.unpack(">I", body)[0])
            if kind == GOAWAY:
                return GoneAway(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF)
        except struct.error as error:
            raise SpdyError(f"frame {kind} is too short") from error
        return None  # SETTINGS, WINDOW_UPDATE and what is unknown say nothing that matters here

    def _headers(self, packed: bytes) -> dict[str, str]:
        try:
            data = self._unpacker.decompress(packed, MAX_HEADERS + 1)
        except zlib.error as error:
            raise SpdyError(f"headers: {error}") from error
        if len(data) > MAX_HEADERS or self._unpacker.unconsumed_tail:
            raise SpdyError("headers are too long")
        position = 4
        out: dict[str, str] = {}
        try:
            (count,) = struct.unpack_from(">I", data)
            for _ in range(count):
                parts = []
                for _ in range(2):
                    (length,) = struct.unpack_from(">I", data, position)
                    if position + 4 + length > len(data):
                        raise SpdyError("headers are cut off")
                    parts.append(data[position + 4 : position + 4 + length].decode("utf-8", "replace"))
                    position += 4 + length
                out[parts[0].lower()] = parts[1]
        except struct.error as error:
            raise SpdyError("headers are cut off") from error
        return out

    def _packed(self, headers: Mapping[str, str]) -> bytes:
        data = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                data += struct.pack(">I", len(text)) + text
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    @staticmethod
    def _frame(kind: int, flags: int, body: bytes) -> bytes:
        return struct.pack(">II", 1 << 31 | 3 << 16 | kind, flags << 24 | len(body)) + body

    def open(self, stream: int, headers: Mapping[str, str], *, end: bool = False) -> bytes:
        """Open a stream: odd numbers for a client, even ones for a server."""
        return self._frame(SYN_STREAM, FIN if end else 0, struct.pack(">IIH", stream, 0, 0) + self._packed(headers))

    def reply(self, stream: int, headers: Mapping[str, str]) -> bytes:
        return self._frame(SYN_REPLY, 0, struct.pack(">I", stream) + self._packed(headers))

    @staticmethod
    def data(stream: int, data: bytes, *, end: bool = False) -> bytes:
        return struct.pack(">II", stream, (FIN if end else 0) << 24 | len(data)) + data

    def reset(self, stream: int, status: int) -> bytes:
        return self._frame(RST_STREAM, 0, struct.pack(">II", stream, status))

    def ping(self, id: int) -> bytes:
        """A ping, or the answer to one (with its id)."""
        return self._frame(PING, 0, struct.pack(">I", id))

    def go_away(self, last: int) -> bytes:
        return self._frame(GOAWAY, 0, struct.pack(">II", last, 0))
