"""What an upgrade would change: each object as it is beside what the server says that it would be, by a dry run of an upgrade.

`against_cluster` asks the server and writes nothing; `between` compares two manifests and asks nobody. Both give `Change`s,
which hold no secrets unless these are asked for. An object that doesn't change is one, too.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.packages.releases import owners
from heeler.packages.releases.cluster import ClusterError, Key, NoCluster, Target
from heeler.packages.releases.doing import ActionError, Applying, Doing, by_key, objects, with_owner
from heeler.packages.releases.records import Release
from heeler.packages.yaml.write import dump

Action = Literal["create", "change", "delete", "keep", "none"]

#: Metadata that only the server writes, or that differs from one moment to the next.
VOLATILE = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
#: What kubectl repeats of a whole object, secrets among it.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: What stands for a secret's value: as it is on both sides, or before and after a change.
HIDDEN, HIDDEN_BEFORE, HIDDEN_AFTER = "***", "*** (before)", "*** (after)"
#: Lines of an object beyond which it is shown as replaced: comparing costs their product at worst.
MAX_LINES = 20_000
#: Lines that stand around a change.
CONTEXT = 3
#: Objects that the server is asked about at a time.
AT_ONCE = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that `manager` set and an upgrade would set otherwise; the server refuses that unless it is forced."""

    manager: str
    field: str


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one object. `before` and `after` are shown (bare, secrets hidden), None where there is nothing.

    `problem`: why the server would refuse it. `note`: what else there is to know. `hook`: it is made at an event.
    """

    action: Action
    api_version: str
    kind: str
    namespace: str
    name: str
    before: Object | None = None
    after: Object | None = None
    conflicts: tuple[Conflict, ...] = ()
    problem: str = ""
    note: str = ""
    hook: bool = False

    @property
    def title(self) -> str:
        """`Deployment default/web (apps/v1)`"""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{'hook ' if self.hook else ''}{self.kind} {place} ({self.api_version})"

    @property
    def fails(self) -> bool:
        return bool(self.problem or self.conflicts)

    def lines(self, context: int = CONTEXT) -> list[str]:
        """The change as a unified diff, without line ends; nothing where the text is the same."""
        old, new = _lines(self.before), _lines(self.after)
        if len(old) > MAX_LINES or len(new) > MAX_LINES:
            return [] if old == new else [f"-{line}" for line in old] + [f"+{line}" for line in new]
        place = "/".join(part for part in (self.namespace, self.kind, self.name) if part)
        names = (f"before/{place}", f"after/{place}")
        return list(difflib.unified_diff(old, new, *names, n=context, lineterm=""))


@dataclass(slots=True)
class Difference:
    """All changes, in the order in which an upgrade makes them."""

    changes: list[Change] = field(default_factory=list)

    def count(self, action: Action) -> int:
        return sum(change.action == action for change in self.changes)

    @property
    def is_empty(self) -> bool:
        """Would an upgrade change nothing?"""
        return all(change.action in ("none", "keep") and not change.fails for change in self.changes)

    @property
    def failing(self) -> list[Change]:
        """What an upgrade would fail at."""
        return [change for change in self.changes if change.fails]


def _lines(obj: Object | None) -> list[str]:
    return [] if obj is None else dump(obj).splitlines()


# ---- objects as they are shown -------------------------------------------------------------------------------------------


def bare(obj: Object) -> Object:
    """The object without its status and what only the server says of it."""
    out = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in VOLATILE}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    out["metadata"] = metadata
    return out


def _is_secret(obj: Object | None) -> bool:
    return obj is not None and obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def hidden(before: Object | None, after: Object | None) -> tuple[Object | None, Object | None]:
    """Both without a Secret's values; which of them change stays visible."""
    if not _is_secret(before) and not _is_secret(after):
        return before, after
    old, new = dict(before or {}), dict(after or {})
    for part in ("data", "stringData"):
        was, becomes = old.get(part), new.get(part)
        for side, own, others, changed in ((old, was, becomes, HIDDEN_BEFORE), (new, becomes, was, HIDDEN_AFTER)):
            if isinstance(own, dict):
                side[part] = {key: _mask(value, others, key, changed) for key, value in own.items()}
            elif own is not None:
                side[part] = HIDDEN
    return (old if before is not None else None), (new if after is not None else None)


def _mask(value: Any, others: Any, key: str, changed: str) -> str:
    both = isinstance(others, dict) and key in others
    return changed if both and others[key] != value else HIDDEN


def _change(
    target: Target, before: Object | None, after: Object | None, show_secrets: bool, action: Action | None = None
) -> Change:
    old, new = (None if obj is None else bare(obj) for obj in (before, after))
    if action is None:
        action = "create" if old is None else "delete" if new is None else "none" if old == new else "change"
    if not show_secrets:
        old, new = hidden(old, new)
    return Change(action, target.resource.api_version, target.kind, target.namespace or "", target.name, old, new)


# ---- against a cluster ----------------------------------------------------------------------------------------------------


async def against_cluster(
    doing: Doing,
    current: Release | None,
    release: Release,
    applying: Applying,
    *,
    show_secrets: bool = False,
    kinds_to_come: frozenset[tuple[str, str]] = frozenset(),
) -> Difference:
    """What bringing the cluster from `current` (None: it isn't installed) to `release` would change.

    `kinds_to_come`: (group, kind) of definitions that an install would make first; objects of these are shown as the manifest
    has them where the server doesn't know them yet. Raises ActionError, ClusterError.
    """
    found = Difference()
    wanted, unknown = await _targets(doing, release, kinds_to_come)
    old = [] if current is None else await doing.targets(current.manifest)
    before = {target.key: target for target in with_owner(old, release.name, release.namespace)}
    asked = [
        _one(doing, target, before.get(target.key), release, applying, show_secrets)
        for target in with_owner(wanted, release.name, release.namespace)
    ]
    found.changes += await _several(asked)
    for target in with_owner(unknown, release.name, release.namespace):
        note = "its kind isn't served yet: shown as the manifest has it"
        found.changes.append(replace(_change(target, None, target.object, show_secrets), note=note))
    kept = by_key(wanted)
    leaving = [target for target in old if target.key not in kept]
    for target, live in zip(leaving, await _several([doing.cluster.get(target) for target in leaving]), strict=True):
        if live is None:
            continue
        annotations = (live.get("metadata") or {}).get("annotations") or {}
        if annotations.get(owners.POLICY) == owners.KEEP:
            change = _change(target, live, live, show_secrets, "keep")
            found.changes.append(
                replace(change, note="stays in the cluster, by its annotation, but leaves the release")
            )
        else:
            found.changes.append(_change(target, live, None, show_secrets))
    return found


async def _several(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The answers to questions that don't depend on each other, in their order. Raises what the first that failed raised."""
    out: list[T] = []
    for start in range(0, len(asked), AT_ONCE):
        answers = await asyncio.gather(*asked[start : start + AT_ONCE], return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                for rest in asked[start + AT_ONCE :]:
                    rest.close()
                raise answer
            out.append(answer)
    return out


async def _targets(
    doing: Doing, release: Release, kinds_to_come: frozenset[tuple[str, str]]
) -> tuple[list[Target], list[Target]]:
    """(the objects whose kinds are served, those whose kinds come with the release). Raises ActionError."""
    if not kinds_to_come:
        return await doing.targets(release.manifest), []
    known, unknown = [], []
    for obj in objects(release.manifest):
        group = str(obj.get("apiVersion") or "").rpartition("/")[0]
        try:
            known += await doing.cluster.targets([obj])
        except ClusterError as error:
            if (group, obj.get("kind")) not in kinds_to_come:
                raise ActionError(f"unable to build kubernetes objects from release manifest: {error}") from error
            unknown += await NoCluster(doing.cluster.namespace).targets([obj])
    return known, unknown


async def _one(
    doing: Doing, target: Target, was: Target | None, release: Release, applying: Applying, show_secrets: bool
) -> Change:
    """What becomes of an object of the new manifest; `was` is it in the manifest of the time before."""
    asking = replace(applying, dry_run=True)
    if not target.name:
        return replace(_change(target, None, target.object, show_secrets), problem="metadata.name must be set")
    live = await doing.cluster.get(target)
    if live is not None and was is None and not applying.take_ownership:
        if why := owners.stranger(live, release.name, release.namespace):
            change = _change(target, live, None, show_secrets, "change")
            text = f"exists and cannot be imported into the current release: {why}"
            return replace(change, before=None, problem=text)
    if live is None:
        made = _change(target, None, target.object, show_secrets)
        try:
            await doing.make(target, asking)
        except ClusterError as error:
            return _unless_a_namespace_is_missing(made, error)
        return made
    original = was.object if was is not None else {}
    conflicts: tuple[Conflict, ...] = ()
    try:
        try:
            after = await doing.bring(target, original, asking, live)
        except ClusterError as error:
            conflicts = conflicts_of(error)
            if not conflicts:
                raise
            after = await doing.bring(target, original, replace(asking, force_conflicts=True), live)
    except ClusterError as error:
        manifest = _change(target, None, None, show_secrets, "change")
        return replace(manifest, problem=_short(error), conflicts=conflicts)
    return replace(_change(target, live, after, show_secrets), conflicts=conflicts)


def _unless_a_namespace_is_missing(change: Change, error: ClusterError) -> Change:
    cause = error.__cause__
    if isinstance(cause, StatusError) and cause.code == 404 and str(cause.message).startswith("namespaces "):
        return replace(change, note=f"not asked of the server: {cause.message}")
    return replace(change, problem=_short(error))


def _short(error: ClusterError) -> str:
    """What the server said, without what stands in the title anyway."""
    cause = error.__cause__
    return cause.message if isinstance(cause, StatusError) and cause.message else str(error)


_MANAGER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')


def conflicts_of(error: ClusterError) -> tuple[Conflict, ...]:
    """Whose fields a server-side apply would take over; nothing if it failed for another reason."""
    cause = error.__cause__
    if not isinstance(cause, StatusError) or cause.code != 409:
        return ()
    rows = (cause.details or {}).get("causes") or ()
    found = []
    for row in rows:
        if row.get("reason") == "FieldManagerConflict":
            match = _MANAGER.search(str(row.get("message")))
            found.append(Conflict(match[1] if match else str(row.get("message")), str(row.get("field") or "")))
    return tuple(found)


# ---- between manifests ----------------------------------------------------------------------------------------------------


def between(old: str, new: str, *, namespace: str = "", show_secrets: bool = False, hooks: bool = False) -> Difference:
    """What differs between two manifests; objects without a namespace are taken to be in `namespace`.

    Raises GoError for what is no YAML.
    """
    before, after = _keyed(objects(old), namespace), _keyed(objects(new), namespace)
    found = Difference()
    for key, target in after.items():
        was = before.get(key)
        found.changes.append(_change(target, None if was is None else was.object, target.object, show_secrets))
    found.changes += [_change(t, t.object, None, show_secrets) for key, t in before.items() if key not in after]
    if hooks:
        found.changes = [replace(change, hook=True) for change in found.changes]
    return found


def _keyed(found: Iterable[Object], namespace: str) -> dict[Key, Target]:
    out: dict[Key, Target] = {}
    for obj in found:
        if not isinstance(obj, dict):
            continue
        group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
        metadata = obj.get("metadata") or {}
        resource = GroupVersionResource(group, version, str(obj.get("kind") or "").lower())
        place = metadata.get("namespace") or namespace or None
        target = Target(resource, str(obj.get("kind") or ""), place, str(metadata.get("name") or ""), obj)
        out[target.key] = target
    return out


def hooks_between(current: Release | None, release: Release, *, show_secrets: bool = False) -> Difference:
    """What differs of the hooks: these are made at their events, so that the cluster tells nothing of them."""

    def manifest(one: Release | None) -> str:
        return "".join(f"---\n{hook.manifest}\n" for hook in one.hooks) if one is not None else ""

    return between(
        manifest(current), manifest(release), namespace=release.namespace, show_secrets=show_secrets, hooks=True
    )


def custom_kinds(manifests: Sequence[str]) -> frozenset[tuple[str, str]]:
    """(group, kind) of the definitions among the objects of `manifests`."""
    found = set()
    for manifest in manifests:
        for obj in objects(manifest):
            if isinstance(obj, dict) and obj.get("kind") == "CustomResourceDefinition":
                spec = obj.get("spec") or {}
                found.add((str(spec.get("group") or ""), str((spec.get("names") or {}).get("kind") or "")))
    return frozenset(found)
