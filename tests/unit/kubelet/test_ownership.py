"""A volume's files get the pod's group, and nothing outside of the volume does, whatever a pod puts there meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from heeler.kubelet.pods import ownership
from heeler.kubelet.pods.payload import VolumeError

#: Root may give any group.
GROUP = 4711 if os.geteuid() == 0 else os.getgid()


def look(path: Path) -> tuple[int, int]:
    state = path.lstat()
    return state.st_gid, state.st_mode & 0o7777


def tree(root: Path) -> Path:
    (root / "sub").mkdir(parents=True)
    root.chmod(0o700)
    (root / "sub").chmod(0o500)
    for path in (root / "f", root / "sub" / "f"):
        path.write_text("x")
        path.chmod(0o400)
    return root


def test_a_volume_s_group_may_read_and_write_all_in_it(tmp_path: Path) -> None:
    root = tree(tmp_path / "d")
    (root / "l").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo", 0o600)
    before = look(Path("/etc/passwd"))
    ownership.give_group(root, GROUP, True)
    have = {name: look(root / name) for name in (".", "sub", "f", "sub/f", "fifo")}
    folder, file = (GROUP, 0o2770), (GROUP, 0o660)
    assert have == {".": folder, "sub": folder, "f": file, "sub/f": file, "fifo": file}
    assert (root / "l").lstat().st_gid == GROUP
    assert look(Path("/etc/passwd")) == before
    (root / "f").chmod(0o400)
    ownership.give_group(root, GROUP, False)
    assert look(root / "f") == (GROUP, 0o400)


def test_a_link_put_in_the_way_at_any_moment_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tree(tmp_path / "outside")
    kept = {path: look(path) for path in (outside, *outside.rglob("*"))}
    calls, swap_at, root = 0, 0, Path()

    def swap() -> None:
        for name, target in (("f", outside / "f"), ("sub", outside / "sub")):
            (root / name).rename(root / f"{name}.old")
            (root / name).symlink_to(target)

    def hooked(real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == swap_at:
                swap()
            return real(*args, **more)

        return call

    while calls >= swap_at:
        calls, swap_at, root = 0, swap_at + 1, tree(tmp_path / f"d{swap_at}")
        with monkeypatch.context() as patch:
            for name in ("open", "listdir", "fstat", "chown", "chmod"):
                patch.setattr(ownership.os, name, hooked(getattr(os, name)))
            ownership.give_group(root, GROUP, True)
        assert {path: look(path) for path in kept} == kept
    assert swap_at > 20


def test_folders_nested_too_deeply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "MAX_DEPTH", 2)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(VolumeError, match="nested"):
        ownership.give_group(tmp_path, GROUP, True)
