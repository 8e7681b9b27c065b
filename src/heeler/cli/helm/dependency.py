"""`helm dependency`: what a chart depends on, listed, updated and built."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from heeler.base.clock import SystemClock
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.table import table
from heeler.packages.charts.chart import Chart, ChartError, Dependency
from heeler.packages.charts.fetch import Fetcher
from heeler.packages.charts.load import load
from heeler.packages.charts.versions import check_range, in_range

if TYPE_CHECKING:
    from heeler.cli.helm.repositories import Repository
    from heeler.packages.repositories.index import Index

#: How the URL of a registry begins.
SCHEME = "oci://"


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
            if sub.name == entry.name:
                return "unpacked" if in_range(entry.version, sub.metadata.version) else "wrong version"
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


#: What the index of a repository that wasn't added is kept as: this and the digest of its URL.
_UNMANAGED = "helm-manager-"


class _Remote:
    """The repositories that were added, others by their URL, and registries."""

    def __init__(self, call: Call) -> None:
        from heeler.cli.helm.fetching import downloads
        from heeler.cli.helm.repositories import known

        self.call, self.added = call, known(call)
        self.downloads = downloads(call, call.write)

    def _entry(self, url: str) -> Repository:
        """The repository that was added with this URL, or one that stands for it."""
        from heeler.cli.helm.repositories import Repository

        plain = url.rstrip("/")
        found = next((entry for entry in self.added if entry.url.rstrip("/") == plain), None)
        if found is not None:
            return found
        name = f"{_UNMANAGED}{hashlib.sha256(url.encode()).hexdigest()}"
        return Repository(name, url, {"name": name, "url": url})

    def url(self, repository: str) -> str | None:
        for prefix in ("@", "alias:"):
            if repository.startswith(prefix):
                name = repository.removeprefix(prefix)
                return next((entry.url for entry in self.added if entry.name == name), None)
        return repository if "://" in repository and not any(letter.isspace() for letter in repository) else None

    def is_added(self, url: str) -> bool:
        return url.startswith(SCHEME) or not self._entry(url).name.startswith(_UNMANAGED)

    def refresh(self, unmanaged: list[str]) -> None:
        from heeler.cli.helm.repo import HANG_TIGHT, UPDATED, refresh

        if unmanaged:
            self.call.write("Getting updates for unmanaged Helm repositories...\n")
            refresh(self.call, [self._entry(url) for url in unmanaged], by_url=True)
        if self.added:
            self.call.write(HANG_TIGHT)
            refresh(self.call, self.added)
            self.call.write(UPDATED)

    def version(self, entry: Dependency) -> str | None:
        if entry.repository.startswith(SCHEME):
            return self._tagged(entry)
        repository = self._entry(entry.repository)
        listed = self._index(repository, entry.name)
        if entry.name not in listed.entries:
            raise ChartError(f"{entry.name} chart not found in repo {entry.repository}")
        versions = (one.metadata.version for one in listed.entries[entry.name] if one.urls)
        return next((version for version in versions if in_range(entry.version, version)), None)

    def _index(self, repository: Repository, chart: str) -> Index:
        from heeler.cli.helm.repositories import index_name, load_index

        try:
            return load_index(self.call, repository.name, chart)
        except OSError as error:
            said = f"open {index_name(self.call, repository.name)}: {(error.strerror or '').lower()}"
            raise ChartError(
                f"no cached repository for {repository.name} found. (try 'helm repo update'): {said}"
            ) from None

    def _tagged(self, entry: Dependency) -> str:
        """The newest version that fits among a registry's tags; what fits none is told when it is fetched."""
        from heeler.cli.helm.fetching import said, wish
        from heeler.packages.charts.versions import is_version
        from heeler.packages.repositories.fetch import FAULTS, newest_tag
        from heeler.packages.repositories.oci import reference

        if is_version(entry.version):
            return entry.version
        try:
            found = reference(f"{entry.repository.rstrip('/')}/{entry.name}")
            tags = self.downloads.client(wish(self.call).login).tags(found)
            return newest_tag(tags, entry.version) or entry.version
        except FAULTS as error:
            raise ChartError(
                f"could not retrieve list of tags for repository {entry.repository}: {said(self.call, error)}"
            ) from None

    def fetch(self, entry: Dependency, folder: Path) -> None:
        from heeler.base.files import write_atomic
        from heeler.cli.helm.fetching import said, wish
        from heeler.packages.repositories.fetch import FAULTS

        self.call.write(f"Downloading {entry.name} from repo {entry.repository}\n")
        wanted = replace(wish(self.call), version=entry.version, repository="")
        place = f"{entry.repository.rstrip('/')}/{entry.name}"
        try:
            if entry.repository.startswith(SCHEME):
                fetched = self.downloads.fetch(place, wanted)
            else:
                repository = self._entry(entry.repository)
                source = repository.source(self.call)
                if wanted.login.name:
                    source = replace(source, login=wanted.login)
                managed = self.is_added(entry.repository)
                listed = self._index(repository, entry.name) if managed else None
                found = self.downloads.find(source, entry.name, entry.version, listed)
                place = found.url
                fetched = self.downloads.take(found, wanted)
        except FAULTS as error:
            raise ChartError(f"could not download {place}: {said(self.call, error)}") from None
        if not fetched.name:
            raise ChartError(f"could not download {place}: it names no archive")
        write_atomic(folder / fetched.name, fetched.archive, 0o644)  # the provenance has done its work


def _fetcher(call: Call, shown: str) -> Fetcher:
    return Fetcher(
        call.path(shown),
        shown,
        lambda line: call.write(line + "\n"),
        _Remote(call),
        datetime.fromtimestamp(SystemClock().time(), UTC),
        refresh=not call.flags.on("skip-refresh"),
        log=call.log,
    )


def update_chart(call: Call, shown: str, *, quiet: bool = False) -> None:
    """`dependency update` for another command. Raises `HelmError`."""
    out = len(call.out)
    try:
        _fetcher(call, shown).update()
        if quiet:
            del call.out[out:]
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
