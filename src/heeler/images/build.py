"""Images built from Debian packages and a folder of files: no registry, no Docker, no maintainer scripts.

A folder with an `image.toml` is a recipe:

    name = "guestbook:1"                 # NAME:TAG
    packages = ["busybox-static"]        # optional: Debian packages, their dependencies come along
    recommends = false                   # optional
    files = "files"                      # optional: a folder whose content is put on top
    links = { "bin/sh" = "busybox" }     # optional: symbolic links
    folders = { "tmp" = "1777" }         # optional: folders with their modes
    [config]                             # optional: OCI's image configuration
    Cmd = ["/bin/sh"]

Packages are downloaded by apt into a cache (by file name, which holds the version) and only unpacked. An image that was
built of the same recipe, files and package versions is not built again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.base.files import private_folder, read_text, write_atomic
from heeler.base.processes import ProgramError, check, find_program
from heeler.images import layout


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of; `files` is a folder or None."""

    name: str
    packages: tuple[str, ...] = ()
    recommends: bool = False
    files: Path | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package as apt would fetch it."""

    file: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Built:
    """`fresh` tells whether it was built just now."""

    name: str
    archive: Path
    fresh: bool


KNOWN = ("name", "packages", "recommends", "files", "links", "folders", "config")
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?")


def read_recipe(folder: Path) -> Recipe:
    """The recipe in a folder. Raises ValueError naming what is wrong, FileNotFoundError without an image.toml."""
    path = folder / "image.toml"
    try:
        told = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    unknown = [key for key in told if key not in KNOWN]
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(KNOWN)}")
    name = told.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f'{path}: name must be NAME:TAG, as in "guestbook:1"')
    packages = told.get("packages", [])
    for package in packages:
        if not PACKAGE_NAME.fullmatch(str(package)):
            raise ValueError(f"{path}: {package!r} is no Debian package's name")
    files = folder / told["files"] if "files" in told else None
    if files is not None and not files.is_dir():
        raise ValueError(f"{path}: files: {files} is not a folder")
    return Recipe(
        name,
        tuple(packages),
        bool(told.get("recommends", False)),
        files,
        told.get("links", {}),
        told.get("folders", {}),
        told.get("config", {}),
    )


async def build(recipe: Recipe, cache: Path) -> Built:
    """Build an image; `cache` keeps packages and archives. Raises ProgramError, ValueError, OSError."""
    private_folder(cache, 0o755)
    packages = await resolve(recipe.packages, recipe.recommends) if recipe.packages else []
    extra = list(layout.entries_of(recipe.files)) if recipe.files is not None else []
    key = _key(recipe, packages, extra)
    archive = cache / (re.sub(r"[^A-Za-z0-9._-]", "_", recipe.name) + ".tar")
    note = archive.with_suffix(".key")
    if archive.exists() and read_text(note) == key:
        return Built(recipe.name, archive, False)
    debs = await fetch(packages, cache / "packages")
    with tempfile.TemporaryDirectory(dir=cache) as work:
        root = Path(work) / "root"
        root.mkdir()
        for deb in debs:
            await check(["dpkg-deb", "--extract", str(deb), str(root)], timeout=300)
        entries = await asyncio.to_thread(_entries, recipe, root, extra)
        image = layout.Image(layout.machine_architecture(), entries, recipe.config)
        await asyncio.to_thread(layout.write, archive, recipe.name, [image])
    write_atomic(note, key.encode(), 0o644)
    return Built(recipe.name, archive, True)


def _entries(recipe: Recipe, root: Path, extra: Sequence[layout.Entry]) -> list[layout.Entry]:
    """The packages' files, then the recipe's folders, links and files; a later one replaces an earlier one."""
    found = {entry.path: entry for entry in layout.entries_of(root)}
    for path, mode in recipe.folders.items():
        found[path.strip("/")] = layout.Entry(path.strip("/"), mode=int(mode, 8))
    for path, target in recipe.links.items():
        found[path.strip("/")] = layout.Entry(path.strip("/"), link=target)
    for entry in extra:
        found[entry.path] = entry
    # A parent goes before what is in it.
    for path in list(found):
        for parent in list(Path(path).parents)[:-1]:
            found.setdefault(str(parent), layout.Entry(str(parent), mode=0o755))
    return [found[path] for path in sorted(found)]


def _key(recipe: Recipe, packages: Sequence[Package], extra: Sequence[layout.Entry]) -> str:
    """A digest of all that goes into the image."""
    digest = hashlib.sha256()
    parts: list[object] = [recipe.name, recipe.recommends, sorted(recipe.links.items()), sorted(recipe.folders.items())]
    parts += [repr(recipe.config), layout.machine_architecture()]
    parts += [(p.file, p.checksum) for p in packages]
    digest.update(repr(parts).encode())
    for entry in extra:
        content = entry.content.read_bytes() if isinstance(entry.content, Path) else (entry.content or b"")
        digest.update(repr((entry.path, entry.mode, entry.link)).encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


async def resolve(names: Sequence[str], recommends: bool) -> list[Package]:
    """These packages and all that they depend on, as apt would fetch them. Raises ProgramError."""
    for program in ("apt-cache", "apt-get", "dpkg-deb"):
        if find_program(program) is None:
            raise ProgramError(f"{program} is missing: images are built from packages on Debian and Ubuntu only")
    skip = ["--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]
    if not recommends:
        skip.append("--no-recommends")
    try:
        listing = (await check(["apt-cache", "depends", "--recurse", *skip, *names])).decode()
    except ProgramError as error:
        raise ProgramError(
            f"no package of {', '.join(names)} is known here: is the name right? `apt-get update` fetches new ones ({error})"
        ) from error
    # Real packages stand at the line's beginning; virtual ones in angle brackets are left to those that provide them.
    closure = sorted({line.strip() for line in listing.splitlines() if re.match(r"[a-z0-9]", line)} | set(names))
    try:
        text = (await check(["apt-get", "download", "--print-uris", *closure])).decode()
    except ProgramError as error:
        raise ProgramError(f"{error} (does `apt-get update` help?)") from error
    packages = []
    for line in text.splitlines():
        found = re.match(r"'[^']+' (\S+\.deb) (\d+) (\S+)", line)
        if found:
            packages.append(Package(found[1], int(found[2]), found[3]))
    return sorted(packages, key=lambda package: package.file)


async def fetch(packages: Sequence[Package], folder: Path) -> list[Path]:
    """The packages' files in the cache; apt downloads what isn't there, all at once. Raises ProgramError."""
    private_folder(folder, 0o755)
    paths = {folder / package.file: package for package in packages}
    missing = {path: p for path, p in paths.items() if not (path.exists() and path.stat().st_size == p.size)}
    if missing:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            # apt downloads into the working folder, as a plain user where it can.
            script = 'cd "$1" && shift && exec apt-get download -q "$@"'
            wanted = [_wanted(package) for package in missing.values()]
            await check(["sh", "-c", script, "sh", work, *wanted], timeout=600)
            for path, package in missing.items():
                _keep(Path(work) / package.file, path, package.size)
    return list(paths)


def _wanted(package: Package) -> str:
    """NAME=VERSION, as apt takes it."""
    name, version = package.file.split("_")[:2]
    return f"{name}={version.replace('%3a', ':')}"


def _keep(got: Path, path: Path, size: int) -> None:
    if not got.exists() or got.stat().st_size != size:
        raise ProgramError(f"apt-get download: got no {path.name} of {size} bytes")
    got.rename(path)
