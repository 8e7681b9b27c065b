"""WebSocket frames without I/O, for either end. Source: RFC 6455.

Extensions are not negotiated, so reserved bits are an error. Control frames are given as they come; data frames of one
message are put together.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
#: Bytes of one message that are taken at the most.
MAX_MESSAGE = 1 << 20


class WebSocketError(Exception):
    """The other end broke the protocol; `code` is the close code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message or a control frame: `opcode` is TEXT, BINARY, CLOSE, PING or PONG."""

    opcode: int
    data: bytes


def accept_value(key: str) -> str:
    """The Sec-WebSocket-Accept header for a client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def _masked(data: bytes, mask: bytes) -> bytes:
    if not data:
        return data
    length = len(data)
    pattern = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(length, "big")


def encode(opcode: int, data: bytes, mask: bytes = b"") -> bytes:
    """One final frame; a client gives four random bytes as `mask`, a server none."""
    head = bytearray((0x80 | opcode,))
    flag = 0x80 if mask else 0
    length = len(data)
    if length < 126:
        head.append(flag | length)
    elif length < 1 << 16:
        head.append(flag | 126)
        head += length.to_bytes(2, "big")
    else:
        head.append(flag | 127)
        head += length.to_bytes(8, "big")
    return bytes(head) + (mask + _masked(data, mask) if mask else data)


def close_frame(code: int = 1000, reason: str = "", mask: bytes = b"") -> bytes:
    return encode(CLOSE, code.to_bytes(2, "big") + reason.encode()[:120], mask)


class Decoder:
    """Bytes in, messages out. `masked` tells whether frames must be (a server's view) or must not be masked."""

    def __init__(self, masked: bool, limit: int = MAX_MESSAGE) -> None:
        self._must_mask, self._limit = masked, limit
        self._buffer = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises WebSocketError."""
        self._buffer += data
        out = []
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode >= CLOSE:
                if not final or len(payload) > 125:
                    raise WebSocketError(1002, "control frame is fragmented or too long")
                out.append(Message(opcode, payload))
                continue
            message = self._data(final, opcode, payload)
            if message is not None:
                out.append(message)
        return out

    def _data(self, final: bool, opcode: int, payload: bytes) -> Message | None:
        if opcode == CONTINUATION:
            if not self._opcode:
                raise WebSocketError(1002, "continuation without a message")
        elif self._opcode:
            raise WebSocketError(1002, "new message inside of another")
        else:
            self._opcode = opcode
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > self._limit:
            raise WebSocketError(1009, "message too big")
        if not final:
            return None
        made = Message(self._opcode, b"".join(self._parts))
        self._opcode, self._parts, self._size = 0, [], 0
        return made

    def _frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode = first & 0x0F
        if first & 0x70 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise WebSocketError(1002, "reserved bits or unknown opcode")
        masked, length, at = bool(second & 0x80), second & 0x7F, 2
        if masked != self._must_mask:
            raise WebSocketError(1002, "frame is masked the wrong way")
        if length >= 126:
            more = 2 if length == 126 else 8
            if len(buffer) < at + more:
                return None
            length = int.from_bytes(buffer[at : at + more], "big")
            at += more
        if length > self._limit:
            raise WebSocketError(1009, "frame too big")
        whole = at + (4 if masked else 0) + length
        if len(buffer) < whole:
            return None
        mask = bytes(buffer[at : at + 4]) if masked else b""
        payload = bytes(buffer[whole - length : whole])
        del buffer[:whole]
        return bool(first & 0x80), opcode, _masked(payload, mask) if masked else payload
