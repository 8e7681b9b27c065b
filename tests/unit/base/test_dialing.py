"""The words for connections that were not made."""

from __future__ import annotations

import asyncio
import socket

import pytest

from heeler.base.dialing import dial_error


def test_a_refused_connection_is_told_in_gos_words() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and doesn't listen
        port = bound.getsockname()[1]
        with pytest.raises(OSError) as failed:
            asyncio.run(asyncio.open_connection("127.0.0.1", port))
    assert dial_error("127.0.0.1", port, failed.value) == f"dial tcp 127.0.0.1:{port}: connect: connection refused"


def test_other_failures() -> None:
    assert dial_error("::1", 9, OSError(113, "x"), "tcp6") == "dial tcp6 [::1]:9: connect: no route to host"
    assert dial_error("10.0.0.1", 9, TimeoutError()) == "dial tcp 10.0.0.1:9: i/o timeout"
    assert dial_error("10.0.0.1", 9, OSError("odd")) == "dial tcp 10.0.0.1:9: odd"
