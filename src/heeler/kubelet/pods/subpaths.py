"""A path inside a volume as its own mount: what a container swaps for a link afterwards leads nowhere else.

The path is opened step by step without following links out of the volume, and the open file itself is bound to
PODS/UID/volume-subpaths/VOLUME/CONTAINER/NUMBER, which the container gets.
Source: https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from heeler.base.processes import check
from heeler.kubelet.pods.env import ConfigError

FOLDER = "volume-subpaths"


class Outside(ConfigError):
    """The path leads out of its volume."""


def open_inside(root: Path, sub: str) -> int:
    """An open descriptor (O_PATH) of a path inside `root`, made as a folder where it is missing; links are followed
    inside only. Raises Outside, OSError. The caller closes it."""
    if Path(sub).is_absolute() or ".." in Path(sub).parts:
        raise Outside(sub)
    base = Path(os.path.realpath(root))
    wanted = Path(os.path.realpath(base / sub))
    if wanted != base and base not in wanted.parents:
        raise Outside(sub)
    mode = stat.S_IMODE(base.stat().st_mode)
    descriptor = os.open(base, os.O_PATH | os.O_DIRECTORY)
    try:
        # `wanted` has no links at the moment; one that comes in between is an error, not another way.
        for part in wanted.relative_to(base).parts:
            inner = _step(descriptor, part, mode)
            os.close(descriptor)
            descriptor = inner
    except BaseException:
        os.close(descriptor)
        raise
    if stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Outside(sub)
    return descriptor


def _step(parent: int, name: str, mode: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o750, dir_fd=parent)
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.fchmod(made, mode)
        return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(made)


def _place(target: Path, *, folder: bool) -> None:
    """Something to mount over. Raises OSError."""
    if folder:
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


async def bind(root: Path, sub: str, target: Path, mounted: bool) -> None:
    """Bind the path inside `root` to `target`, in place of what is `mounted` there. Raises Outside, OSError, ProgramError."""
    if mounted:
        await check(["umount", "--lazy", str(target)])
    descriptor = open_inside(root, sub)
    try:
        _place(target, folder=stat.S_ISDIR(os.fstat(descriptor).st_mode))
        await check(["mount", "--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{descriptor}", str(target)])
    finally:
        os.close(descriptor)
