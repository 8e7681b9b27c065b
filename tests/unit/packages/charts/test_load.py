"""Loading charts from folders and archives: what belongs where, bounds, and faults in Helm's words."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from heeler.packages.charts import load as loading
from heeler.packages.charts.chart import Chart, ChartError, File
from heeler.packages.charts.ignore import glob
from heeler.packages.charts.load import build, content_type, load, load_for_release, read_archive
from heeler.packages.charts.save import archive

CHART = b"apiVersion: v2\nname: app\nversion: 1.0.0\n"


def packed(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as target:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return out.getvalue()


def folder(top: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    return top


def fault(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(ChartError) as error:
        call(*arguments)
    return str(error.value)


def test_files_go_where_they_belong(tmp_path: Path) -> None:
    files = {
        "Chart.yaml": CHART,
        "values.yaml": b"a: 1\n",
        "templates/t.yaml": b"t",
        "templates/.hidden": b"h",
        "crds/c.yaml": b"c",
        "x.bak": b"gone",
        ".helmignore": b"*.bak\n",
        "charts/sub/Chart.yaml": CHART.replace(b"app", b"sub"),
        "charts/_skipped/x": b"",
    }
    chart = load(folder(tmp_path, files))
    assert chart.values == {"a": 1.0}
    assert [file.name for file in chart.templates] == ["templates/t.yaml"]
    assert sorted(file.name for file in chart.files) == [".helmignore", "crds/c.yaml"]
    assert [sub.full_path for sub in chart.dependencies] == ["app/charts/sub"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((("app/../../x", b""),), "chart illegally references parent directory"),
        ((("Chart.yaml", CHART),), 'chart illegally contains content outside the base directory: "Chart.yaml"'),
        ((("app/c:/x", b""),), "chart contains illegally named files"),
        ((), "no files in chart archive"),
    ],
)
def test_archives_stay_inside(members: tuple[tuple[str, bytes], ...], message: str) -> None:
    assert fault(read_archive, packed(*members)) == message


def test_an_archive_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_CHART_BYTES", 1000)
    assert fault(read_archive, packed(("app/x", b"0" * 1001))) == (
        "decompressed chart is larger than the maximum size 1000"
    )


def test_links_in_archives_are_empty_files() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as target:
        info = tarfile.TarInfo("app/link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        target.addfile(info)
    assert read_archive(out.getvalue()) == [File("link", b"")]


def test_links_in_folders_are_followed_and_told(tmp_path: Path) -> None:
    top = folder(tmp_path / "app", {"Chart.yaml": CHART, "templates/t.yaml": b"a: 1"})
    (top / "templates/u.yaml").symlink_to("t.yaml")
    told: list[object] = []
    chart = load(top, lambda level, message, **more: told.append(more))
    assert [file.data for file in chart.templates] == [b"a: 1", b"a: 1"]
    assert told == [{"path": f"{top}/templates/u.yaml", "resolved": f"{top}/templates/t.yaml"}]
    (top / "templates/loop").symlink_to("..")
    assert "too many links" in fault(load, top)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    top = folder(tmp_path / "app", {"Chart.yaml": CHART})
    os.mkfifo(top / "pipe")
    assert fault(load, top) == f"cannot load irregular file {top}/pipe as it has file mode type bits set"


def test_a_stray_file_in_charts_is_refused() -> None:
    said = fault(build, [File("Chart.yaml", CHART), File("charts/README.md", b"x")])
    assert said == "error unpacking subchart README.md in app: Chart.yaml file is missing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "validation: chart.metadata.name is required"),
        (b"name: a\n", "validation: chart.metadata.version is required"),
        (b"name: a\nversion: x\n", 'validation: chart.metadata.version "x" is invalid'),
        (b"name: a/b\nversion: 1\n", 'validation: chart.metadata.name "a/b" is invalid'),
        (b"name: a\nversion: 1\ntype: x\n", "validation: chart.metadata.type must be application or library"),
        (
            b"name: a\nversion: 1\nkeywords: 3\n",
            "cannot load Chart.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number into "
            "Go struct field Metadata.keywords of type []string",
        ),
        (
            b"name: a\nversion: 1\nmaintainers: [{name: [1]}]\n",
            "cannot load Chart.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into "
            "Go struct field Maintainer.maintainers.name of type string",
        ),
    ],
)
def test_faults_of_chart_yaml(text: bytes, message: str) -> None:
    assert fault(build, [File("Chart.yaml", text)]) == message


def test_numbers_in_chart_yaml_are_text() -> None:
    chart = build([File("Chart.yaml", CHART + b"appVersion: 1.10\ndescription: 1000000\n")])
    assert (chart.metadata.app_version, chart.metadata.description) == ("1.1", "1000000")


def test_what_is_no_chart_at_all(tmp_path: Path) -> None:
    assert fault(load_for_release, tmp_path) == (
        f"unable to detect chart at {tmp_path}/Chart.yaml: open {tmp_path}/Chart.yaml: no such file or directory"
    )
    file = tmp_path / "a.yaml"
    file.write_text("hi")
    assert fault(load, file) == f"file '{file}' seems to be a YAML file, but expected a gzipped archive"
    assert content_type(b"hello") == "application/octet-stream"
    assert content_type(b"hello" * 200) == "text/plain; charset=utf-8"


def test_a_packed_chart_is_the_same_bytes_and_loads_again() -> None:
    files = [File("Chart.yaml", CHART, 5.0), File("values.yaml", b"a: 1 # kept\n", 6.0), File("templates/t", b"\xff")]
    data = archive(build(files))
    assert data == archive(build(files))
    again: Chart = build(read_archive(data))
    assert [(file.name, file.data) for file in again.raw] == [
        ("Chart.yaml", CHART),
        ("values.yaml", b"a: 1 # kept\n"),
        ("templates/t", b"\xff"),
    ]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.y?ml", "a.yaml", True),
        ("*", "a/b", False),
        ("[a-c]x", "bx", True),
        ("[^a]x", "ax", False),
        (r"\*", "*", True),
        ("[z-a]", "m", False),
    ],
)
def test_globs(pattern: str, name: str, matches: bool) -> None:
    assert bool(glob(pattern).fullmatch(name)) is matches


def test_many_stars_take_no_time() -> None:
    """Python's own expressions would try every way to part a name among the stars."""
    from heeler.packages.charts.ignore import glob

    many = glob("*a" * 40 + "b")
    assert not many.fullmatch("a" * 300)
    assert many.fullmatch("a" * 300 + "b")
    assert (
        glob("*.y*ml").fullmatch("a.b.yaml") and glob("a*b*").fullmatch("axxbxb") and not glob("a*b").fullmatch("a/b")
    )
    assert glob("*/x*y").fullmatch("d/xxy") and not glob("*/x*y").fullmatch("d/e/xy")
