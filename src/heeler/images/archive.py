"""Image archives as they come (`docker save`, OCI layouts, packed by gzip or zstd), read and checked, and cut down to
what a node lacks.

Every archive becomes an OCI layout in the end: what `docker save` wrote of old is described anew, its layers stay as they
are. Only known members are read, by their names in the archive's own index: a path that leads elsewhere is never written.
Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md and `docker image save`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from heeler.base.processes import ProgramError, find_program
from heeler.images.layout import CONFIG, INDEX, MANIFEST, full_name, machine_architecture

#: Bytes of an index, manifest or configuration; things that an index may name; how deep indexes may stand in each other.
MAX_JSON, MAX_ENTRIES, MAX_DEPTH = 8 << 20, 10_000, 4
CHUNK = 1 << 20
_INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"))


@dataclass(frozen=True, slots=True)
class Blob:
    """Something with a digest: a member of the archive, or bytes that are made anew."""

    digest: str
    member: str = ""
    data: bytes = b""


@dataclass(slots=True)
class Image:
    """One image: its full names, the descriptor of its manifest or index, and all its blobs by digest."""

    names: tuple[str, ...]
    descriptor: dict[str, Any]
    blobs: dict[str, Blob] = field(default_factory=dict)


@contextlib.contextmanager
def plain(source: Path | IO[bytes], folder: Path) -> Iterator[Path]:
    """The archive as a file that isn't packed: itself, or a copy in `folder`. Raises ValueError, ProgramError, OSError."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            kind = _packing(file.read(8))
        if not kind:
            yield source
            return
        with source.open("rb") as file, _unpacked(file, kind, folder) as path:
            yield path
        return
    copy = folder / "stdin"
    with copy.open("wb") as target:
        shutil.copyfileobj(source, target, CHUNK)
    with plain(copy, folder) as path:
        yield path


def _packing(head: bytes) -> str:
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


@contextlib.contextmanager
def _unpacked(file: BinaryIO, kind: str, folder: Path) -> Iterator[Path]:
    path = folder / "unpacked.tar"
    program = find_program(kind)
    if program is None:
        raise ProgramError(f"{kind} is missing: the archive is packed with it (package {kind})")
    with path.open("wb") as target:
        done = subprocess.run([program, "-dc"], stdin=file, stdout=target, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"the archive can't be unpacked by {kind}: {words[-1] if words else 'it failed'}")
    yield path


class Archive:
    """An archive that is open for reading. Raises ValueError for whatever is wrong with it."""

    def __init__(self, path: Path, shown: str = "") -> None:
        self._shown = shown or str(path)
        if not path.stat().st_size:
            raise ValueError(f"{self._shown} is not an image archive: it is empty")
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 (closed by close)
        except tarfile.TarError as error:
            raise ValueError(f"{self._shown} is not an image archive: {error}") from error
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            for member in self._tar:
                self._members[member.name.removeprefix("./")] = member
        except (tarfile.TarError, EOFError) as error:
            self._tar.close()
            raise ValueError(f"{self._shown} is cut off or damaged: {error}") from error

    def close(self) -> None:
        self._tar.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, blob: Blob) -> IO[bytes]:
        """A blob's bytes."""
        return self._open(blob.member) if blob.member else io.BytesIO(blob.data)

    def _open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        try:
            # Layers of old archives are links to each other, inside the archive.
            file = self._tar.extractfile(member) if member is not None else None
        except (KeyError, tarfile.TarError):
            file = None
        except RecursionError as error:
            raise ValueError(f"{self._shown}: {name} is a link that leads back to itself") from error
        if file is None:
            raise ValueError(f"{self._shown} lacks {name}, which its index names")
        return file

    def size(self, blob: Blob) -> int:
        if not blob.member:
            return len(blob.data)
        with self._open(blob.member) as file:
            return file.seek(0, io.SEEK_END)

    def _json(self, name: str) -> Any:
        with self._open(name) as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise ValueError(f"{self._shown}: {name} is larger than {MAX_JSON} bytes")
        try:
            return json.loads(data)
        except ValueError as error:
            raise ValueError(f"{self._shown}: {name} is no JSON: {error}") from error
        except RecursionError as error:
            raise ValueError(f"{self._shown}: {name} is nested too deeply") from error

    def _dict(self, value: Any, what: str) -> dict[str, Any]:
        """An object of a document, empty where it is left out."""
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"{self._shown}: {what} is no JSON object")
        return value or {}

    def _list(self, value: Any, what: str) -> list[Any]:
        """A list of a document, empty where it is left out."""
        if value is not None and not isinstance(value, list):
            raise ValueError(f"{self._shown}: {what} is no list")
        return value or []

    def images(self) -> list[Image]:
        """All images that have a name."""
        has_index, has_manifest = "index.json" in self._members, "manifest.json" in self._members
        if not has_index and not has_manifest:
            raise ValueError(f"{self._shown} is not an image archive: it has neither index.json nor manifest.json")
        found = self._oci() if has_index else []
        if has_manifest and not any(image.names for image in found):
            found = self._docker()
        named = [image for image in found if image.names]
        if not named:
            raise ValueError(f"{self._shown} gives its image no name: build or save it with one, as in NAME:TAG")
        return named

    # OCI layouts

    def _oci(self) -> list[Image]:
        index = self._json("index.json")
        entries = index.get("manifests") if isinstance(index, dict) else None
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise ValueError(f"{self._shown}: index.json is no OCI index")
        by_digest: dict[str, Image] = {}
        for entry in entries:
            if not isinstance(entry, dict):
                raise ValueError(f"{self._shown}: index.json is no OCI index")
            notes = self._dict(entry.get("annotations"), "annotations in index.json")
            name = str(notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name", ""))
            names = (full_name(name),) if ":" in name or "/" in name else ()
            digest = self._digest(entry)
            if digest in by_digest:
                by_digest[digest].names = tuple(dict.fromkeys([*by_digest[digest].names, *names]))
                continue
            image = Image(names, {k: entry[k] for k in ("mediaType", "digest", "size", "platform") if k in entry})
            platforms: list[str] = []
            self._walk(entry, image, platforms, 0)
            wanted = f"linux/{machine_architecture()}"
            if platforms and wanted not in platforms:
                raise ValueError(f"{self._shown} has no image for {wanted}, only for {', '.join(platforms)}")
            by_digest[digest] = image
        return list(by_digest.values())

    def _digest(self, descriptor: Any) -> str:
        digest = self._dict(descriptor, "a descriptor").get("digest")
        kind, _, rest = str(digest).partition(":")
        if kind != "sha256" or len(rest) != 64 or rest.strip("0123456789abcdef"):
            raise ValueError(f"{self._shown}: {digest!r} is no sha256 digest")
        return str(digest)

    def _walk(self, descriptor: Mapping[str, Any], image: Image, platforms: list[str], depth: int) -> None:
        """Collect the blobs below a manifest or index; of an index's manifests those that are in the archive."""
        digest = self._digest(descriptor)
        member = f"blobs/sha256/{digest[7:]}"
        if depth > MAX_DEPTH or len(image.blobs) > MAX_ENTRIES:
            raise ValueError(f"{self._shown}: its indexes are nested too deeply")
        image.blobs[digest] = Blob(digest, member)
        document = self._json(member)
        if not isinstance(document, dict):
            raise ValueError(f"{self._shown}: {member} is no manifest")
        if descriptor.get("mediaType") in _INDEXES or "manifests" in document:
            for entry in self._list(document.get("manifests"), f"manifests in {member}"):
                if f"blobs/sha256/{self._digest(entry)[7:]}" in self._members:
                    self._walk(entry, image, platforms, depth + 1)
            return
        platform = self._dict(descriptor.get("platform"), "a descriptor's platform")
        config, layers = document.get("config"), document.get("layers")
        if not isinstance(config, dict) or not isinstance(layers, list):
            raise ValueError(f"{self._shown}: {member} is no image manifest")
        if "os" not in platform:
            config_name = f"blobs/sha256/{self._digest(config)[7:]}"
            platform = self._dict(self._json(config_name), config_name)
        if platform.get("os") not in (None, "unknown"):
            platforms.append(f"{platform.get('os')}/{platform.get('architecture')}")
        for part in [config, *layers]:
            own = self._digest(part)
            image.blobs[own] = Blob(own, f"blobs/sha256/{own[7:]}")

    # docker save, before it wrote OCI layouts

    def _docker(self) -> list[Image]:
        entries = self._json("manifest.json")
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise ValueError(f"{self._shown}: manifest.json is no list of images")
        return [self._docker_image(entry) for entry in entries]

    def _docker_image(self, value: Any) -> Image:
        entry = self._dict(value, "an image in manifest.json")
        config_name, layers = str(entry.get("Config", "")), self._list(entry.get("Layers"), "Layers in manifest.json")
        config = self._dict(self._json(config_name), config_name)
        told = f"{config.get('os', 'linux')}/{config.get('architecture', '')}"
        if told != f"linux/{machine_architecture()}":
            raise ValueError(f"{self._shown} has no image for linux/{machine_architecture()}, only for {told}")
        rootfs = self._dict(config.get("rootfs"), f"rootfs in {config_name}")
        diffs = self._list(rootfs.get("diff_ids"), f"diff_ids in {config_name}")
        if len(diffs) != len(layers):
            raise ValueError(
                f"{self._shown}: {config_name} tells of {len(diffs)} layers, manifest.json of {len(layers)}"
            )
        with self._open(config_name) as file:
            data = file.read(MAX_JSON)
        blobs = {}
        parts = [{"mediaType": CONFIG, "digest": _sha(data), "size": len(data)}]
        blobs[_sha(data)] = Blob(_sha(data), "", data)
        for layer, diff in zip(layers, diffs):
            digest, media = self._layer(str(layer), str(diff))
            blob = Blob(digest, str(layer))
            blobs[digest] = blob
            parts.append({"mediaType": media, "digest": digest, "size": self.size(blob)})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
        made = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        blobs[_sha(made)] = Blob(_sha(made), "", made)
        tags = self._list(entry.get("RepoTags"), "RepoTags in manifest.json")
        wrong = next((tag for tag in tags if not isinstance(tag, str)), None)
        if wrong is not None:
            raise ValueError(f"{self._shown}: {wrong!r} in RepoTags is no name")
        names = tuple(full_name(tag) for tag in tags)
        return Image(names, {"mediaType": MANIFEST, "digest": _sha(made), "size": len(made)}, blobs)

    def _layer(self, member: str, diff: str) -> tuple[str, str]:
        """(digest, media type): an unpacked layer's digest stands in the configuration, a packed one's is found out."""
        with self._open(member) as file:
            kind = _packing(file.read(8))
        if not kind:
            return self._digest({"digest": diff}), _LAYER
        if kind not in ("gzip", "zstd"):
            raise ValueError(f"{self._shown}: {member} is packed by {kind}")
        with self._open(member) as file:
            return _sha_of(file), f"{_LAYER}+{kind}"

    def check(self, blobs: Sequence[Blob]) -> None:
        """See that blobs are what their digests say."""
        for blob in blobs:
            with self.open(blob) as file:
                try:
                    have = _sha_of(file)
                except (tarfile.TarError, EOFError) as error:
                    raise ValueError(f"{self._shown} is cut off or damaged: {error}") from error
            if have != blob.digest:
                raise ValueError(f"{self._shown}: {blob.member} is not what its digest {blob.digest} says, but {have}")


def _sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _sha_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while part := file.read(CHUNK):
        digest.update(part)
    return "sha256:" + digest.hexdigest()


def write_layout(target: IO[bytes], archive: Archive, images: Sequence[Image], blobs: Sequence[Blob]) -> None:
    """An OCI layout of these images, as a tar stream, with these of their blobs. Raises OSError."""
    manifests = [
        {**image.descriptor, "annotations": {"io.containerd.image.name": name}}
        for image in images
        for name in image.names
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for blob in blobs:
            info = tarfile.TarInfo(f"blobs/sha256/{blob.digest[7:]}")
            info.size = archive.size(blob)
            with archive.open(blob) as file:
                tar.addfile(info, file)
