"""Images brought into a node's containerd: only what it lacks is handed to `ctr`, which ships with containerd; and the list.

Names are made full as CRI does it ("web:1" -> "docker.io/library/web:1").
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heeler.base.files import private_folder
from heeler.base.processes import ProgramError, check, find_program
from heeler.images import layout, pause
from heeler.images.archive import Archive, Blob, Image, write_layout

NAMESPACE = "k8s.io"
#: Seconds for an import.
IMPORT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """One image as the runtime lists it; `size` in bytes."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Done:
    """What an archive holds by full names, and whether anything of it was missing on the node."""

    names: list[str]
    fresh: bool


def names_in(archive: Path) -> list[str]:
    """The full names under which an archive's images are imported. Raises ValueError for one that is none, OSError."""
    with Archive(archive) as opened:
        return list(dict.fromkeys(name for image in opened.images() for name in image.names))


def ctr(socket: Path) -> list[str]:
    """How to call `ctr` for the images and containers of CRI. Raises ProgramError."""
    binary = find_program("ctr")
    if binary is None:
        raise ProgramError("ctr is missing: it belongs to containerd")
    return [binary, "--address", str(socket), "--namespace", NAMESPACE]


async def present(socket: Path) -> dict[str, str]:
    """The digests that the node's images stand for, by name. Raises ProgramError."""
    lines = (await check([*ctr(socket), "images", "ls"])).decode().splitlines()[1:]
    return {words[0]: words[2] for words in map(str.split, lines) if len(words) > 2}


def blobs_folder(root: Path) -> Path:
    """Where a containerd with this root keeps blobs."""
    return root / "io.containerd.content.v1.content" / "blobs" / "sha256"


async def load(socket: Path, archive: Path, root: Path | None = None, shown: str = "") -> Done:
    """Bring an archive's images into the containerd at `socket`. With its `root` only the layers that it lacks.

    Raises ValueError for a bad archive, ProgramError when the import fails."""
    have = await present(socket)
    with Archive(archive, shown) as opened:
        images = await asyncio.to_thread(opened.images)
        names = list(dict.fromkeys(name for image in images for name in image.names))
        wanted = [image for image in images if not _complete(image, have, root)]
        if not wanted:
            return Done(names, False)
        every = list({digest: blob for image in wanted for digest, blob in image.blobs.items()}.values())
        missing = [blob for blob in every if not _has(root, blob)]
        await asyncio.to_thread(opened.check, missing)
        try:
            await asyncio.to_thread(_import, ctr(socket), opened, wanted, missing)
        except ProgramError:
            if len(missing) == len(every):
                raise
            # What was there may have been collected meanwhile.
            await asyncio.to_thread(opened.check, every)
            await asyncio.to_thread(_import, ctr(socket), opened, wanted, every)
    return Done(names, True)


def _has(root: Path | None, blob: Blob) -> bool:
    return root is not None and (blobs_folder(root) / blob.digest[7:]).exists()


def _complete(image: Image, have: dict[str, str], root: Path | None) -> bool:
    """Whether the node has an image under all its names."""
    if any(have.get(name) != image.descriptor["digest"] for name in image.names):
        return False
    return root is None or all(_has(root, blob) for blob in image.blobs.values())


def _import(program: Sequence[str], archive: Archive, images: Sequence[Image], blobs: Sequence[Blob]) -> None:
    """Hand a layout of the images to `ctr`. Raises ProgramError."""
    with tempfile.TemporaryFile() as words:
        arguments = [*program, "images", "import", "--digests=false", "-"]
        try:
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words)
        except OSError as error:
            raise ProgramError(f"{arguments[0]}: {error.strerror}") from error
        assert process.stdin is not None
        try:
            write_layout(process.stdin, archive, images, blobs)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it says itself why it has ended
        except BaseException:
            process.kill()
            process.wait()
            raise
        try:
            code = process.wait(IMPORT_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ProgramError(f"the import did not end within {IMPORT_SECONDS:g} s") from error
        if code:
            words.seek(0)
            last = words.read()[-2000:].decode(errors="replace").strip().splitlines()
            raise ProgramError(f"ctr images import failed: {last[-1] if last else code}")


async def remove(socket: Path, name: str) -> bool:
    """Take a name (as people write it) from a node, and the image with its last name; False where it isn't there.

    Raises ProgramError."""
    from heeler.wire.protobuf.schema import schema, unix_channel

    wanted, have = layout.full_name(name), await present(socket)
    if wanted not in have:
        return False
    channel = unix_channel(str(socket))
    try:
        service = schema("cri").service(channel, "runtime.v1.ImageService")
        answer = await service.call(
            "ImageStatus", service.request("ImageStatus", {"image": {"image": wanted}}), timeout=30
        )
        if answer.HasField("image") and len(answer.image.repo_tags) <= 1:
            # With all that CRI keeps of it: names by digest and by id.
            await service.call("RemoveImage", service.request("RemoveImage", {"image": {"image": wanted}}), timeout=60)
            return True
    finally:
        await channel.close()
    await check([*ctr(socket), "images", "remove", wanted])
    return True


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
