"""`helm rollback` of releases that are kept in memory: a new revision like an older one."""

from __future__ import annotations

from dataclasses import replace

from heeler.base.clock import SystemClock, rfc3339
from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.releases import is_name, storage
from heeler.cli.helm.releases import wait_for as wait
from heeler.packages.charts.json_values import atoi
from heeler.packages.releases.storage import ReleaseNotFound, Storage, StorageError


def rollback(call: Call) -> int:
    name, *rest = call.arguments
    version = 0
    if rest:
        try:
            version = atoi(rest[0])
        except ValueError as error:
            raise HelmError(f"could not convert revision to a number: {error}") from None
    dry_run = mode(call) != "none"
    kept = storage(call)
    if not is_name(name):
        raise HelmError(f"prepareRollback: Release name is invalid: {name}")
    wait(_rollback(kept, name, version, dry_run))
    call.write("Rollback was a success! Happy Helming!\n")
    return 0


async def _rollback(kept: Storage, name: str, version: int, dry_run: bool) -> None:
    history = await kept.history(name)
    current = history[0]
    wanted = version or current.version - 1
    try:
        older = await kept.get(name, wanted)
    except ReleaseNotFound:
        raise StorageError(f"release has no {wanted} version") from None
    if dry_run:
        return
    made = replace(
        older,
        version=current.version + 1,
        status="deployed",
        description=f"Rollback to {wanted}",
        first_deployed=current.first_deployed,
        last_deployed=rfc3339(SystemClock().time()),
    )
    for release in history:
        if release.status == "deployed":
            await kept.update(replace(release, status="superseded"))
    await kept.create(made)
