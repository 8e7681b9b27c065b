"""`helm rollback`: a new revision like an older one."""

from __future__ import annotations

from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.options import applying, waiting
from heeler.cli.helm.releases import is_name, session
from heeler.packages.charts.json_values import atoi
from heeler.packages.releases import rollback as action


def rollback(call: Call) -> int:
    name, *rest = call.arguments
    flags, version = call.flags, 0
    if rest:
        try:
            version = atoi(rest[0])
        except ValueError as error:
            raise HelmError(f"could not convert revision to a number: {error}") from None
    options = action.Options(
        waiting(call),
        applying(call),
        version=version,
        server_side=flags.text("server-side"),
        cleanup_on_fail=flags.on("cleanup-on-fail"),
        no_hooks=flags.on("no-hooks"),
        dry_run=mode(call) != "none",
        description=flags.text("description"),
    )
    with session(call, most=flags.number("history-max")) as found:
        if not is_name(name):
            raise HelmError(f"prepareRollback: Release name is invalid: {name}")
        found.run(action.rollback(found.doing, name, options))
    call.write("Rollback was a success! Happy Helming!\n")
    return 0
