"""Volumes that show an image's files, read-only: mounted by `ctr`, since only the newest runtimes do it over CRI.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from heeler.base.processes import ProgramError, check
from heeler.images.layout import full_name
from heeler.images.load import ctr


async def mount(socket: Path, reference: str, target: Path) -> None:
    """Mount an image that is there. Raises ProgramError, OSError."""
    target.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (a local folder)
    await check([*ctr(socket), "images", "mount", full_name(reference), str(target)])


async def forget(socket: Path, target: Path) -> None:
    """Let containerd forget the snapshot of what was mounted there, and why it was kept."""
    for words in (["snapshots", "remove", str(target)], ["leases", "delete", str(target)]):
        with contextlib.suppress(ProgramError):  # it never came to be, or is gone
            await check([*ctr(socket), *words])
