"""Finding the chart that a command is given: a folder, an archive, or in a repository or registry."""

from __future__ import annotations

from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call


def locate(call: Call, name: str) -> Path:
    """Where the chart lies. Raises `HelmError`."""
    name = name.strip()
    if call.flags.text("ca-file"):
        from heeler.cli.helm.fetching import check_tls

        check_tls(call)
    path = call.path(name)
    if name and not call.flags.text("repo") and path.exists():
        path = path if path.is_absolute() else path.absolute()
        if call.flags.on("verify"):
            from heeler.cli.helm.fetching import verify_file

            verify_file(call, path, str(path))
        return Path(str(path))
    if name.startswith(("/", ".")):
        raise HelmError(f'path "{name}" not found')
    from heeler.cli.helm.fetching import locate_remote

    if name not in call.located:
        call.located[name] = locate_remote(call, name)
    return call.located[name]
