"""An OCI image layout in a tar file: the same bytes for the same content, with nothing but the standard library.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"


def machine_architecture() -> str:
    """This machine's architecture in OCI's words. Raises ValueError for one that images aren't made for."""
    names = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    machine = os.uname().machine
    if machine not in names:
        raise ValueError(f"images can't be made for the architecture {machine}")
    return names[machine]


def full_name(name: str) -> str:
    """An image's full name: registry, repository and tag or digest (the forms that `docker pull` takes)."""
    head, slash, rest = name.partition("/")
    if not slash:
        head, rest = "docker.io", f"library/{name}"
    elif "." not in head and ":" not in head and head != "localhost":
        head, rest = "docker.io", name
    elif head == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    if "@" not in rest and ":" not in rest.rpartition("/")[2]:
        rest += ":latest"
    return f"{head}/{rest}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a layer: a file's content, a folder (content None), or a symbolic link (`link`)."""

    path: str
    content: bytes | Path | None = None
    mode: int = 0o644
    link: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image for one architecture: one layer and the configuration (OCI's `config` object: Cmd, Env, User…)."""

    architecture: str
    entries: Sequence[Entry]
    config: Mapping[str, Any] = field(default_factory=dict)


def entries_of(folder: Path) -> Iterator[Entry]:
    """A folder's whole content in a fixed order; devices and sockets are left out. Modes are kept, owners not."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            yield Entry(name, link=os.readlink(path))
        elif path.is_dir():
            yield Entry(name, mode=mode)
        elif path.is_file():
            yield Entry(name, path, mode)


def _sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class _Hashing(io.RawIOBase):
    """Passes what is written on to a file and hashes it."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target, self._hash = target, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return self._target.write(data)

    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def layer(entries: Sequence[Entry]) -> tuple[bytes, str]:
    """(the gzipped tar, the digest of the tar itself). Owner root, no times."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0, filename="") as zipped:
        raw = _Hashing(zipped)  # type: ignore[arg-type]
        with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for entry in entries:
                _add(tar, entry)
        digest = raw.digest()
    return packed.getvalue(), digest


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode = entry.mode
    if entry.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        tar.addfile(info)
    elif entry.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.content, Path):
        info.size = entry.content.stat().st_size
        with entry.content.open("rb") as file:
            tar.addfile(info, file)
    else:
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))


def write(path: Path, name: str, images: Sequence[Image]) -> str:
    """Write the archive of an image called `name` ("repository:tag"), for one or more architectures; the digest of
    its index or only manifest. Raises OSError."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> dict[str, Any]:
        digest = _sha(data)
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    manifests = []
    for image in images:
        packed, diff = layer(image.entries)
        config = {
            "architecture": image.architecture,
            "config": dict(image.config),
            "created": EPOCH,
            "history": [{"created": EPOCH, "created_by": "heeler image build"}],
            "os": "linux",
            "rootfs": {"diff_ids": [diff], "type": "layers"},
        }
        manifest = {
            "config": {"mediaType": CONFIG, **keep(_json(config))},
            "layers": [{"mediaType": LAYER, **keep(packed)}],
            "mediaType": MANIFEST,
            "schemaVersion": 2,
        }
        platform = {"architecture": image.architecture, "os": "linux"}
        manifests.append({"mediaType": MANIFEST, "platform": platform, **keep(_json(manifest))})
    top: dict[str, Any] = manifests[0]
    if len(manifests) > 1:
        index = {"manifests": manifests, "mediaType": INDEX, "schemaVersion": 2}
        top = {"mediaType": INDEX, **keep(_json(index))}
    top["annotations"] = {
        "io.containerd.image.name": full_name(name),
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    files |= {f"blobs/sha256/{digest[7:]}": data for digest, data in sorted(blobs.items())}
    files["index.json"] = _json({"manifests": [top], "mediaType": INDEX, "schemaVersion": 2})
    temporary = path.with_name(f".{path.name}.new")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for file, data in files.items():
            _add(tar, Entry(file, data))
    os.replace(temporary, path)
    return str(top["digest"])
