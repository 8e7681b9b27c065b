"""Install: a release's first revision, from a rendered chart to objects that are there.

Source: https://helm.sh/docs/helm/helm_install/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heeler.objects.value import Object
from heeler.packages.releases import hooks, uninstall
from heeler.packages.releases.cluster import ClusterError, Key, Target
from heeler.packages.releases.doing import CANCELED, ActionError, Applying, Doing, Waiting, objects, with_owner
from heeler.packages.releases.hooks import HookFailed
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import ReleaseNotFound, StorageError

#: Seconds until definitions must be established.
DEFINITIONS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """As the flags say; `replace`: take over the name of a release that was uninstalled or has failed."""

    waiting: Waiting
    applying: Applying
    create_namespace: bool = False
    replace: bool = False
    rollback_on_failure: bool = False
    no_hooks: bool = False
    description: str = ""


class InstallFailed(ActionError):
    """It failed after the release was recorded, which says so."""

    def __init__(self, message: str, release: Release) -> None:
        super().__init__(message)
        self.release = release


async def check_name(doing: Doing, name: str, *, replacing: bool) -> int:
    """The version that a new release of this name has. Raises ActionError if the name is taken."""
    try:
        last = (await doing.storage.history(name))[0]
    except ReleaseNotFound:
        return 1
    if replacing and last.status in ("uninstalled", "failed"):
        return last.version + 1
    raise ActionError("cannot reuse a name that is still in use")


async def definitions(doing: Doing, documents: Sequence[str], applying: Applying) -> None:
    """Make a chart's CRDs, those that aren't there yet, and wait until they are served. Raises ActionError."""
    made = []
    for document in documents:
        for target in await doing.targets(document):
            try:
                if await doing.cluster.get(target) is not None:
                    doing.log("DEBUG", "CRD is already present. Skipping", crd=target.name)
                    continue
                await doing.make(target, applying)
            except ClusterError as error:
                raise ActionError(f"failed to install CRD {target.name}: {error}") from error
            made.append(target)
    try:
        await doing.cluster.wait_ready(made, DEFINITIONS_SECONDS)
    except ClusterError as error:
        raise ActionError(f"failed to install CRD: {error}") from error
    if made:
        await doing.cluster.look_again()


async def install(doing: Doing, release: Release, options: Options) -> Release:
    """Record the release and make its objects; the release as it is then. Raises ActionError, InstallFailed."""
    targets, there = await check(doing, release, options.applying)
    if options.create_namespace:
        try:
            await _namespace(doing, release.namespace, options.applying)
        except ClusterError as error:
            raise ActionError(str(error)) from error
    release = replace(release, apply_method=options.applying.method)
    if options.replace and release.version > 1:
        await _supersede(doing, release.name)
    release = replace(release, status="pending-install", description="Initial install underway")
    try:
        await doing.storage.create(release)
    except StorageError as error:
        raise ActionError(str(error)) from error
    try:
        if not options.no_hooks:
            release = await hooks.run(doing, release, "pre-install", options.waiting, options.applying)
        if there:
            options.applying.check()
        for target in targets:
            live = await doing.cluster.get(target) if target.key in there else None
            await doing.bring(target, {}, options.applying, live)
        await doing.wait(targets, options.waiting)
        if not options.no_hooks:
            release = await hooks.run(doing, release, "post-install", options.waiting, options.applying)
    except HookFailed as error:
        return await _failed(doing, error.release, error, options)
    except (ActionError, ClusterError, StorageError) as error:
        return await _failed(doing, release, error, options)
    except asyncio.CancelledError:
        return await _failed(doing, release, ActionError(CANCELED), options)
    return await doing.keep(release, "deployed", options.description or "Install complete")


async def check(doing: Doing, release: Release, applying: Applying) -> tuple[list[Target], set[Key]]:
    """The release's objects, and which of them are there already. Raises ActionError if one is somebody else's."""
    targets = with_owner(await doing.targets(release.manifest), release.name, release.namespace)
    try:
        if applying.take_ownership:
            there = [target for target in targets if await doing.cluster.get(target) is not None]
        else:
            there = await doing.check_owners(targets, release)
    except ClusterError as error:
        raise ActionError(f"unable to continue with install: {error}") from error
    return targets, {target.key for target in there}


async def _failed(doing: Doing, release: Release, error: Exception, options: Options) -> Release:
    """Record the failure, undo all if that was asked for, and raise."""
    release = await doing.keep(release, "failed", f'Release "{release.name}" failed: {error}')
    if not options.rollback_on_failure:
        raise InstallFailed(str(error), release) from error
    doing.log("DEBUG", "install failed and rollback-on-failure is set, uninstalling release", release=release.name)
    asked = uninstall.Options(options.waiting, options.applying, no_hooks=options.no_hooks)
    try:
        await uninstall.uninstall(doing, release.name, asked)
    except (ActionError, ClusterError, StorageError) as again:
        words = f"an error occurred while uninstalling the release. original install error: {error}"
        raise InstallFailed(f"{words}: {again}", release) from again
    done = f"release {release.name} failed, and has been uninstalled due to rollback-on-failure being set"
    raise InstallFailed(f"{done}: {error}", release) from error


async def _namespace(doing: Doing, name: str, applying: Applying) -> None:
    obj: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}}
    (target,) = await doing.cluster.targets([obj])
    if await doing.cluster.get(target) is None:
        await doing.make(target, applying)


async def _supersede(doing: Doing, name: str) -> None:
    """The release whose name is taken over is a thing of the past."""
    last = (await doing.storage.history(name))[0]
    await doing.storage.update(replace(last, status="superseded"))


def documents_of(crds: Sequence[bytes]) -> list[str]:
    """CRD files as text, those that hold an object."""
    texts = [data.decode("utf-8", "surrogateescape") for data in crds]
    return [text for text in texts if objects(text)]
