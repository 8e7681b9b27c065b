"""A path inside a volume is never one outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heeler.kubelet.pods.subpaths import Outside, open_inside


def opened(root: Path, sub: str) -> str:
    descriptor = open_inside(root, sub)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_missing_folders_are_made_and_links_inside_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert opened(tmp_path, "a/b") == str(tmp_path / "a" / "b")
    assert opened(tmp_path, "link/deep") == str(tmp_path / "real" / "deep")


@pytest.mark.parametrize("sub", ["/etc", "../x", "a/../../x", "out/passwd", "out"])
def test_nothing_leads_out(tmp_path: Path, sub: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to("/etc")
    with pytest.raises(Outside):
        open_inside(root, sub)
