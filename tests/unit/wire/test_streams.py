"""WebSocket frames and Kubernetes' channels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.wire.streams import channels, websocket
from heeler.wire.streams.websocket import Decoder, Message, WebSocketError, encode

MASK = b"\x01\x02\x03\x04"


def test_the_accept_header_is_that_of_the_standard() -> None:
    assert websocket.accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.booleans(), st.integers(1, 5000))
def test_what_is_encoded_is_decoded_however_it_is_cut(parts: list[bytes], masked: bool, size: int) -> None:
    data = b"".join(encode(websocket.BINARY, part, MASK if masked else b"") for part in parts)
    decoder = Decoder(masked)
    got = [m for start in range(0, len(data), size) for m in decoder.feed(data[start : start + size])]
    assert got == [Message(websocket.BINARY, part) for part in parts]


def test_fragments_are_put_together_around_control_frames() -> None:
    first = bytes((websocket.TEXT, 2)) + b"he"
    last = bytes((0x80, 3)) + b"llo"
    got = Decoder(False).feed(first + encode(websocket.PING, b"?") + last)
    assert got == [Message(websocket.PING, b"?"), Message(websocket.TEXT, b"hello")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode(websocket.BINARY, b"x"), 1002),  # not masked
        (bytes((0xC2, 0x80)) + MASK, 1002),  # reserved bit
        (bytes((0x83, 0x80)) + MASK, 1002),  # unknown opcode
        (bytes((0x80, 0x80)) + MASK, 1002),  # continuation of nothing
        (bytes((0x09, 0x80)) + MASK, 1002),  # fragmented ping
        (bytes((0x82, 0xFF)) + (1 << 40).to_bytes(8, "big") + MASK, 1009),
    ],
)
def test_broken_frames_are_refused_with_a_close_code(data: bytes, code: int) -> None:
    with pytest.raises(WebSocketError) as caught:
        Decoder(True).feed(data)
    assert caught.value.code == code


def test_the_best_common_protocol_is_chosen() -> None:
    assert channels.choose(["v4.channel.k8s.io", "v5.channel.k8s.io"]) == channels.V5
    assert channels.choose(["v4.channel.k8s.io"]) == channels.V4
    assert channels.choose(["chat"]) == ""


def test_only_version_5_knows_the_end_of_a_channel() -> None:
    assert channels.decode(b"\xff\x00", channels.V5) == channels.Piece(0, closed=True)
    assert channels.decode(b"\xff\x00", channels.V4) == channels.Piece(255, b"\0")
    assert channels.decode(b"\x00hi", channels.V5) == channels.Piece(0, b"hi")
    assert channels.decode(b"", channels.V5) is None
    assert channels.decode(channels.encode_close(0), channels.V5) == channels.Piece(0, closed=True)
