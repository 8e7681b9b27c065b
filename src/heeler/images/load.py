"""Images brought into a node's containerd: archives imported by `ctr`, which ships with containerd; and the list.

Names are made full as CRI does it ("web:1" -> "docker.io/library/web:1").
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.base.files import private_folder
from heeler.base.processes import ProgramError, check, find_program
from heeler.images import layout, pause
from heeler.images.layout import full_name

NAMESPACE = "k8s.io"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One image as the runtime lists it; `size` in bytes."""

    name: str
    digest: str
    size: int


def names_in(archive: Path) -> list[str]:
    """The names under which an archive's images are imported (OCI layout's annotations, docker's RepoTags made full).

    Raises ValueError for a file that is no image archive."""
    try:
        with tarfile.open(archive) as tar:
            members = set(tar.getnames())
            index = _member(tar, "index.json") if "index.json" in members else {}
            docker = _member(tar, "manifest.json") if "manifest.json" in members else []
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is not an image archive: {error}") from error
    if not index and not docker:
        raise ValueError(f"{archive} is not an image archive: it has neither index.json nor manifest.json")
    found: list[str] = []
    for manifest in index.get("manifests", []) if isinstance(index, dict) else []:
        notes = manifest.get("annotations") or {}
        name = notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name", "")
        if ":" in name or "/" in name:
            found.append(name)
    for entry in docker if isinstance(docker, list) else []:
        found += [full_name(name) for name in entry.get("RepoTags") or []]
    return list(dict.fromkeys(found))


def _member(tar: tarfile.TarFile, name: str) -> Any:
    file = tar.extractfile(name)
    return json.load(file) if file is not None else {}


def _ctr(socket: Path) -> list[str]:
    binary = find_program("ctr")
    if binary is None:
        raise ProgramError("ctr is missing: it belongs to containerd")
    return [binary, "--address", str(socket), "--namespace", NAMESPACE]


async def load(socket: Path, archive: Path) -> list[str]:
    """Import an archive (OCI layout or `docker save`) into the containerd at `socket`; the images' full names.

    Raises ValueError for a bad archive, ProgramError when the import fails."""
    names = names_in(archive)
    if not names:
        raise ValueError(f"{archive} gives its image no name: build it with a tag, as in NAME:TAG")
    await check([*_ctr(socket), "images", "import", "--digests=false", str(archive)], timeout=600)
    for name in names:
        # OCI archives are imported under the name as it stands; CRI looks for the full one.
        if full_name(name) != name:
            await check([*_ctr(socket), "images", "tag", "--force", name, full_name(name)])
            await check([*_ctr(socket), "images", "remove", name])
    return [full_name(name) for name in names]


async def listed(socket: Path) -> list[Loaded]:
    """The images of a node, by name, as the runtime's image service lists them."""
    from heeler.wire.protobuf.schema import schema, unix_channel

    channel = unix_channel(str(socket))
    try:
        answer = await schema("cri").service(channel, "runtime.v1.ImageService").call("ListImages", timeout=30)
    finally:
        await channel.close()
    found = [
        Loaded(name, image.id, int(image.size)) for image in answer.images for name in (list(image.repo_tags) or [""])
    ]
    return sorted(found, key=lambda image: image.name)


def write_pause(folder: Path, name: str) -> Path:
    """Write the pause image's archive for all architectures."""
    private_folder(folder)
    path = folder / "pause.tar"
    images = [
        layout.Image(
            architecture,
            [layout.Entry("pause", pause.program(architecture), 0o755)],
            {"Entrypoint": ["/pause"], "User": "65535:65535", "WorkingDir": "/"},
        )
        for architecture in pause.ARCHITECTURES
    ]
    layout.write(path, name, images)
    return path
