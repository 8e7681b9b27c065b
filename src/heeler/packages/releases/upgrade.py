"""Upgrade: from the manifest that is deployed to a new one; what the new one no longer has goes.

Source: https://helm.sh/docs/helm/helm_upgrade/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from heeler.packages.releases import hooks, rollback
from heeler.packages.releases.cluster import ClusterError, Target
from heeler.packages.releases.doing import CANCELED, ActionError, Applying, Doing, Waiting, by_key, with_owner
from heeler.packages.releases.hooks import HookFailed
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import NoDeployed, ReleaseNotFound, StorageError


@dataclass(frozen=True, slots=True)
class Options:
    """As the flags say."""

    waiting: Waiting
    applying: Applying
    rollback_on_failure: bool = False
    cleanup_on_fail: bool = False
    no_hooks: bool = False
    description: str = ""


class UpgradeFailed(ActionError):
    """It failed after the revision was recorded, which says so."""

    def __init__(self, message: str, release: Release) -> None:
        super().__init__(message)
        self.release = release


async def before(doing: Doing, name: str) -> tuple[Release, Release]:
    """(the newest revision, the one whose objects are there). Raises ActionError if there is none to upgrade."""
    try:
        last = await doing.storage.last(name)
    except ReleaseNotFound:
        raise ActionError(str(NoDeployed(name))) from None
    if last.is_pending:
        raise ActionError("another operation (install/upgrade/rollback) is in progress")
    if last.status == "deployed":
        return last, last
    try:
        return last, await doing.storage.deployed(name)
    except NoDeployed:
        if last.status in ("failed", "superseded"):
            return last, last
        raise ActionError(str(NoDeployed(name))) from None


async def upgrade(doing: Doing, current: Release, release: Release, options: Options) -> Release:
    """Bring the cluster from `current` to `release`; that as it is then. Raises ActionError, UpgradeFailed."""
    old, new = await doing.targets(current.manifest), await doing.targets(release.manifest)
    known = by_key(old)
    wanted = with_owner(new, release.name, release.namespace)
    try:
        added = [target for target in wanted if target.key not in known]
        if not options.applying.take_ownership:
            await doing.check_owners(added, release)
    except ClusterError as error:
        raise ActionError(f"unable to continue with update: {error}") from error
    release = replace(
        release, status="pending-upgrade", description="Preparing upgrade", apply_method=options.applying.method
    )
    try:
        await doing.storage.create(release)
    except StorageError as error:
        raise ActionError(str(error)) from error
    created: list[Target] = []
    try:
        if not options.no_hooks:
            release = await hooks.run(doing, release, "pre-upgrade", options.waiting, options.applying)
        await doing.change(old, wanted, current, options.applying, created)
        await doing.wait(wanted, options.waiting)
        if not options.no_hooks:
            release = await hooks.run(doing, release, "post-upgrade", options.waiting, options.applying)
    except HookFailed as error:
        failure = ActionError(f"{error.event} hooks failed: {error.why}")
        return await _failed(doing, current, error.release, failure, created, options)
    except (ActionError, ClusterError, StorageError) as error:
        return await _failed(doing, current, release, error, created, options)
    except asyncio.CancelledError:
        return await _failed(doing, current, release, ActionError(CANCELED), created, options)
    await doing.storage.update(replace(current, status="superseded"))
    return await doing.keep(release, "deployed", options.description or "Upgrade complete")


async def _failed(
    doing: Doing, current: Release, release: Release, error: Exception, created: list[Target], options: Options
) -> Release:
    """Record the failure, undo what was asked to be undone, and raise."""
    doing.log("WARN", "upgrade failed", name=release.name, error=str(error))
    await doing.storage.update(current)
    release = await doing.keep(release, "failed", f'Upgrade "{release.name}" failed: {error}')
    if options.cleanup_on_fail:
        for target in created:
            try:
                await doing.cluster.delete(target)
            except ClusterError as again:
                words = f"an error occurred while cleaning up resources. original upgrade error: {error}"
                raise UpgradeFailed(f"{words}: {again}", release) from again
    if not options.rollback_on_failure:
        raise UpgradeFailed(str(error), release) from error
    doing.log("DEBUG", "upgrade failed and rollback-on-failure is set, rolling back to last successful release")
    history = await doing.storage.history(release.name)
    good = next((one for one in history if one.status in ("superseded", "deployed")), None)
    if good is None:
        words = "unable to find a previously successful release when attempting to rollback. original upgrade error"
        raise UpgradeFailed(f"{words}: {error}", release) from error
    asked = rollback.Options(
        version=good.version, waiting=options.waiting, applying=options.applying, no_hooks=options.no_hooks
    )
    try:
        await rollback.rollback(doing, release.name, asked)
    except (ActionError, ClusterError, StorageError) as again:
        words = f"an error occurred while rolling back the release. original upgrade error: {error}"
        raise UpgradeFailed(f"{words}: {again}", release) from again
    done = f"release {release.name} failed, and has been rolled back due to rollback-on-failure being set"
    raise UpgradeFailed(f"{done}: {error}", release) from error
