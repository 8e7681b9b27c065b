"""The flag `--dry-run`."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call


def mode(call: Call) -> str:
    """`none`, `client` or `server`. Raises `HelmError`."""
    given = call.flags.text("dry-run") if call.flags.changed("dry-run") else "none"
    if given in ("none", "client", "server"):
        return given
    if given in ("unset", "true"):
        call.log("WARN", "--dry-run is deprecated and should be replaced with '--dry-run=client'")
        return "client"
    if given == "false":
        call.log("WARN", "boolean '--dry-run=false' flag is deprecated and must be replaced with '--dry-run=none'")
        return "none"
    raise HelmError(f'invalid dry-run value ("{given}"). Must be "none", "server", or "client"')
