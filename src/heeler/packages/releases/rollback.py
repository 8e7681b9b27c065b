"""Rollback: an older revision's manifest and hooks become a new revision.

Source: https://helm.sh/docs/helm/helm_rollback/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from heeler.packages.releases import hooks
from heeler.packages.releases.cluster import ClusterError, Target
from heeler.packages.releases.doing import CANCELED, SSA, ActionError, Applying, Doing, Waiting, with_owner
from heeler.packages.releases.hooks import HookFailed
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import StorageError


@dataclass(frozen=True, slots=True)
class Options:
    """As the flags say; `version` 0 is the revision before. `server_side` "auto": as that revision was applied."""

    waiting: Waiting
    applying: Applying
    version: int = 0
    server_side: str = "auto"
    cleanup_on_fail: bool = False
    no_hooks: bool = False
    dry_run: bool = False
    description: str = ""


async def prepare(doing: Doing, name: str, version: int) -> tuple[Release, Release]:
    """(the revision whose objects are there, the one to come). Raises ActionError, StorageError."""
    if version < 0:
        raise ActionError("invalid release revision: must be 0 or greater")
    current = await doing.storage.last(name)
    wanted = version or current.version - 1
    history = await doing.storage.history(name)
    if all(one.version != wanted for one in history):
        raise ActionError(f"release has no {wanted} version")
    old = await doing.storage.get(name, wanted)
    coming = replace(
        old,
        version=current.version + 1,
        status="pending-rollback",
        description=f"Rollback to {wanted}",
        first_deployed=current.first_deployed,
        rollback_revision=wanted,
        last_deployed=doing.now(),
        deleted="",
    )
    return current, coming


async def rollback(doing: Doing, name: str, options: Options) -> Release:
    """The new revision as it is then. Raises ActionError, ClusterError, StorageError."""
    current, release = await prepare(doing, name, options.version)
    server_side = options.applying.server_side
    if options.server_side == "auto":
        server_side = release.apply_method == SSA
    applying = replace(options.applying, server_side=server_side)
    release = replace(release, apply_method=applying.method)
    if options.description:
        release = replace(release, description=options.description)
    if options.dry_run:
        return release
    await doing.storage.create(release)
    old = await doing.targets(current.manifest)
    new = with_owner(await doing.targets(release.manifest), release.name, release.namespace)
    created: list[Target] = []
    try:
        if not options.no_hooks:
            release = await hooks.run(doing, release, "pre-rollback", options.waiting, applying)
        await doing.change(old, new, current, applying, created)
        await doing.wait(new, options.waiting)
        if not options.no_hooks:
            release = await hooks.run(doing, release, "post-rollback", options.waiting, applying)
    except HookFailed as error:
        # helm leaves such a revision pending for ever, and so refuses the next upgrade
        await doing.keep(error.release, "failed", f'Rollback "{name}" failed: {error}')
        if error.event == "post-rollback":
            await doing.storage.update(replace(current, status="superseded"))
        raise ActionError(error.why) from error
    except (ActionError, ClusterError, StorageError) as error:
        raise await _failed(doing, current, release, error, created, options) from error
    except asyncio.CancelledError:
        raise await _failed(doing, current, release, ActionError(CANCELED), created, options) from None
    for one in await doing.storage.every_deployed(name):
        await doing.storage.update(replace(one, status="superseded"))
    return await doing.keep(release, "deployed", release.description)


async def _failed(
    doing: Doing, current: Release, release: Release, error: Exception, created: list[Target], options: Options
) -> ActionError:
    """Record the failure; what to raise."""
    why = f'Rollback "{release.name}" failed: {error}'
    doing.log("WARN", why)
    await doing.storage.update(replace(current, status="superseded"))
    await doing.keep(release, "failed", why)
    if options.cleanup_on_fail:
        for target in created:
            try:
                await doing.cluster.delete(target)
            except ClusterError as again:
                words = f"an error occurred while cleaning up resources. original rollback error: {error}"
                return ActionError(f"{words}: {again}")
    return ActionError(str(error))
