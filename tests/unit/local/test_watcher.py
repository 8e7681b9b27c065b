"""When the supervisor starts again what has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from heeler.local import watcher


def test_the_pause_grows_while_things_keep_ending() -> None:
    pause, seen = watcher.MAX_PAUSE, []
    for calm in (watcher.CALM, 0, 5, 0, watcher.CALM):
        pause = watcher.next_pause(pause, calm)
        seen.append(pause)
    assert seen == [0.2, 0.4, 0.8, 1.6, 0.2]
    assert watcher.next_pause(50.0, 0) == watcher.MAX_PAUSE


def test_it_hears_of_ends_and_leaves_out_what_was_stopped_on_purpose(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    for name, text in (("me", "1"), ("a", str(ended.pid)), ("b", str(os.getpid())), ("broken", "x")):
        (tmp_path / f"{name}.pid").write_text(text)
    (tmp_path / "b.version").write_text("1")
    found = watcher.pids(str(tmp_path), "me")
    assert found == {"a": ended.pid, "b": os.getpid()}
    assert watcher.wait_for_end(found, 0) == ["a"]
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert watcher.wait_for_end({"c": other.pid}, 0) == []
        assert other.stdin is not None
        other.stdin.close()
        assert watcher.wait_for_end({"c": other.pid}, 30) == ["c"]
