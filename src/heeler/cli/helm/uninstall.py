"""`helm uninstall`: releases and their objects go."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.options import waiting
from heeler.cli.helm.releases import is_name, session
from heeler.packages.releases import uninstall as action
from heeler.packages.releases.doing import Applying


def uninstall(call: Call) -> int:
    flags = call.flags
    cascade = flags.text("cascade").lower()
    if cascade not in action.CASCADES:
        raise HelmError(f'invalid cascade value ({cascade}). Must be "background", "foreground", or "orphan"')
    options = action.Options(
        waiting(call),
        Applying(),
        keep_history=flags.on("keep-history"),
        no_hooks=flags.on("no-hooks"),
        ignore_not_found=flags.on("ignore-not-found"),
        dry_run=flags.on("dry-run"),
        cascade=cascade,
        description=flags.text("description"),
    )
    with session(call) as found:
        for name in call.arguments:
            if not is_name(name):
                raise HelmError(f"uninstall: Release name is invalid: {name}")
            told = found.run(action.uninstall(found.doing, name, options)).info
            if told:
                call.write(f"{told}\n")
            call.write(f'release "{name}" uninstalled\n')
    return 0
