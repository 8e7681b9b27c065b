"""Daemons of a cluster: who waits for them, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from heeler.local import processes
from heeler.local.layout import Layout, LocalError, Owner


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it runs on, on purpose
def test_nobody_waits_for_a_node_whose_control_plane_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    who = Owner(uid=0, gid=0, home=tmp_path)
    layout.logs.mkdir()
    # A daemon that never says that it is ready, but ends when nobody listens any more.
    script = "while kill -0 $PPID && [ -e still ]; do sleep 0.1; done"
    (tmp_path / "still").touch()
    monkeypatch.setattr(processes, "command", lambda *_: ["sh", "-c", f"cd {tmp_path}; {script}"])
    try:
        with pytest.raises(LocalError, match="the node-a did not start: what it needs ended meanwhile"):
            processes.spawn(layout, "node-a", [], who, as_root=True, needs="control-plane")
    finally:
        (tmp_path / "still").unlink()
