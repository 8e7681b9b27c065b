"""What a containerd that was killed in the middle of something has left, and never looks at again.

Found before it starts anew; what comes to light only later, `heeler.kubelet.strays` finds while it runs.

`root` and `state` are containerd's own folders of these names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from heeler.base.files import read_text, remove_tree
from heeler.base.processes import check

TASKS = Path("io.containerd.runtime.v2.task/k8s.io")
SANDBOXES = Path("io.containerd.grpc.v1.cri/sandboxes")
NAMESPACES = Path("io.containerd.grpc.v1.cri/netns")


def halves(root: Path, state: Path) -> list[Path]:
    """Folders of tasks that were being removed: they are renamed first (a dot before the id)."""
    found = [half for folder in (root, state) for half in sorted((folder / TASKS).glob(".*"))]
    return [half for half in found if not (half / "rootfs").is_mount()]


def addresses(root: Path, node_state: Path) -> list[Path]:
    """Addresses given to sandboxes that don't exist: the network is made before the sandbox is noted anywhere.

    host-local keeps a file for each address, with the sandbox's id in its first line."""
    if not (root / SANDBOXES).is_dir():
        return []
    known = set(os.listdir(root / SANDBOXES))
    files = [file for file in sorted(node_state.glob("addresses/*/*")) if file.name[:1].isdigit()]
    ids = [(file, read_text(file).split()) for file in files]
    return [file for file, words in ids if words and words[0] not in known]


def namespaces(state: Path) -> list[Path]:
    """Pods' network namespaces in which no process is: also that of a sandbox that ended, which needs it no more."""
    files = sorted((state / NAMESPACES).glob("*"))
    if not files:
        return []
    used = {_identity(Path("/proc", entry, "ns", "net")) for entry in os.listdir("/proc") if entry.isdigit()}
    return [file for file in files if _identity(file) not in used | {None}]


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def remove_namespace(file: Path) -> None:
    """Raises ProgramError."""
    if await asyncio.to_thread(os.path.ismount, file):  # not Path.is_mount: to it only folders are
        await check(["umount", "--lazy", str(file)])
    remove([file])


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders; what can't be removed stays."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)
