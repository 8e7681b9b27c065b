"""Unpacking a chart's archive into a folder: all of it or nothing, and nothing outside of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import build, read_archive


def unpack(archive: bytes, folder: Path) -> Path:
    """Write the chart's files below `folder`/its name, which must not be there; that path. Raises `ChartError`, OSError."""
    files = read_archive(archive)
    name = build(files).name
    target = folder / name
    if target.exists():
        raise ChartError(f"failed to untar: a file or directory with the name {name} already exists")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as made:
        top = Path(made) / name
        for file in files:
            path = top / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            os.utime(path, (file.modified, file.modified))
        top.mkdir(exist_ok=True)
        top.rename(target)
    return target
