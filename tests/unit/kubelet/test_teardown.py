"""What is left of shims that were killed while they started."""

import asyncio
import socket
from pathlib import Path

import pytest

from heeler.base.clock import SystemClock
from heeler.kubelet import teardown


def test_only_sockets_without_a_listener_are_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teardown, "SHIM_SOCKETS", tmp_path)
    alive, dead = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with alive, dead:
        alive.bind(str(tmp_path / "alive"))
        alive.listen(1)
        dead.bind(str(tmp_path / "dead"))
        dead.close()
        (tmp_path / "file").write_text("")
        for _ in range(3):  # a full queue of a living one is no refusal
            assert asyncio.run(teardown._dead_sockets(SystemClock())) == [tmp_path / "dead"]
