"""`dependency update` and `build`: finding a chart's dependencies and putting them into its `charts/`.

What lies in folders (`file://…`, or no repository: in `charts/` itself) is handled here; `Remote` fetches from repositories.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from heeler.packages.charts import lock
from heeler.packages.charts.chart import Chart, ChartError, Dependency
from heeler.packages.charts.load import Log, load, silent
from heeler.packages.charts.save import save
from heeler.packages.charts.versions import check_range, in_range

Say = Callable[[str], None]


class Remote(Protocol):
    """Fetches charts from repositories."""

    def url(self, repository: str) -> str | None:
        """The URL of a repository, which may be given by the name it was added under; None for what isn't known."""

    def is_added(self, url: str) -> bool:
        """Whether a repository of this URL was added (registries need not be)."""

    def refresh(self, unmanaged: list[str]) -> None:
        """Bring what is known of all repositories that were added, and of these others, up to date."""

    def version(self, entry: Dependency) -> str | None:
        """The newest version that fits, or None. Raises `ChartError`."""

    def fetch(self, entry: Dependency, folder: Path) -> None:
        """Put the chart's archive into `folder`. Raises `ChartError`."""


class Fetcher:
    """The dependencies of the chart in `folder`, which messages call `shown`."""

    def __init__(
        self,
        folder: Path,
        shown: str,
        say: Say,
        remote: Remote,
        now: datetime,
        *,
        refresh: bool,
        log: Log = silent,
    ) -> None:
        self.folder, self.shown, self.say, self.remote, self.now = folder, shown, say, remote, now
        self.wants_refresh, self.log = refresh, log

    def load(self) -> Chart:
        if not self.folder.exists():
            raise ChartError(f"could not find {self.shown}: stat {self.shown}: no such file or directory")
        if not self.folder.is_dir():
            raise ChartError("only unpacked charts can be updated")
        return load(self.folder, self.log)

    def update(self) -> None:
        """Resolve versions, fetch, and write the lock."""
        chart = self.load()
        entries = [entry for entry in chart.metadata.dependencies if entry is not None]
        if not entries:
            return
        self._name_repositories(entries)
        if self.wants_refresh:
            remote = dict.fromkeys(entry.repository for entry in entries if not self._is_local(entry))
            self.remote.refresh([url for url in remote if not self.remote.is_added(url)])
        locked = [self._resolved(entry) for entry in entries]
        if missing := [entry for entry, found in zip(entries, locked, strict=True) if found is None]:
            said = ", ".join(f'"{e.name}" (repository "{e.repository}", version "{e.version}")' for e in missing)
            raise ChartError(
                f"can't get a valid version for {len(missing)} subchart(s): {said}. Make sure a matching chart version "
                "exists in the repo, or change the version constraint in Chart.yaml"
            )
        self._fetch([entry for entry in locked if entry is not None])
        lock.write(self.folder, chart, list(locked), self.now)

    def build(self) -> None:
        """Fetch what the lock names; without a lock, update."""
        chart = self.load()
        if chart.lock is None:
            self.update()
            return
        if not chart.metadata.dependencies:
            return
        self._name_repositories([entry for entry in chart.metadata.dependencies if entry is not None])
        if lock.digest(chart.metadata.dependencies, chart.lock.dependencies) != chart.lock.digest:
            old = chart.metadata.api_version == "v1"
            names = ("requirements.lock", "requirements.yaml") if old else ("Chart.lock", "Chart.yaml")
            raise ChartError(
                f"the lock file ({names[0]}) is out of sync with the dependencies file ({names[1]}). "
                "Please update the dependencies with 'helm dependency update'"
            )
        entries = [entry for entry in chart.lock.dependencies if entry is not None]
        remote = (entry.repository for entry in entries if not self._is_local(entry))
        if missing := [url for url in remote if not self.remote.is_added(url)]:
            said = (
                f"no repository definition for {', '.join(missing)}. Please add the missing repos via 'helm repo add'"
            )
            raise ChartError(said)
        if self.wants_refresh:
            self.remote.refresh([])
        self._fetch(entries)

    @staticmethod
    def _is_local(entry: Dependency) -> bool:
        return not entry.repository or entry.repository.startswith("file://")

    def _name_repositories(self, entries: list[Dependency]) -> None:
        """Put URLs in the place of names, in the entries themselves: the lock's digest is of URLs."""
        missing = []
        for entry in entries:
            if entry.repository.startswith("file://"):
                self._local_folder(entry)
            elif entry.repository:
                url = self.remote.url(entry.repository)
                if url is None:
                    missing.append(entry.repository)
                entry.repository = url or entry.repository
        if not missing:
            return
        said = f"no repository definition for {', '.join(missing)}. Please add them via 'helm repo add'"
        if any("://" not in name and not name.startswith(("@", "alias:")) for name in missing):
            said += (
                '\nNote that repositories must be URLs or aliases. For example, to refer to the "example"\n'
                'repository, use "https://charts.example.com/" or "@example" instead of\n'
                "\"example\". Don't forget to add the repo, too ('helm repo add')."
            )
        raise ChartError(said)

    def _local_folder(self, entry: Dependency) -> Path:
        """The folder that a dependency names, which must be there."""
        path = entry.repository.removeprefix("file://") if entry.repository else f"charts/{entry.name}"
        shown = path if path.startswith("/") else os.path.normpath(f"{self.shown}/{path}")
        folder = Path(path) if path.startswith("/") else self.folder / path
        if not folder.exists():
            raise ChartError(f"directory {shown} not found")
        return folder

    def _resolved(self, entry: Dependency) -> Dependency | None:
        try:
            check_range(entry.version)
        except ValueError as error:
            raise ChartError(f'dependency "{entry.name}" has an invalid version/constraint format: {error}') from None
        if not entry.repository:
            self._local_folder(entry)
            return Dependency(name=entry.name, repository="", version=entry.version)
        if entry.repository.startswith("file://"):
            chart = load(self._local_folder(entry))
            if not in_range(entry.version, chart.metadata.version):
                return None
            return Dependency(name=entry.name, repository=entry.repository, version=chart.metadata.version)
        found = self.remote.version(entry)
        return None if found is None else Dependency(name=entry.name, repository=entry.repository, version=found)

    def _fetch(self, entries: list[Dependency]) -> None:
        """Make archives in a folder of their own, and move them over only when all are there."""
        charts = self.folder / "charts"
        if charts.exists() and not charts.is_dir():
            raise ChartError(f'"{charts}" is not a directory')
        charts.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tmpcharts-", dir=self.folder) as made:
            self.say(f"Saving {len(entries)} charts")
            try:
                for entry in entries:
                    self._one(entry, Path(made))
            except ChartError as error:
                self.say(f"Save error occurred:  {error}")
                raise
            self.say("Deleting outdated charts")
            self._move(Path(made), charts, {entry.name for entry in entries if not entry.repository})

    def _one(self, entry: Dependency, made: Path) -> None:
        if not entry.repository:
            self.say(
                f"Dependency {entry.name} did not declare a repository. Assuming it exists in the charts directory"
            )
            chart = load(self.folder / "charts" / entry.name)
            if not in_range(entry.version, chart.metadata.version):
                raise ChartError(
                    f"dependency {entry.name} at version {chart.metadata.version} does not satisfy the constraint "
                    f"{entry.version}"
                )
        elif entry.repository.startswith("file://"):
            chart = load(self._local_folder(entry))
            if not in_range(entry.version, chart.metadata.version):
                raise ChartError(f"can't get a valid version for dependency {entry.name}")
            save(chart, made)
        else:
            self.remote.fetch(replace(entry), made)

    @staticmethod
    def _move(made: Path, charts: Path, kept: set[str]) -> None:
        names = {file.name for file in made.iterdir()}
        for name in sorted(names):
            shutil.move(made / name, charts / name)
        for file in sorted(charts.iterdir()):
            if file.is_dir() or file.name in names:
                continue
            try:
                name = load(file).name
            except ChartError:
                continue  # not a chart, so not ours to delete
            if name not in kept:
                file.unlink()
