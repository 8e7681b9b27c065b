"""WebSocket frames and Kubernetes' channels."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.wire.streams import channels, spdy, websocket
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


HEADERS = st.dictionaries(st.sampled_from(["streamtype", "port", "requestid", "x"]), st.text(max_size=50), max_size=4)


@given(
    st.lists(st.tuples(HEADERS, st.binary(max_size=3000), st.booleans()), max_size=6),
    st.integers(1, 500),
)
def test_spdy_frames_are_read_however_they_are_cut(
    streams: list[tuple[dict[str, str], bytes, bool]], size: int
) -> None:
    client, server = spdy.Codec(), spdy.Codec()
    sent, wanted = b"", []
    for index, (headers, data, end) in enumerate(streams):
        number = 2 * index + 1
        sent += client.open(number, headers) + client.data(number, data, end=end)
        wanted += [spdy.Opened(number, headers, False), spdy.Data(number, data, end)]
    got = [e for start in range(0, len(sent), size) for e in server.feed(sent[start : start + size])]
    assert got == wanted


def test_spdys_dictionary_is_the_one_of_the_specification() -> None:
    # zlib names a dictionary by its Adler-32 checksum; SPDY/3's is this one.
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_spdys_other_frames_are_understood() -> None:
    one, other = spdy.Codec(), spdy.Codec()
    settings = bytes.fromhex("80030004000000040000000080030009000000080000000100010000")
    assert other.feed(settings) == []
    assert other.feed(one.ping(7)) == [spdy.Pinged(7)]
    assert other.feed(one.reset(3, spdy.CANCEL)) == [spdy.Reset(3, spdy.CANCEL)]
    assert other.feed(one.go_away(5)) == [spdy.GoneAway(5)]
    assert other.feed(one.reply(3, {"a": "b"})) == [spdy.Replied(3, {"a": "b"}, False)]


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("8002000100000000"),  # version 2
        bytes.fromhex("0000000101") + b"\xff\xff\xff",  # a frame of 16 MiB
        bytes.fromhex("800300010000000c00000001000000000000ffff"),  # headers that aren't zlib's
        bytes.fromhex("8003000600000001ff"),  # a ping that is too short
    ],
)
def test_broken_spdy_is_refused(data: bytes) -> None:
    with pytest.raises(spdy.SpdyError):
        spdy.Codec().feed(data)


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    bomb = spdy.Codec().open(1, {"x": "y" * 1_000_000})
    with pytest.raises(spdy.SpdyError, match="too long"):
        spdy.Codec().feed(bomb)
