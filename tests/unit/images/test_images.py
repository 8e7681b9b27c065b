"""Images made of bytes, folders and packages."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from heeler.images import build, layout, load, pause


@pytest.mark.parametrize("architecture", pause.ARCHITECTURES)
def test_the_pause_program_is_a_small_static_elf(architecture: str) -> None:
    made = pause.program(architecture)
    assert made[:4] == b"\x7fELF" and len(made) < 512
    assert int.from_bytes(made[18:20], "little") == pause.MACHINE[architecture]
    assert pause.program(architecture) == made


def test_other_architectures_are_refused() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        pause.program("riscv64")


@pytest.mark.skipif(platform.machine() != "x86_64" or os.name != "posix", reason="runs amd64 code")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_pause_program_waits_and_ends_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause.program("amd64"))
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(number)
        assert process.wait(5) == 0


def test_an_archive_is_the_same_for_the_same_content(tmp_path: Path) -> None:
    images = [
        layout.Image("amd64", [layout.Entry("bin/x", b"#!", 0o755), layout.Entry("l", link="bin/x")], {"Cmd": ["x"]})
    ]
    first, second = tmp_path / "a.tar", tmp_path / "b.tar"
    digest = layout.write(first, "app:1", images)
    assert layout.write(second, "app:1", images) == digest
    assert first.read_bytes() == second.read_bytes()


def test_an_archive_for_two_architectures_has_an_index(tmp_path: Path) -> None:
    path = load.write_pause(tmp_path, "heeler.local/pause:1")
    with tarfile.open(path) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        [top] = index["manifests"]
        inner = json.load(tar.extractfile(f"blobs/sha256/{top['digest'][7:]}"))  # type: ignore[arg-type]
    assert [m["platform"]["architecture"] for m in inner["manifests"]] == ["amd64", "arm64"]
    assert load.names_in(path) == ["heeler.local/pause:1"]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/app:1", "docker.io/library/app:1"),
        ("localhost/app", "localhost/app:latest"),
        ("reg.example:5000/app", "reg.example:5000/app:latest"),
        ("reg.example/app@sha256:1", "reg.example/app@sha256:1"),
    ],
)
def test_names_are_made_full(name: str, full: str) -> None:
    assert layout.full_name(name) == full


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "x.tar"
    bad.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not an image archive"):
        load.names_in(bad)
    with tarfile.open(bad, "w"):
        pass
    with pytest.raises(ValueError, match=r"neither index\.json nor manifest\.json"):
        load.names_in(bad)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 1", "name must be NAME:TAG"),
        ('name = "x:1"\nnonsense = 1', "unknown key 'nonsense'"),
        ('name = "x:1"\npackages = ["--evil"]', "is no Debian package's name"),
        ('name = "x:1"\nfiles = "none"', "is not a folder"),
        ("name = ", "image.toml"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "image.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        build.read_recipe(tmp_path)


def test_an_image_of_files_alone_is_built_once(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    (folder / "files/srv").mkdir(parents=True)
    (folder / "files/srv/page").write_text("hello")
    (folder / "image.toml").write_text(
        'name = "page:1"\nfiles = "files"\nlinks = { "srv/p" = "page" }\nfolders = { "tmp" = "1777" }\n'
    )
    recipe = build.read_recipe(folder)
    assert asyncio.run(build.build(recipe, tmp_path / "cache")).fresh
    again = asyncio.run(build.build(recipe, tmp_path / "cache"))
    assert not again.fresh
    assert load.names_in(again.archive) == ["docker.io/library/page:1"]
    (folder / "files/srv/page").write_text("changed")
    assert asyncio.run(build.build(build.read_recipe(folder), tmp_path / "cache")).fresh


def test_the_guestbooks_recipe_is_right() -> None:
    recipe = build.read_recipe(Path(__file__).parents[3] / "examples/guestbook/image")
    assert recipe.name == "guestbook:1" and recipe.packages == ("busybox-static",)
