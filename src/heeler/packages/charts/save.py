"""Packing a chart into an archive. The same chart gives the same bytes: members have a fixed order, owner and mode, and the
moments of their files (or the one that is given)."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from heeler.packages.charts.chart import Chart, ChartError, File, Lock
from heeler.packages.charts.metadata import as_map, validate

#: What stands in the head of Helm's archives, by which they are known: a comment and a field of its own.
_HEAD = b"\x1f\x8b\x08\x14\x00\x00\x00\x00\x00\xff\x2c\x00rr(\x00aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=Helm\x00"


def save(chart: Chart, folder: Path, moment: float | None = None) -> Path:
    """Write `NAME-VERSION.tgz` into `folder`; `moment` is that of all members. Raises `ChartError`."""
    validate(chart)
    data = archive(chart, moment)
    target = folder / f"{chart.name}-{chart.metadata.version}.tgz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ChartError(f"mkdir {folder}: {(error.strerror or '').lower()}") from None
    fresh = not target.exists()
    try:
        target.write_bytes(data)
    except OSError as error:
        if fresh:  # half of an archive is none
            target.unlink(missing_ok=True)
        raise ChartError(f"open {target}: {(error.strerror or '').lower()}") from None
    return target


def archive(chart: Chart, moment: float | None = None) -> bytes:
    """The chart as a gzipped tar, with Helm's mark in its head."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as out:
        for file in members(chart, ""):
            info = tarfile.TarInfo(file.name)
            info.size = len(file.data)
            info.mode = 0o644
            info.mtime = int(file.modified if moment is None else moment)
            out.addfile(info, io.BytesIO(file.data))
    data = plain.getvalue()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(data) + packer.flush()
    return _HEAD + body + zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")


def members(chart: Chart, prefix: str) -> Iterator[File]:
    """The files of an archive in order, with those of the charts below."""
    from heeler.packages.yaml.write import dump

    base = f"{prefix}{chart.name}"
    moments = {file.name: file.modified for file in chart.raw}
    metadata = as_map(chart.metadata)
    if chart.metadata.api_version == "v1":
        metadata.pop("dependencies", None)  # they stand in requirements.yaml
    yield File(f"{base}/Chart.yaml", dump(metadata).encode(), moments.get("Chart.yaml", 0))
    if chart.metadata.api_version == "v2" and chart.lock is not None:
        yield File(f"{base}/Chart.lock", dump(lock_map(chart.lock)).encode(), moments.get("Chart.lock", 0))
    for file in chart.raw:
        if file.name == "values.yaml":
            yield File(f"{base}/values.yaml", file.data, file.modified)
    if chart.schema is not None:
        _check_json(chart.schema)
        yield File(f"{base}/values.schema.json", chart.schema, moments.get("values.schema.json", 0))
    for file in (*chart.templates, *chart.files):
        yield File(f"{base}/{file.name}", file.data, file.modified)
    for sub in chart.dependencies:
        yield from members(sub, f"{base}/charts/")


def lock_map(lock: Lock) -> dict[str, object]:
    """Chart.lock as a map."""
    entries = [
        {"name": entry.name, "repository": entry.repository} | ({"version": entry.version} if entry.version else {})
        for entry in lock.dependencies
        if entry is not None
    ]
    return {"dependencies": entries, "digest": lock.digest, "generated": lock.generated or "0001-01-01T00:00:00Z"}


def _check_json(data: bytes) -> None:
    import json

    try:
        json.loads(data)
    except (ValueError, RecursionError):
        raise ChartError("invalid JSON in values.schema.json") from None
