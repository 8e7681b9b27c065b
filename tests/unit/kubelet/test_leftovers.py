"""What is put in order before a killed containerd starts anew."""

from __future__ import annotations

from pathlib import Path

from heeler.kubelet.runtime import leftovers


def test_what_a_killed_containerd_was_removing_goes(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    assert leftovers.halves(root, state) == []
    for folder in (root, state):
        for name in ("lives", ".half"):
            (folder / leftovers.TASKS / name / "rootfs").mkdir(parents=True)
    leftovers.remove(leftovers.halves(root, state))
    left = [[entry.name for entry in (folder / leftovers.TASKS).iterdir()] for folder in (root, state)]
    assert left == [["lives"], ["lives"]]


def test_addresses_of_sandboxes_that_never_were_are_given_back(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    folder = state / "addresses" / "heeler"
    folder.mkdir(parents=True)
    for name, text in (("10.244.0.2", "known\r\neth0"), ("10.244.0.3", "never\r\neth0"), ("10.244.0.4", "")):
        (folder / name).write_text(text)
    for name in ("lock", "last_reserved_ip.0"):
        (folder / name).write_text("10.244.0.3")
    assert leftovers.addresses(root, state) == []  # no sandbox can be known: nothing is judged
    (root / leftovers.SANDBOXES / "known").mkdir(parents=True)
    assert leftovers.addresses(root, state) == [folder / "10.244.0.3"]
