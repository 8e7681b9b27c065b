"""Loading charts from folders and archives.

`load` reads files (`read_folder`, `read_archive`: within bounds, nothing outside of the chart) and builds the chart out of them
(`build`), with those in `charts/` below it. Faults are `ChartError`s in Helm's words.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from heeler.packages.charts import ignore
from heeler.packages.charts.chart import Chart, ChartError, File, Lock, Metadata
from heeler.packages.charts.decode import CHART_BASE, LOCK, METADATA, decode
from heeler.packages.charts.metadata import validate
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

MAX_CHART_BYTES = 100 * 1024 * 1024
"""What a chart's archive may unpack to."""

MAX_DEPTH = 200
"""How deep charts may lie in charts; Helm has no bound but its stack."""

#: Told what is worth a line in the log: level, message, attributes.
Log = Callable[..., None]

_BOM = b"\xef\xbb\xbf"


#: Links in links that are followed, as the kernel does.
MAX_LINKS = 40


def silent(level: str, message: str, /, **attributes: object) -> None:
    """A log for whoever needs none."""


def load(path: Path, log: Log = silent) -> Chart:
    """The chart at `path`, a folder or an archive."""
    if path.is_dir():
        return build(read_folder(path, log), log)
    return build(read_archive_file(path), log)


def load_for_release(path: Path, log: Log = silent) -> Chart:
    """As `load`, in the words of the commands that render: what isn't a chart at all is said without detail."""
    if path.is_dir():
        if not (path / "Chart.yaml").is_file():
            lacking = path / "Chart.yaml"
            raise ChartError(f"unable to detect chart at {lacking}: open {lacking}: no such file or directory")
        files = read_folder(path, log, first=lambda: _check_version((path / "Chart.yaml").read_bytes()))
        return build(files, log)
    data = _archive_bytes(path)
    try:
        files = read_archive(data)
    except ChartError:
        raise ChartError("unable to load chart archive") from None
    for file in files:
        if file.name == "Chart.yaml":
            _check_version(file.data)
            return build(files, log)
    raise ChartError("unable to detect chart version, no Chart.yaml found")


def _check_version(data: bytes) -> None:
    """Chart.yaml's apiVersion must be one that is known."""
    value = _chart_yaml(lambda: read.parse(data.removeprefix(_BOM)))
    if isinstance(value, dict):
        version = value.get("apiVersion")
        if version in (None, "", "v1", "v2", "v3"):
            return
        if isinstance(version, list | dict):
            _chart_yaml(lambda: decode(value, CHART_BASE))
        raise ChartError("unsupported chart version")
    if value is not None:
        _chart_yaml(lambda: decode(value, CHART_BASE))


def _chart_yaml(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except GoError as error:
        raise ChartError(f"cannot load Chart.yaml: {error}") from None


# ---- folders ---------------------------------------------------------------------------------------------------------


def read_folder(folder: Path, log: Log = silent, first: Callable[[], None] | None = None) -> list[File]:
    """All files of a chart's folder that `.helmignore` doesn't hide, in order of their paths. Links are followed.

    `first` runs before anything is read (what it refuses counts more than what the files say).
    """
    if first is not None:
        first()
    top = Path(os.path.abspath(folder))
    rules: list[ignore.Rule] = []
    if (top / ".helmignore").is_file():
        rules = ignore.parse((top / ".helmignore").read_bytes().removeprefix(_BOM).decode("utf-8", "surrogateescape"))
    rules.append(ignore.ALWAYS)
    files: list[File] = []

    def walk(real: Path, shown: str, depth: int) -> None:
        try:
            names = sorted(os.listdir(real))
        except OSError as error:
            raise ChartError(f"open {real}: {(error.strerror or '').lower()}") from None
        for name in names:
            visit(real / name, f"{shown}/{name}" if shown else name, depth)

    def visit(real: Path, shown: str, depth: int) -> None:
        mode = os.lstat(real).st_mode
        if stat.S_ISLNK(mode):
            resolved = _resolved(real, top / shown)
            log(
                "INFO",
                "found symbolic link in path. Contents of linked file included and used",
                path=str(top / shown),
                resolved=resolved,
            )
            if depth > MAX_LINKS:
                raise ChartError(f"error evaluating symlink {top / shown}: EvalSymlinks: too many links")
            real, depth = Path(resolved), depth + 1
            mode = os.lstat(real).st_mode
        if stat.S_ISDIR(mode):
            if not ignore.hidden(rules, shown, True):
                walk(real, shown, depth)
            return
        if ignore.hidden(rules, shown, False):
            return
        if not stat.S_ISREG(mode):
            raise ChartError(f"cannot load irregular file {top / shown} as it has file mode type bits set")
        try:
            files.append(File(shown, real.read_bytes().removeprefix(_BOM), os.lstat(real).st_mtime))
        except OSError as error:
            raise ChartError(f"error reading {shown}: open {top / shown}: {(error.strerror or '').lower()}") from None

    walk(top, "", 0)
    return files


def _resolved(link: Path, shown: Path) -> str:
    try:
        return str(link.resolve(strict=True))
    except (OSError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError):
            target = Path(os.path.normpath(link.parent / os.readlink(link)))
            raise ChartError(f"error evaluating symlink {shown}: lstat {target}: no such file or directory") from None
        raise ChartError(f"error evaluating symlink {shown}: EvalSymlinks: too many links") from None


# ---- archives --------------------------------------------------------------------------------------------------------

_SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x89PNG\x0d\x0a\x1a\x0a", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
    (b"%!PS-Adobe-", "application/postscript"),
    (_BOM, "text/plain; charset=utf-8"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
)
_TAGS: tuple[bytes, ...] = (
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
)
_TAGS += (b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def content_type(data: bytes) -> str:
    """What the first 512 bytes of a file look like (https://mimesniff.spec.whatwg.org), as far as messages say it."""
    head = data[:512].ljust(512, b"\0")
    for sign, name in _SIGNS:
        if head.startswith(sign):
            return name
    text = head.lstrip(b"\t\n\x0c\r ")
    for tag in _TAGS:
        if text[: len(tag)].upper() == tag and text[len(tag) : len(tag) + 1] in (b" ", b">"):
            return "text/html; charset=utf-8"
    if text.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    return "application/octet-stream" if _BINARY.search(head) else "text/plain; charset=utf-8"


def read_archive_file(path: Path) -> list[File]:
    return read_archive(_archive_bytes(path))


def _archive_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ChartError(f"open {path}: {(error.strerror or '').lower()}") from None
    if not data.startswith(b"\x1f\x8b\x08"):
        if path.name.endswith((".yml", ".yaml")):
            raise ChartError(f"file '{path}' seems to be a YAML file, but expected a gzipped archive")
        raise ChartError(f"file '{path}' does not appear to be a gzipped archive; got '{content_type(data)}'")
    try:
        unpack(data, limit=1)
    except ChartError as error:
        if str(error) == "gzip: invalid header":
            raise ChartError(
                f"file '{path}' does not appear to be a valid chart file (details: gzip: invalid header)"
            ) from None
    return data


def unpack(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes and one of what gzip members hold."""
    import zlib

    if not data:
        raise ChartError("EOF")
    if not data.startswith(b"\x1f\x8b"):
        raise ChartError("unexpected EOF" if len(data) < 10 else "gzip: invalid header")
    if data[2:3] != b"\x08" or (len(data) > 3 and data[3] & 0xE0):
        raise ChartError("unexpected EOF" if len(data) < 10 else "gzip: invalid header")
    parts, size = [], 0
    while data:
        member = zlib.decompressobj(31)
        try:
            part = member.decompress(data, limit + 1 - size)
        except zlib.error as error:
            said = str(error)
            if "header" in said:
                raise ChartError("gzip: invalid header") from None
            if "data check" in said or "length check" in said:
                raise ChartError("gzip: invalid checksum") from None
            raise ChartError("flate: corrupt input before offset 0") from None
        parts.append(part)
        size += len(part)
        if size > limit:
            break
        if not member.eof:
            raise ChartError("unexpected EOF")
        data = member.unused_data
    return b"".join(parts)


_DRIVE = re.compile(r"[a-zA-Z]:/")


def read_archive(data: bytes) -> list[File]:
    """The files of a chart's `.tgz`, without the folder at its top."""
    import io
    import tarfile

    too_large = ChartError(f"decompressed chart is larger than the maximum size {MAX_CHART_BYTES}")
    plain = unpack(data, 2 * MAX_CHART_BYTES)
    files: list[File] = []
    left = MAX_CHART_BYTES
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                name = _inside(member.name, member.name)
                if member.size > left:
                    raise too_large
                reader = archive.extractfile(member) if member.isreg() else None
                content = reader.read() if reader is not None else b""
                left -= len(content)
                files.append(File(name, content.removeprefix(_BOM), member.mtime))
    except tarfile.ReadError as error:
        if plain.strip(b"\0"):
            end = "unexpected EOF" if "unexpected end" in str(error) else "archive/tar: invalid tar header"
            raise ChartError(end) from None
    if not files:
        raise ChartError("no files in chart archive")
    return files


def _inside(name: str, whole: str) -> str:
    """A member's path below the archive's top folder; refused where it isn't below it."""
    parts = name.split("\\" if "\\" in name else "/")
    inner = "/".join(parts[1:])
    if inner.startswith("/"):
        raise ChartError("chart illegally contains absolute paths")
    inner = os.path.normpath(inner) if inner else "."
    if inner == ".":
        raise ChartError(f'chart illegally contains content outside the base directory: "{whole}"')
    if inner.startswith(".."):
        raise ChartError("chart illegally references parent directory")
    if _DRIVE.match(inner):
        raise ChartError("chart contains illegally named files")
    if parts[0] == "Chart.yaml":
        raise ChartError("chart yaml not in base directory")
    return inner


# ---- out of files ----------------------------------------------------------------------------------------------------


def build(files: Iterable[File], log: Log = silent, depth: int = 0) -> Chart:
    """The chart that `files` make up."""
    if depth > MAX_DEPTH:
        raise ChartError(f"charts are nested more than {MAX_DEPTH} deep")
    files = list(files)
    metadata: Metadata | None = None
    for file in files:
        if file.name == "Chart.yaml":
            metadata = _metadata(file.data)
            metadata.api_version = metadata.api_version or "v1"
    chart = Chart(metadata or Metadata(), raw=files)
    below: dict[str, list[File]] = {}
    for file in files:
        _place(chart, file, metadata is not None, below, log)
    if metadata is None:
        raise ChartError("Chart.yaml file is missing")
    validate(chart)
    charts = []
    for name, inner in below.items():
        if not name.startswith(("_", ".")):
            charts.append(_subchart(chart, name, inner, log, depth))
    chart.adopt(charts)
    return chart


def _metadata(data: bytes) -> Metadata:
    made: Metadata = _chart_yaml(lambda: decode(read.parse(data), METADATA))
    return made


def _place(chart: Chart, file: File, known: bool, below: dict[str, list[File]], log: Log) -> None:
    """Put a file where it belongs in the chart."""
    name = file.name
    old = chart.metadata.api_version == "v1"
    if name == "Chart.yaml":
        return
    if name == "Chart.lock":
        chart.lock = _lock(file)
    elif name == "values.yaml":
        chart.values = _values(file.data)
    elif name == "values.schema.json":
        chart.schema = file.data
    elif name in ("requirements.yaml", "requirements.lock"):
        if name == "requirements.yaml":
            if known and not old:
                log(
                    "INFO",
                    'Warning: Dependencies are handled in Chart.yaml since apiVersion "v2". '
                    "We recommend migrating dependencies to Chart.yaml.",
                )
            _requirements(chart, file)
        else:
            chart.lock = _lock(file)
        if old:
            chart.files.append(file)
    elif name.startswith("templates/"):
        chart.templates.append(file)
    elif name.startswith("charts/"):
        inner = name.removeprefix("charts/")
        if name.endswith(".prov"):
            chart.files.append(file)
        if name.endswith(".prov") and "/" not in inner:
            return
        below.setdefault(inner.partition("/")[0], []).append(File(inner, file.data, file.modified))
    else:
        chart.files.append(file)


def _values(data: bytes) -> dict[str, Any]:
    from heeler.packages.charts.values import read_values

    try:
        return read_values(data)
    except ChartError as error:
        raise ChartError(f"cannot load values.yaml: {error}") from None


def _lock(file: File) -> Lock:
    try:
        lock: Lock = decode(read.parse(file.data), LOCK)
    except GoError as error:
        raise ChartError(f"cannot load {file.name}: {error}") from None
    return lock


def _requirements(chart: Chart, file: File) -> None:
    try:
        value = read.parse(file.data)
        decode(value, METADATA)
        read_again: Metadata = decode(value, METADATA)
    except GoError as error:
        raise ChartError(f"cannot load requirements.yaml: {error}") from None
    if isinstance(value, dict) and "dependencies" in {str(key).lower() for key in value}:
        chart.metadata.dependencies = read_again.dependencies


def _subchart(parent: Chart, name: str, files: list[File], log: Log, depth: int) -> Chart:
    try:
        if name.endswith(".tgz"):
            if files[0].name != name:
                raise ChartError(f"expected {name}, got {files[0].name}")
            return build(read_archive(files[0].data), log, depth + 1)
        return build(
            [File(f.name.partition("/")[2], f.data, f.modified) for f in files if "/" in f.name], log, depth + 1
        )
    except ChartError as error:
        what = "tar" if str(error).startswith("expected ") and name.endswith(".tgz") else name
        raise ChartError(f"error unpacking subchart {what} in {parent.name}: {error}") from None
