"""`helm uninstall` of releases that are kept in memory."""

from __future__ import annotations

from dataclasses import replace

from heeler.base.clock import SystemClock, rfc3339
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.releases import is_name, storage, wait_for
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import ReleaseNotFound, Storage, StorageError

RESOURCE_POLICY = "helm.sh/resource-policy"


def uninstall(call: Call) -> int:
    kept = storage(call)
    for name in call.arguments:
        if not is_name(name):
            raise HelmError(f"uninstall: Release name is invalid: {name}")
        told = wait_for(_uninstall(call, kept, name))
        if told:
            call.write(f"{told}\n")
        call.write(f'release "{name}" uninstalled\n')
    return 0


async def _uninstall(call: Call, kept: Storage, name: str) -> str:
    """Take a release away; what is to be told of objects that stay."""
    flags = call.flags
    try:
        history = await kept.history(name)
    except ReleaseNotFound as error:
        if flags.on("ignore-not-found"):
            return ""
        raise StorageError(f"uninstall: Release not loaded: {name}: {error}") from None
    last = history[0]
    if flags.on("dry-run"):
        return ""
    keep = flags.on("keep-history")
    if last.status == "uninstalled":
        if keep:
            raise StorageError(f'the release named "{name}" is already deleted')
        told = ""
    else:
        told = _kept_objects(last)
        gone = replace(
            last,
            status="uninstalled",
            deleted=rfc3339(SystemClock().time()),
            description=flags.text("description") or "Uninstallation complete",
        )
        await kept.update(gone)
    if not keep:
        for release in history:
            await kept.delete(release)
    return told


def _kept_objects(release: Release) -> str:
    """The lines about objects that the resource policy keeps."""
    from heeler.packages.charts.manifests import head_of, split

    lines = []
    for document in split(release.manifest):
        head = head_of(document, release.name)
        if head.metadata.annotations.get(RESOURCE_POLICY, "").strip().lower() == "keep":
            lines.append(f"[{head.kind}] {head.metadata.name}\n")
    return f"These resources were kept due to the resource policy:\n{''.join(lines)}" if lines else ""
