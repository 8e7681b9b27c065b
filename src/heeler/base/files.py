"""Files written so that a reader sees the old or the new, never half of one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by a new file with these bytes and exactly this mode, through a rename. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def private_folder(path: Path, mode: int = 0o700) -> Path:
    """Make the folder (and those above it) if need be, with this mode."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def remove_tree(path: Path) -> None:
    """Remove a folder or file with all in it; nothing there is fine. Raises OSError where something can't go."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def shorten(path: Path, most: int) -> bool:
    """Put a log that is longer than `most` bytes aside as PATH.1 and begin it anew, while a process appends to it.

    What is written in the moment between is lost; whoever writes must have opened the file for appending. Raises OSError."""
    try:
        if path.stat().st_size <= most:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def read_text(path: Path, default: str = "") -> str:
    """The text of a small file, stripped; `default` where it is missing."""
    try:
        return path.read_text(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return default


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` (made if missing) between processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def memory_file(name: str, data: bytes) -> Iterator[Path]:
    """A file that other programs of the same user can open by its path, and that goes with this process, however it ends.

    Linux: https://man7.org/linux/man-pages/man2/memfd_create.2.html. Elsewhere a temporary file, removed at the end.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, data)
            yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="heeler-") as folder:
        path = Path(folder) / name
        write_atomic(path, data)
        yield path
