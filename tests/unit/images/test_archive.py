"""Archives as people have them: every form becomes the same image, and what is wrong with one is said."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from heeler.base.processes import ProgramError
from heeler.images import engines, layout
from heeler.images.archive import Archive, plain, write_layout


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as made:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return path


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker(path: Path, architecture: str = "", **changes: Any) -> Path:
    """What `docker save` wrote before it knew OCI layouts."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as made:
        made.addfile(tarfile.TarInfo("f"))
    config = {
        "os": "linux",
        "architecture": architecture or layout.machine_architecture(),
        "rootfs": {"type": "layers", "diff_ids": [sha(layer.getvalue())]},
    }
    entry = {"Config": "c.json", "RepoTags": ["app:1", "app:2"], "Layers": ["x/layer.tar"], **changes}
    members = {"c.json": json.dumps(config).encode(), "x/layer.tar": layer.getvalue()}
    return tar(path, {**members, "manifest.json": json.dumps([entry]).encode()})


def oci(path: Path) -> Path:
    entries = [layout.Entry("a", b"x" * 100_000)]
    layout.write(path, "app:1", [layout.Image(layout.machine_architecture(), entries)])
    return path


def test_old_archives_become_layouts_that_are_read_the_same(tmp_path: Path) -> None:
    with Archive(docker(tmp_path / "d.tar")) as old:
        [image] = old.images()
        assert image.names == ("docker.io/library/app:1", "docker.io/library/app:2")
        old.check(list(image.blobs.values()))
        with (tmp_path / "o.tar").open("wb") as target:
            write_layout(target, old, [image], list(image.blobs.values()))
    with Archive(tmp_path / "o.tar") as new:
        [again] = new.images()
        assert (again.names, again.descriptor["digest"]) == (image.names, image.descriptor["digest"])
        assert list(again.blobs) != [] and set(again.blobs) == set(image.blobs)
        new.check(list(again.blobs.values()))


@pytest.mark.parametrize("program", ["gzip", "zstd", "stdin"])
def test_packed_archives_and_streams_are_unpacked(tmp_path: Path, program: str) -> None:
    source = oci(tmp_path / "a.tar")
    packed = tmp_path / "a.packed"
    if program == "zstd":
        if shutil.which("zstd") is None:
            pytest.skip("zstd is not here")
        import subprocess

        subprocess.run(["zstd", "-q", str(source), "-o", str(packed)], check=True)
    else:
        packed.write_bytes(gzip.compress(source.read_bytes()))
    work = tmp_path / "work"
    work.mkdir()
    with packed.open("rb") as file, plain(file if program == "stdin" else packed, work) as path:
        assert path.read_bytes() == source.read_bytes()


def test_damage_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    source = oci(tmp_path / "a.tar")
    whole = source.read_bytes()
    for cut in (700, len(whole) // 2):
        source.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"cut off|lacks|neither"), Archive(source) as archive:
            for image in archive.images():
                archive.check(list(image.blobs.values()))
    oci(source)
    with tarfile.open(source) as made:
        members = {m.name: made.extractfile(m).read() for m in made}  # type: ignore[union-attr]
    largest = max((n for n in members if n.startswith("blobs/")), key=lambda n: len(members[n]))
    members[largest] = b"other" + members[largest]
    with Archive(tar(tmp_path / "b.tar", members)) as archive:
        [image] = archive.images()
        with pytest.raises(ValueError, match=f"{largest} is not what its digest"):
            archive.check(list(image.blobs.values()))


def test_what_is_wrong_with_an_archive_is_said(tmp_path: Path) -> None:
    cases: list[tuple[Path, str]] = [
        (docker(tmp_path / "1.tar", "riscv64"), "only for linux/riscv64"),
        (docker(tmp_path / "2.tar", RepoTags=None), "gives its image no name"),
        (docker(tmp_path / "3.tar", Layers=["../../etc/passwd"]), "lacks ../../etc/passwd"),
        (docker(tmp_path / "4.tar", Layers=[]), "tells of 1 layers"),
        (tar(tmp_path / "5.tar", {"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}), "no sha256 digest"),
        (tar(tmp_path / "6.tar", {"index.json": b"{"}), "no JSON"),
        (tar(tmp_path / "7.tar", {"index.json": b"[]"}), "no OCI index"),
    ]
    empty = tmp_path / "8.tar"
    empty.write_bytes(b"")
    for path, words in [*cases, (empty, "it is empty")]:
        with pytest.raises(ValueError, match=words.replace(".", r"\.")), Archive(path) as archive:
            archive.images()


DIGEST = "sha256:" + "0" * 64
DEEP = b"[" * 100_000 + b"]" * 100_000


def index(entry: Any, document: Any = None) -> dict[str, bytes]:
    blob = {} if document is None else {f"blobs/sha256/{DIGEST[7:]}": json.dumps(document).encode()}
    return {"index.json": json.dumps({"manifests": [entry]}).encode(), **blob}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"index.json": DEEP}, r"index\.json is nested too deeply"),
        ({"manifest.json": b'["x"]'}, r"an image in manifest\.json is no JSON object"),
        ({"manifest.json": b'[{"Config": "c", "RepoTags": ["a"]}]', "c": b"[]x"}, "c is no JSON"),
        ({"manifest.json": b'[{"Config": "c", "RepoTags": ["a"]}]', "c": b"[1]"}, "c is no JSON object"),
        ({"manifest.json": b'[{"Config": "c", "RepoTags": ["a"]}]', "c": DEEP}, "c is nested too deeply"),
        (index({"digest": DIGEST, "annotations": ["x"]}), r"annotations in index\.json is no JSON object"),
        (index({"digest": DIGEST, "platform": 5}, {"config": {}, "layers": []}), "platform is no JSON object"),
        (index({"digest": DIGEST}, {"manifests": 5}), "manifests in blobs/.* is no list"),
        (index({"digest": DIGEST}, {"manifests": ["x"]}), "a descriptor is no JSON object"),
        (index({"digest": DIGEST}, {"config": {"digest": DIGEST}, "layers": [5]}), "a descriptor is no JSON object"),
    ],
)
def test_wrong_types_in_an_archive_are_said(tmp_path: Path, members: dict[str, bytes], words: str) -> None:
    with pytest.raises(ValueError, match=words), Archive(tar(tmp_path / "a.tar", members)) as archive:
        archive.images()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Layers": 5}, r"Layers in manifest\.json is no list"),
        ({"RepoTags": 5}, r"RepoTags in manifest\.json is no list"),
        ({"RepoTags": [5]}, "5 in RepoTags is no name"),
    ],
)
def test_wrong_types_in_an_old_archive_are_said(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words), Archive(docker(tmp_path / "a.tar", **changes)) as archive:
        archive.images()


def test_links_that_lead_to_each_other_are_said(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        for name, target in (("manifest.json", "b"), ("b", "manifest.json")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            made.addfile(info)
    with pytest.raises(ValueError, match="leads back to itself"), Archive(tmp_path / "a.tar") as archive:
        archive.images()


def test_an_engine_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_program", lambda name: None)
    with pytest.raises(ProgramError, match="docker is not installed; podman is not installed"):
        engines.save("app:1", tmp_path)
