"""Uninstall: a release's objects go in the order of their kinds, then its records.

Source: https://helm.sh/docs/helm/helm_uninstall/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

from dataclasses import dataclass

from heeler.packages.charts.manifests import UNINSTALL_ORDER
from heeler.packages.releases import hooks, owners
from heeler.packages.releases.cluster import ClusterError, Target
from heeler.packages.releases.doing import ActionError, Applying, Doing, Waiting
from heeler.packages.releases.hooks import HookFailed
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import ReleaseNotFound

#: `--cascade` and what the API calls it.
CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


@dataclass(frozen=True, slots=True)
class Options:
    """As the flags say."""

    waiting: Waiting
    applying: Applying
    keep_history: bool = False
    no_hooks: bool = False
    ignore_not_found: bool = False
    dry_run: bool = False
    cascade: str = "background"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """What was uninstalled (None: there was nothing), and what there is to say of it."""

    release: Release | None
    info: str = ""


async def uninstall(doing: Doing, name: str, options: Options) -> Uninstalled:
    """Raises ActionError."""
    try:
        history = await doing.storage.history(name)
    except ReleaseNotFound as error:
        if options.ignore_not_found:
            return Uninstalled(None)
        if options.dry_run:
            raise ActionError(str(error)) from error
        raise ActionError(f"uninstall: Release not loaded: {name}: {error}") from error
    release = history[0]
    if options.dry_run:
        return Uninstalled(release)
    if release.status == "uninstalled":
        if options.keep_history:
            raise ActionError(f'the release named "{name}" is already deleted')
        for one in reversed(history):
            await doing.storage.delete(one)
        return Uninstalled(release)
    release = await doing.keep(
        release, "uninstalling", "Deletion in progress (or silently failed)", deleted=doing.now()
    )
    if not options.no_hooks:
        release = await _hooks(doing, release, "pre-delete", options)
    kept, gone, refused = await _delete(doing, release, options)
    if refused:
        # the records stay: they are all that knows of what is left
        for why in refused:
            doing.log("ERROR", "failed to delete an object", release=name, error=why)
        raise ActionError(f"failed to delete release: {name}")
    failures = await _wait(doing, gone, options)
    if not options.no_hooks:
        try:
            release = await _hooks(doing, release, "post-delete", options)
        except ActionError as error:
            failures.append(str(error))
    await _forget(doing, release, history, options)
    if failures:
        raise ActionError(f"uninstallation completed with {len(failures)} error(s): {'; '.join(failures)}")
    return Uninstalled(release, _told(kept))


async def _forget(doing: Doing, release: Release, history: list[Release], options: Options) -> None:
    """The records go, or say that the release is gone."""
    name = release.name
    if options.keep_history:
        release = await doing.keep(release, "uninstalled", options.description or "Uninstallation complete")
        for one in await doing.storage.every_deployed(name):
            await doing.keep(one, "superseded", one.description)
    else:
        for one in reversed(history):
            await doing.storage.delete(one)


async def _hooks(doing: Doing, release: Release, event: str, options: Options) -> Release:
    try:
        return await hooks.run(doing, release, event, options.waiting, options.applying)
    except HookFailed as error:
        await doing.storage.update(error.release)
        raise ActionError(error.why) from error


async def _delete(doing: Doing, release: Release, options: Options) -> tuple[list[Target], list[Target], list[str]]:
    """Delete what isn't to be kept; (what is, what goes, why some can't). One that can't doesn't hold up the others."""
    targets = await doing.targets(release.manifest, order=UNINSTALL_ORDER)
    kept = [target for target in targets if owners.kept(target)]
    there, gone, failures = [], [], []
    for target in targets:
        if target in kept:
            continue
        try:
            live = await doing.cluster.get(target)
            if live is not None and not owners.stranger(live, release.name, release.namespace):
                there.append(target)
            elif live is not None:
                doing.log("WARN", "not deleted, as it belongs to another release", kind=target.kind, name=target.name)
        except ClusterError as error:
            failures.append(str(error))
    for target in there:
        try:
            await doing.cluster.delete(target, propagation=CASCADES[options.cascade])
            gone.append(target)
        except ClusterError as error:
            failures.append(str(error))
    return kept, gone, failures


async def _wait(doing: Doing, gone: list[Target], options: Options) -> list[str]:
    """Wait until all is gone, if that is asked for; what isn't when the time is over."""
    if not options.waiting.everything:
        return []
    try:
        await doing.cluster.wait_gone(gone, options.waiting.seconds)
    except ClusterError as error:
        return [str(error)]
    return []


def _told(kept: list[Target]) -> str:
    if not kept:
        return ""
    lines = "".join(f"[{target.kind}] {target.name}\n" for target in kept)
    return f"These resources were kept due to the resource policy:\n{lines}"
