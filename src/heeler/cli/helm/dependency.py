"""`helm dependency`: what a chart depends on, listed, updated and built."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from heeler.base.clock import SystemClock
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.table import table
from heeler.packages.charts.chart import Chart, ChartError, Dependency
from heeler.packages.charts.fetch import Fetcher
from heeler.packages.charts.load import load
from heeler.packages.charts.versions import check_range, in_range


def _given(call: Call) -> str:
    """The chart's folder as it is named: cleaned, `.` without an argument."""
    return os.path.normpath(call.arguments[0]) if call.arguments else "."


# ---- list ------------------------------------------------------------------------------------------------------------


def list_dependencies(call: Call) -> int:
    shown = _given(call)
    path = call.path(shown)
    if not path.exists():
        raise HelmError(f"stat {shown}: no such file or directory")
    try:
        chart = load(Path(os.path.abspath(path)), call.log)
    except (ChartError, OSError) as error:
        raise HelmError(str(error).replace(os.path.abspath(path), shown)) from None
    entries = [entry for entry in chart.metadata.dependencies if entry is not None]
    if not entries and not _has_list(chart):
        call.write(f"WARNING: no dependencies at {os.path.normpath(f'{shown}/charts')}\n")
        return 0
    rows = [("NAME", "VERSION", "REPOSITORY", "STATUS")]
    rows += [(entry.name, entry.version, entry.repository, _status(path, entry, chart)) for entry in entries]
    call.write(table(rows, call.flags.number("max-col-width")) + "\n\n")
    _unlisted(call, shown, {entry.name for entry in entries})
    return 0


def _has_list(chart: Chart) -> bool:
    """Whether there is a list of dependencies, if only an empty one."""
    from heeler.packages.yaml import read

    for file in chart.raw:
        if file.name in ("Chart.yaml", "requirements.yaml"):
            value = read.parse(file.data)
            if isinstance(value, dict) and isinstance(value.get("dependencies"), list):
                return True
    return False


def _status(path: Path, entry: Dependency, parent: Chart) -> str:
    archives = sorted((path / "charts").glob(f"{entry.name}-*.tgz")) if (path / "charts").is_dir() else []
    if len(archives) > 1:
        known = [sub.name for sub in parent.dependencies]
        archives = [one for one in archives if _is_version_of(one.name, entry.name)] if known else archives
        if len(archives) > 1:
            return "too many matches"
    if archives:
        return _compared(archives[0], entry, "ok")
    folder = path / "charts" / entry.name
    if not folder.exists():
        for sub in parent.dependencies:  # as in an archive, which has no folders to look into
            if sub.name == entry.name and in_range(entry.version, sub.metadata.version):
                return "unpacked"
        return "missing"
    return _compared(folder, entry, "unpacked") if folder.is_dir() else "mispackaged"


def _is_version_of(file: str, name: str) -> bool:
    from heeler.packages.charts.versions import is_version

    return is_version(file.removeprefix(f"{name}-").removesuffix(".tgz"))


def _compared(path: Path, entry: Dependency, good: str) -> str:
    try:
        chart = load(path)
    except ChartError:
        return "corrupt"
    if chart.name != entry.name:
        return "misnamed"
    if chart.metadata.version != entry.version:
        try:
            check_range(entry.version)
        except ValueError:
            return "invalid version"
        if not in_range(entry.version, chart.metadata.version):
            return "wrong version"
    return good


def _unlisted(call: Call, shown: str, known: set[str]) -> None:
    """Tell of charts in `charts/` that Chart.yaml doesn't name."""
    folder = call.path(shown) / "charts"
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not file.is_dir() and file.suffix != ".tgz":
            continue
        name = os.path.normpath(f"{shown}/charts/{file.name}")
        try:
            chart = load(file)
        except ChartError:
            continue
        if chart.name not in known:
            call.write(f'WARNING: "{name}" is not in Chart.yaml.\n')


# ---- update and build ------------------------------------------------------------------------------------------------


class _NoRemote:
    """Knows the repositories that were added, but fetches nothing from them."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def knows(self, repository: str) -> bool:
        from heeler.cli.helm.repositories import known

        if repository.startswith("oci://"):
            return True
        name = repository.removeprefix("@").removeprefix("alias:")
        return any(name == entry.name or repository.rstrip("/") == entry.url.rstrip("/") for entry in known(self.call))

    def refresh(self, repositories: list[str]) -> None:
        raise ChartError(f"heeler fetches no charts from repositories yet: {', '.join(repositories)}")

    def version(self, entry: Dependency) -> str | None:
        raise ChartError(f"heeler fetches no charts from repositories yet: {entry.repository}")

    def fetch(self, entry: Dependency, folder: Path) -> None:
        raise ChartError(f"heeler fetches no charts from repositories yet: {entry.repository}")


def _fetcher(call: Call, shown: str) -> Fetcher:
    return Fetcher(
        call.path(shown),
        shown,
        lambda line: call.write(line + "\n"),
        _NoRemote(call),
        datetime.fromtimestamp(SystemClock().time(), UTC),
        refresh=not call.flags.on("skip-refresh"),
        log=call.log,
    )


def update_chart(call: Call, shown: str) -> None:
    """`dependency update` for another command. Raises `HelmError`."""
    try:
        _fetcher(call, shown).update()
    except (ChartError, OSError) as error:
        raise HelmError(str(error)) from None


def update(call: Call) -> int:
    update_chart(call, _given(call))
    return 0


def build(call: Call) -> int:
    try:
        _fetcher(call, _given(call)).build()
    except (ChartError, OSError) as error:
        raise HelmError(str(error)) from None
    return 0
