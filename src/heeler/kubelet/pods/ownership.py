"""A volume's files given to the pod's group (fsGroup), while other pods may write in the volume.

Whoever writes there can put a link in a file's place at any moment. So nothing is reached by a path: each entry is opened
once, by its folder's descriptor and without following links, and everything is done to what was opened. The descriptors
are O_PATH: opening a FIFO or a device does nothing to it.
Source: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from heeler.kubelet.pods.payload import VolumeError

#: Folders within folders; each takes a descriptor and a stack frame while those below it are walked.
MAX_DEPTH = 256


def give_group(root: Path, group: int, always: bool) -> None:
    """Let a group read and write all in a folder, new files included; without `always` only where the folder itself
    differs. A root that is a link is left alone. Raises OSError, VolumeError for folders nested too deeply."""
    with _opened(str(root)) as opened:
        state = os.fstat(opened)
        if stat.S_ISLNK(state.st_mode):
            return
        if not always and state.st_gid == group and state.st_mode & 0o2770 == 0o2770:
            return
        _give_all(opened, group, 0)


def _give_all(opened: int, group: int, depth: int) -> None:
    """What is below comes first: a root that has its group and mode tells that all is done."""
    if stat.S_ISDIR(os.fstat(opened).st_mode):
        if depth > MAX_DEPTH:
            raise VolumeError(f"folders are nested more than {MAX_DEPTH} deep")
        for name in _names(opened):
            with suppress(FileNotFoundError), _opened(name, opened) as entry:
                if stat.S_ISLNK(os.fstat(entry).st_mode):
                    os.chown(name, -1, group, dir_fd=opened, follow_symlinks=False)
                else:
                    _give_all(entry, group, depth + 1)
    # An O_PATH descriptor has no fchown and fchmod: its entry in /proc leads to what was opened, whatever its name is now.
    itself = f"/proc/self/fd/{opened}"
    os.chown(itself, -1, group)
    mode = os.fstat(opened).st_mode
    os.chmod(itself, stat.S_IMODE(mode) | (0o2770 if stat.S_ISDIR(mode) else 0o660))


def _names(folder: int) -> list[str]:
    reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        return os.listdir(reading)
    finally:
        os.close(reading)


@contextmanager
def _opened(name: str, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
