"""`helm pull`: a chart's archive, with its provenance or unpacked if that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from heeler.base.files import write_atomic
from heeler.cli.helm.fetching import downloads, fetch, wish
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.charts.chart import ChartError
from heeler.packages.repositories.fetch import Downloads, Fetched


def pull(call: Call) -> int:
    source = downloads(call, call.write)
    for name in call.arguments:
        _pull(call, source, name)
    return 0


def _pull(call: Call, source: Downloads, name: str) -> None:
    """Fetch, check, and only then write."""
    from heeler.cli.helm.verify import shown

    flags = call.flags
    fetched = fetch(call, source, name, wish(call))
    if fetched.lacking:
        call.write(f"WARNING: Verification not found for {name}: {fetched.lacking}\n")
    if fetched.verified is not None:
        call.write(shown(fetched.verified))
    given = flags.text("destination")
    if flags.on("untar"):
        _unpack(call, fetched, name, _below(given, flags.text("untardir")))
        return
    if not fetched.name:
        raise HelmError(f"{fetched.url} names no archive")
    _write(call, given, fetched.name, fetched.archive)
    if fetched.provenance:
        _write(call, given, f"{fetched.name}.prov", fetched.provenance)


def _below(folder: str, inner: str) -> str:
    return inner if inner.startswith("/") else os.path.normpath(f"{folder or '.'}/{inner}")


def _write(call: Call, folder: str, name: str, data: bytes) -> None:
    shown = os.path.normpath(f"{folder or '.'}/{name}")
    try:
        write_atomic(call.path(shown), data, 0o644)
    except OSError as error:
        raise HelmError(f"open {shown}: {(error.strerror or '').lower()}") from None


def _unpack(call: Call, fetched: Fetched, name: str, folder: str) -> None:
    from heeler.packages.charts.unpack import unpack

    last = name.rstrip("/").rsplit("/", 1)[-1]
    there = last if folder == "." else f"{folder}/{last}"
    if call.path(there).exists():
        raise HelmError(f"failed to untar: a file or directory with the name {there} already exists")
    try:
        unpack(fetched.archive, Path(call.path(folder)))
    except ChartError as error:
        raise HelmError(str(error)) from None
    except OSError as error:
        raise HelmError(f"{error.filename or folder}: {(error.strerror or '').lower()}") from None
