"""Finding the chart that a command is given: a folder, an archive, or by a repository."""

from __future__ import annotations

from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call


def locate(call: Call, name: str) -> Path:
    """Where the chart lies. Raises `HelmError`."""
    name = name.strip()
    path = call.path(name)
    if name and path.exists():
        if call.flags.on("verify"):
            raise HelmError("heeler verifies no signatures of charts yet")
        return Path(str(path)) if path.is_absolute() else path.absolute()
    if name.startswith(("/", ".")):
        raise HelmError(f'path "{name}" not found')
    return _remote(call, name)


def _remote(call: Call, name: str) -> Path:
    if call.flags.text("repo") or "://" in name:
        raise HelmError(f"heeler fetches no charts from repositories yet: {name}")
    repository, slash, chart = name.partition("/")
    if not slash or not repository or not chart:
        raise HelmError(f"non-absolute URLs should be in form of repo_name/path_to_chart, got: {name}")
    from heeler.cli.helm.repositories import known

    if repository not in {entry.name for entry in known(call)}:
        raise HelmError(f"repo {repository} not found")
    raise HelmError(f"heeler fetches no charts from repositories yet: {name}")
