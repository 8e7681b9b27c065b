"""`heeler image`: images of a local cluster's nodes, without a registry."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from heeler.base.files import private_folder
from heeler.base.processes import ProgramError
from heeler.cli.flags import fail
from heeler.cli.status import output_option
from heeler.local import processes
from heeler.local.layout import DEFAULT_NAME, Layout, LocalError, Spec, existing, hand_over, owner, real_names

if TYPE_CHECKING:
    from heeler.images.load import Loaded
    from heeler.kubelet.options import NodeOptions

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
data_option = click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")


@click.group(epilog="Example: heeler image build examples/guestbook/image --load")
def image() -> None:
    """Load, build, list and remove images of a cluster's nodes."""


def _cluster(name: str, data_dir: Path | None) -> tuple[Layout, Spec]:
    layout, spec = existing(name, data_dir, owner(os.environ), os.environ)
    if not spec.nodes:
        raise LocalError(f'the cluster "{name}" has no real node, so it needs no images')
    return layout, spec


def node_options(layout: Layout, spec: Spec, node: str) -> NodeOptions:
    """What the agent of a node is told."""
    from heeler.local.node import options

    return options(layout, spec, node)


def _as_root(*words: str) -> None:
    """containerd's socket is root's: run this command again as root if we aren't."""
    if os.geteuid() == 0:
        return
    done = subprocess.run(["sudo", "-n", *processes.command(*words)], check=False)
    if done.returncode == 1:
        fail("the nodes' containerd belongs to root: call this with sudo")
    raise SystemExit(done.returncode)


@image.command(epilog="Example: heeler image load app.tar\n\nheeler image load app:1 (of a local Docker or Podman)")
@click.argument("source")
@name_option
@data_option
def load(source: str, name: str, data_dir: Path | None) -> None:
    """Load images into all real nodes: from an archive (`docker save` or an OCI layout as tar, packed or not; - for
    standard input), or an image of a local Docker or Podman by its name. Layers that are there already are not sent."""
    try:
        layout, spec = _cluster(name, data_dir)
        with tempfile.TemporaryDirectory(prefix="heeler-image-") as folder, _archive(source, Path(folder)) as archive:
            _as_root("image", "load", str(archive.absolute()), "--name", name, "--data-dir", str(layout.root))
            shown = "the archive on standard input" if source == "-" else source
            for text in asyncio.run(_load(layout, spec, archive, shown)):
                click.echo(text)
    except (LocalError, ProgramError, ValueError, OSError) as error:
        fail(str(error))


@contextlib.contextmanager
def _archive(source: str, folder: Path) -> Iterator[Path]:
    """The unpacked archive of a file, of standard input or of a local engine's image."""
    from heeler.images import engines
    from heeler.images.archive import plain

    path = Path(source)
    if source == "-":
        with plain(sys.stdin.buffer, folder) as archive:
            yield archive
        return
    if path.is_dir():
        raise LocalError(f"{path} is a folder: heeler image build makes an image of one")
    if not path.exists():
        if path.suffix in (".tar", ".gz", ".tgz", ".zst") or source.startswith((".", "/")):
            raise LocalError(f"{path} isn't there")
        path = engines.save(source, folder)
    with plain(path, folder) as archive:
        yield archive


async def _load(layout: Layout, spec: Spec, archive: Path, shown: str = "") -> list[str]:
    from heeler.images.load import load as load_archive

    names: list[str] = []
    fresh = False
    for node in real_names(spec):
        options = node_options(layout, spec, node)
        root = options.data_dir / "containerd"
        done = await load_archive(options.containerd_socket, archive, root, shown)
        names, fresh = done.names, fresh or done.fresh
    if fresh or not _kept(layout, names).exists():
        await asyncio.to_thread(_keep, layout, archive, names)
    return names


def _kept(layout: Layout, names: list[str]) -> Path:
    """Where an archive of these images is kept."""
    return layout.images / f"{hashlib.sha256(' '.join(names).encode()).hexdigest()[:16]}.tar"


def _keep(layout: Layout, archive: Path, names: list[str]) -> None:
    """Keep what was loaded for nodes that are added later; a newer archive of the same images takes its place."""
    private_folder(layout.images)
    kept = _kept(layout, names)
    fresh = kept.with_suffix(".part")
    shutil.copyfile(archive, fresh)
    fresh.replace(kept)
    hand_over(layout.images, owner(os.environ))


@image.command(epilog="Example: heeler image remove app:1")
@click.argument("names", nargs=-1, required=True)
@name_option
@data_option
def remove(names: tuple[str, ...], name: str, data_dir: Path | None) -> None:
    """Remove images from all real nodes, and from what is kept for nodes that are added later."""
    try:
        layout, spec = _cluster(name, data_dir)
        _as_root("image", "remove", *names, "--name", name, "--data-dir", str(layout.root))
        for wanted in names:
            if not asyncio.run(_remove(layout, spec, wanted)):
                raise LocalError(f"no node has an image {wanted}: heeler image list shows them")
            click.echo(f"removed {wanted}")
    except (LocalError, ProgramError, ValueError, OSError) as error:
        fail(str(error))


async def _remove(layout: Layout, spec: Spec, wanted: str) -> bool:
    from heeler.images.layout import full_name
    from heeler.images.load import names_in
    from heeler.images.load import remove as remove_image

    gone = [await remove_image(node_options(layout, spec, node).containerd_socket, wanted) for node in real_names(spec)]
    for kept in sorted(layout.images.glob("*.tar")) if layout.images.is_dir() else []:
        with contextlib.suppress(ValueError):
            if names_in(kept) == [full_name(wanted)]:
                kept.unlink()
    return any(gone)


@image.command(epilog="Example: heeler image build examples/guestbook/image --load")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--load", "load_it", is_flag=True, help="Load it into the cluster's nodes as well.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=None,
    help="Where packages and archives are kept [~/.cache/heeler/images].",
)
@name_option
@data_option
def build(folder: Path, load_it: bool, cache: Path | None, name: str, data_dir: Path | None) -> None:
    """Build an image of a folder with an image.toml: Debian packages and files, without a registry or Docker."""
    from heeler.images.build import build as build_image
    from heeler.images.build import read_recipe

    who = owner(os.environ)
    place = cache or who.home / ".cache" / "heeler" / "images"
    try:
        built = asyncio.run(build_image(read_recipe(folder), place))
        hand_over(place, who)
        click.echo(f"{built.name}: {built.archive}{'' if built.fresh else ' (unchanged)'}")
        if load_it:
            layout, spec = _cluster(name, data_dir)
            _as_root("image", "load", str(built.archive), "--name", name, "--data-dir", str(layout.root))
            asyncio.run(_load(layout, spec, built.archive))
            click.echo(f'loaded into cluster "{name}"')
    except FileNotFoundError as error:
        fail(f"{error.filename} isn't there: a folder to build has an image.toml")
    except (LocalError, ProgramError, ValueError, OSError) as error:
        fail(str(error))


@image.command("list", epilog="Example: heeler image list -o json")
@name_option
@data_option
@output_option
def list_(name: str, data_dir: Path | None, output: str) -> None:
    """List the images of all real nodes."""
    try:
        layout, spec = _cluster(name, data_dir)
        _as_root("image", "list", "--name", name, "--data-dir", str(layout.root), "--output", output)
        found = asyncio.run(_listed(layout, spec))
    except (LocalError, ProgramError, OSError) as error:
        fail(str(error))
    if output == "json":
        rows = [{"name": i.name, "digest": i.digest, "sizeBytes": i.size, "nodes": on} for i, on in found.items()]
        click.echo(orjson.dumps({"images": rows}, option=orjson.OPT_INDENT_2).decode())
        return
    for entry, on in found.items():
        where = "" if len(on) == spec.nodes else f"  only on {', '.join(on)}"
        click.echo(f"{entry.name:<60} {entry.size / 2**20:8.1f} MiB{where}")


async def _listed(layout: Layout, spec: Spec) -> dict[Loaded, list[str]]:
    """The images with the nodes that have them, by name."""
    from heeler.images.load import listed

    found: dict[Loaded, list[str]] = {}
    for node in real_names(spec):
        for entry in await listed(node_options(layout, spec, node).containerd_socket):
            found.setdefault(entry, []).append(node)
    return dict(sorted(found.items(), key=lambda item: item[0].name))
