"""What all actions on releases share: the cluster, the records, what to wait for, and how objects are brought to a manifest.

Next: `install.py`, `upgrade.py`, `rollback.py`, `uninstall.py`, `hooks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from heeler.objects.schema import Type
from heeler.objects.value import Object
from heeler.packages.charts.load import Log
from heeler.packages.charts.manifests import split
from heeler.packages.releases import managers, owners, three_way
from heeler.packages.releases.cluster import MANAGER, Cluster, ClusterError, Key, Target, Unready
from heeler.packages.releases.records import Release
from heeler.packages.releases.storage import Storage
from heeler.packages.yaml import read

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind

STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
SSA, CSA = "ssa", "csa"
#: Why an action that was cancelled failed.
CANCELED = "context canceled"


class ActionError(Exception):
    """An action on a release failed; in Helm's words."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`strategy`: `hookOnly` (only hooks are waited for), `watcher` (everything), `legacy`. `seconds` for each wait."""

    strategy: str = "hookOnly"
    seconds: float = 300.0
    jobs: bool = False

    @property
    def everything(self) -> bool:
        return self.strategy != "hookOnly"


@dataclass(frozen=True, slots=True)
class Applying:
    """How objects are written. `server_side`: apply on the server; `force`: over others' fields, or by replacing.

    `dry_run`: the server says what would be there, and nothing is written.
    """

    server_side: bool = True
    force_conflicts: bool = False
    force_replace: bool = False
    take_ownership: bool = False
    strict: bool = True
    dry_run: bool = False

    @property
    def method(self) -> str:
        return SSA if self.server_side else CSA

    def check(self) -> None:
        """Raises ClusterError for ways that exclude each other, as Helm does once it has objects to change."""
        if self.server_side and self.force_replace:
            raise ClusterError("invalid operation: cannot use server-side apply and force replace together")


@dataclass(slots=True)
class Doing:
    """`now` gives the present moment as RFC 3339 with fractions. `tell` prints what hooks' pods said."""

    cluster: Cluster
    storage: Storage
    now: Callable[[], str]
    log: Log
    tell: Callable[[str], None] = lambda _: None

    async def targets(self, manifest: str, *, order: Sequence[str] | None = None) -> list[Target]:
        """The objects of a manifest and where they live. Raises ActionError."""
        try:
            return await self.cluster.targets(objects(manifest, order=order))
        except ClusterError as error:
            raise ActionError(f"unable to build kubernetes objects from release manifest: {error}") from error

    async def check_owners(self, targets: Iterable[Target], release: Release) -> list[Target]:
        """Those that are there already. Raises ClusterError for one that isn't the release's."""
        there = []
        for target in targets:
            live = await self.cluster.get(target)
            if live is None:
                continue
            why = owners.stranger(live, release.name, release.namespace)
            if why:
                place = f'{target.kind} "{target.name}" in namespace "{target.namespace or ""}"'
                raise ClusterError(f"{place} exists and cannot be imported into the current release: {why}")
            there.append(target)
        return there

    async def bring(self, target: Target, original: Object, applying: Applying, live: Object | None) -> Object:
        """Make an object what its manifest says; `original` is its manifest of the time before, `live` what is there."""
        if live is None:
            return await self.make(target, applying)
        if applying.force_replace:
            return await self.cluster.replace(target, live, dry_run=applying.dry_run)
        if applying.server_side:
            return await self._apply(target, await self._own_updates_applied(target, live, applying))
        type = type_of(target)
        found = three_way.patch(original, target.object, live, type)
        if not found:
            return live
        media = STRATEGIC if type is not None else MERGE
        return await self.cluster.patch(target, found, media, dry_run=applying.dry_run)

    async def make(self, target: Target, applying: Applying) -> Object:
        """Make an object that isn't there."""
        if applying.server_side:
            return await self._apply(target, applying)
        return await self.cluster.create(target, strict=applying.strict, dry_run=applying.dry_run)

    async def _own_updates_applied(self, target: Target, live: Object, applying: Applying) -> Applying:
        """Make what this manager set by patches before its own by apply; how to go on."""
        rows = managers.as_applied(live, MANAGER)
        if rows is None:
            return applying
        if applying.dry_run:  # which must not touch the object: its conflicts with itself don't count
            return replace(applying, force_conflicts=True)
        await self.cluster.patch(target, managers.patch(live, rows), JSON_PATCH)
        return applying

    async def _apply(self, target: Target, applying: Applying) -> Object:
        force, dry_run = applying.force_conflicts, applying.dry_run
        return await self.cluster.apply(target, force=force, strict=applying.strict, dry_run=dry_run)

    async def change(
        self, old: list[Target], new: list[Target], current: Release, applying: Applying, created: list[Target]
    ) -> None:
        """Bring each object to its new manifest, then delete what has none any more. `created` gets what wasn't there.

        Raises ClusterError: at once for what can't be made, in the end for all that can't be changed."""
        applying.check()
        before = {target.key: target for target in with_owner(old, current.name, current.namespace)}
        refused: list[str] = []
        for target in new:
            live = await self.cluster.get(target)
            if live is None:
                created.append(target)
                try:
                    await self.make(target, applying)
                except ClusterError as error:
                    raise ClusterError(f"failed to create resource: {error}") from error
                continue
            was = before.get(target.key)
            try:
                await self.bring(target, was.object if was is not None else {}, applying, live)
            except ClusterError as error:
                refused.append(str(error))  # the others are brought as far as they can be
        if refused:
            raise ClusterError(" && ".join(refused))
        wanted = by_key(new)
        for target in old:
            if target.key in wanted:
                continue
            live = await self.cluster.get(target)
            if live is None:
                continue
            if ((live.get("metadata") or {}).get("annotations") or {}).get(owners.POLICY) == owners.KEEP:
                self.log("DEBUG", "skipping delete due to annotation", kind=target.kind, name=target.name)
                continue
            await self.cluster.delete(target)

    async def wait(self, targets: Sequence[Target], waiting: Waiting) -> None:
        """Raises ClusterError when the time is over."""
        if not waiting.everything:
            return
        try:
            await self.cluster.wait_ready(targets, waiting.seconds, jobs=waiting.jobs)
        except Unready as error:
            if waiting.strategy == "legacy":  # which says no more
                raise ClusterError("context deadline exceeded") from error
            raise

    async def keep(self, release: Release, status: str, description: str, **more: Any) -> Release:
        """The release in another state, recorded."""
        changed = replace(release, status=status, description=description, **more)
        await self.storage.update(changed)
        return changed


def objects(manifest: str, *, order: Sequence[str] | None = None) -> list[Object]:
    """The objects of a manifest, as they stand or by an `order` of kinds; lists are taken apart."""
    out: list[Object] = []
    for document in split(manifest):
        found = read.parse(document)
        if not isinstance(found, dict) or not found:
            continue
        if str(found.get("kind", "")).endswith("List") and isinstance(found.get("items"), list):
            out += found["items"]
        else:
            out.append(found)
    if order is not None:
        places = {kind: place for place, kind in enumerate(order)}
        out.sort(key=lambda obj: (places.get(obj.get("kind", ""), len(places)), obj.get("kind", "")))
    return out


def by_key(targets: Iterable[Target]) -> dict[Key, Target]:
    return {target.key: target for target in targets}


def type_of(target: Target) -> Type | None:
    """The type of a built-in kind, None for any other."""
    kind = _built_in().get((target.resource.group, target.resource.resource))
    if kind is None or target.resource.version not in kind.versions:
        return None
    return kind.type(target.resource.version)


@cache
def _built_in() -> dict[tuple[str, str], Kind]:
    from heeler.kinds.registry import built_in

    return {(kind.group, kind.plural): kind for kind in built_in()}


def with_owner(targets: Iterable[Target], name: str, namespace: str) -> list[Target]:
    """The same as the release's own."""
    return [replace(target, object=owners.owned(target.object, name, namespace)) for target in targets]
