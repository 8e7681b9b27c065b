"""Plugins as archives: packing a folder, and unpacking into one, within bounds and not outside of it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.load import unpack as gunzip
from heeler.packages.plugins.plugin import FILE, Plugin, PluginError

#: Bytes that a plugin may unpack to, and how many files.
MAX_BYTES, MAX_FILES = 256 << 20, 10_000


def pack(plugin: Plugin) -> bytes:
    """The plugin's folder as a gzipped tar, the same bytes for the same files. Raises `PluginError`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as out:
        for path in [plugin.folder, *sorted(plugin.folder.rglob("*"))]:
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise PluginError(f"{path}: an archive of a plugin holds files and folders only")
            info = out.gettarinfo(str(path), f"{plugin.name}/{path.relative_to(plugin.folder)}".removesuffix("/."))
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mode = 0o755 if path.is_dir() or info.mode & 0o100 else 0o644
            info.mtime = int(info.mtime)
            if path.is_dir():
                out.addfile(info)
            else:
                with path.open("rb") as file:
                    out.addfile(info, file)
    return gzip.compress(plain.getvalue(), mtime=0)


def name_of(data: bytes) -> tuple[str, str]:
    """(name, version) by the plugin.yaml in an archive. Raises `PluginError`."""
    from heeler.packages.plugins.plugin import parse

    for path, _, content in _members(data):
        if path == FILE:
            found = parse(content, Path(FILE).parent)
            return found.name, found.version
    raise PluginError("failed to extract plugin metadata from tarball: plugin.yaml not found in tarball")


def unpack(data: bytes, target: Path) -> None:
    """Write an archive's files as the folder `target`, all or nothing. Raises `PluginError`, OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=target.parent) as made:
        top = Path(made) / target.name
        for name, mode, content in _members(data):
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if mode & 0o100 else 0o644)
        top.rename(target)


def _members(data: bytes) -> list[tuple[str, int, bytes]]:
    """(path below the plugin's folder, mode, content) of an archive's files."""
    try:
        plain = gunzip(data, MAX_BYTES)
    except ChartError as error:
        raise PluginError(f"failed to extract archive: {error}") from None
    if len(plain) > MAX_BYTES:
        raise PluginError(f"failed to extract archive: it is larger than {MAX_BYTES >> 20} MiB")
    found: list[tuple[str, int, bytes]] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    kind = member.type[0] if member.type else 0
                    raise PluginError(f"failed to extract archive: unknown type: {kind:b} in {member.name}")
                found.append((_inside(member.name), member.mode, _content(archive, member)))
                if len(found) > MAX_FILES:
                    raise PluginError(f"failed to extract archive: it has more than {MAX_FILES} files")
    except tarfile.TarError as error:
        raise PluginError(f"failed to extract archive: {error}") from None
    tops = {path.partition("/")[0] for path, _, _ in found}
    if len(tops) == 1 and all("/" in path for path, _, _ in found):
        return [(path.partition("/")[2], mode, content) for path, mode, content in found]
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader: Any = archive.extractfile(member)
    return bytes(reader.read()) if reader is not None else b""


def _inside(name: str) -> str:
    path = os.path.normpath(name.replace("\\", "/"))
    if path.startswith(("/", "..")) or path == "." or "\0" in path:
        raise PluginError(f"failed to extract archive: {name} is not in the plugin's folder")
    return path
