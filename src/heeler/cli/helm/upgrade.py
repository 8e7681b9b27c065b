"""`helm upgrade`: so far `--install` of what isn't there, as a dry run."""

from __future__ import annotations

from heeler.cli.helm.dry_run import mode
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.install import run_install
from heeler.cli.helm.locate import locate
from heeler.cli.helm.releases import is_name, storage
from heeler.cli.helm.values_flags import collect
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import ReleaseNotFound, Storage, StorageError


def upgrade(call: Call) -> int:
    name, given = call.arguments
    dry_run = mode(call)
    kept = storage(call)
    if call.flags.on("install") and _is_gone(kept, name):
        if not call.flags.changed("output") or call.flags.text("output") == "table":
            call.write(f'Release "{name}" does not exist. Installing it now.\n')
        run_install(call, dry_run, [name, given])
        return 0
    locate(call, given)
    collect(call)
    if not is_name(name):
        raise HelmError(f"UPGRADE FAILED: release name is invalid: {name}")
    try:
        _check(kept, name)
    except StorageError as error:
        raise HelmError(f"UPGRADE FAILED: {error}") from None
    raise HelmError("UPGRADE FAILED: heeler helm upgrades releases in no cluster yet")


def _is_gone(kept: Storage, name: str) -> bool:
    """Whether there is no such release, or only an uninstalled one."""
    try:
        return _last(kept, name).status == "uninstalled"
    except ReleaseNotFound:
        return True


def _last(kept: Storage, name: str) -> Release:
    import asyncio

    return asyncio.run(kept.last(name))


def _check(kept: Storage, name: str) -> None:
    """Refuse what can't be upgraded. Raises `StorageError`."""
    import asyncio

    try:
        last = _last(kept, name)
    except ReleaseNotFound:
        raise StorageError(f'"{name}" has no deployed releases') from None
    if last.is_pending:
        raise StorageError("another operation (install/upgrade/rollback) is in progress")
    if last.status not in ("deployed", "failed", "superseded"):
        asyncio.run(kept.deployed(name))
