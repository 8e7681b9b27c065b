"""A container's termination message, whatever the container made of its file."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from heeler.kubelet.pods.observe import MAX_MESSAGE, Observer
from heeler.kubelet.pods.volumes import termination_file

NOT_ASKED: Any = None


def message(pods: Path) -> str:
    status = SimpleNamespace(metadata=SimpleNamespace(name="app", attempt=0), exit_code=1, log_path=str(pods / "log"))
    notes = {"io.kubernetes.container.terminationMessagePolicy": "FallbackToLogsOnError"}
    return Observer(NOT_ASKED, NOT_ASKED, pods, "u1")._message(None, status, notes)


def test_no_more_than_a_message_is_read_and_only_from_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("2026-01-02T03:04:05Z stdout F from the log\n")
    file = termination_file(tmp_path, "u1", "app", 0)
    file.parent.mkdir(parents=True)
    assert message(tmp_path) == "from the log\n"
    file.write_text("done")
    assert message(tmp_path) == "done"
    os.truncate(file, 1 << 40)
    assert message(tmp_path) == "done" + "\0" * (MAX_MESSAGE - 4)
    file.unlink()
    os.mkfifo(file)
    assert message(tmp_path) == "from the log\n"
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert message(tmp_path) == "from the log\n"
