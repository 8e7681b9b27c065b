"""Kubernetes' remote command protocols over WebSocket: one byte names the channel of each binary message. No I/O.

v4.channel.k8s.io has channels 0 to 4; v5 adds a message (255, CHANNEL) by which a channel's end is told, without which
a command can't see the end of its input. Source: KEP-4006 and k8s.io/apimachinery's remotecommand package's constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
#: What is spoken, the best first.
PROTOCOLS = (V5, V4)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes on a channel; `closed` tells that the channel ends (it has no bytes then)."""

    channel: int
    data: bytes = b""
    closed: bool = False


def choose(offered: Sequence[str]) -> str:
    """The protocol to speak with a client that offers these; "" if there is none."""
    return next((protocol for protocol in PROTOCOLS if protocol in offered), "")


def decode(message: bytes, protocol: str) -> Piece | None:
    """What a binary message says; None for an empty one."""
    if not message:
        return None
    if message[0] == CLOSE and protocol == V5:
        return Piece(message[1], closed=True) if len(message) > 1 else None
    return Piece(message[0], message[1:])


def encode(channel: int, data: bytes) -> bytes:
    return bytes((channel,)) + data


def encode_close(channel: int) -> bytes:
    """The end of a channel (v5 only)."""
    return bytes((CLOSE, channel))
