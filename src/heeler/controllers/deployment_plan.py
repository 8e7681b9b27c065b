"""What a Deployment's next step is: which of its sets gets which size, which old ones go.

Pure: a Deployment and its sets in (oldest first), a `Step` out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heeler.objects.value import Object, meta, name_of
from heeler.workloads import rollout

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
#: Annotations that stay with the Deployment.
KEPT_BACK = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
)


class Step(NamedTuple):
    """`scale`: (name, size) of sets that change; `annotate`: sets whose size notes are brought up to date."""

    scale: list[tuple[str, int]]
    annotate: list[str]


def size(obj: Object) -> int:
    return int(obj["spec"].get("replicas") or 0)


def available(obj: Object) -> int:
    """Available pods. A set that was just made smaller may still tell of more than it has."""
    return min(size(obj), int((obj.get("status") or {}).get("availableReplicas") or 0))


def active(sets: Sequence[Object]) -> list[Object]:
    return [obj for obj in sets if size(obj) > 0]


def revision(obj: Object) -> int:
    text = (meta(obj).get("annotations") or {}).get(REVISION, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def desired_annotation(obj: Object) -> int | None:
    return _number(obj, DESIRED)


def _number(obj: Object, name: str) -> int | None:
    text = (meta(obj).get("annotations") or {}).get(name)
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def wanted_annotations(deployment: Object) -> dict[str, str]:
    """The Deployment's annotations that its set gets too."""
    return {k: v for k, v in (meta(deployment).get("annotations") or {}).items() if k not in KEPT_BACK}


def new_set_of(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The oldest set with the Deployment's template."""
    template = deployment["spec"]["template"]
    return next((obj for obj in sets if rollout.same_template(template, obj["spec"]["template"])), None)


def is_scaling_event(deployment: Object, sets: Sequence[Object]) -> bool:
    """The wanted number was changed since the sets were scaled."""
    wanted = deployment["spec"].get("replicas") or 0
    return any((noted := desired_annotation(obj)) is not None and noted != wanted for obj in active(sets))


def plan(deployment: Object, sets: Sequence[Object], *, scale_only: bool = False) -> Step:
    """The next step of a rolling update; with `scale_only` (paused, or the size was changed) only the share-out."""
    new = new_set_of(deployment, sets)
    old = [obj for obj in sets if obj is not new]
    if scale_only:
        return _share_out(deployment, new, old)
    wanted, strategy = deployment["spec"].get("replicas") or 0, deployment["spec"].get("strategy") or {}
    if new is not None and size(new) != wanted:
        count = wanted
        if size(new) < wanted:
            count = rollout.new_replicas(strategy, wanted, size(new), sum(size(obj) for obj in sets))
        if count != size(new):
            return Step([(name_of(new), count)], [name_of(new)])
    changes = _scale_down(deployment, new, old)
    return Step(changes, [name for name, _ in changes])


def _scale_down(deployment: Object, new: Object | None, old: Sequence[Object]) -> list[tuple[str, int]]:
    """Old sets give up pods: unavailable ones first, then as many as may be missing."""
    sizes = {name_of(obj): size(obj) for obj in old if size(obj) > 0}
    if not sizes:
        return []
    wanted, strategy = deployment["spec"].get("replicas") or 0, deployment["spec"].get("strategy") or {}
    least = wanted - rollout.bounds(strategy, wanted).unavailable
    new_size, new_available = (size(new), available(new)) if new is not None else (0, 0)
    room = sum(sizes.values()) + new_size - least - (new_size - new_available)
    if room <= 0:
        return []
    before = dict(sizes)
    for obj in old:
        broken = sizes.get(name_of(obj), 0) - available(obj)
        if name_of(obj) in sizes and broken > 0 and room > 0:
            count = min(room, broken)
            sizes[name_of(obj)] -= count
            room -= count
    spare = new_available + sum(available(obj) for obj in old if name_of(obj) in sizes) - least
    for obj in old:
        if spare <= 0:
            break
        count = min(sizes.get(name_of(obj), 0), spare)
        if count > 0:
            sizes[name_of(obj)] -= count
            spare -= count
    return [(name, count) for name, count in sizes.items() if count != before[name]]


def _share_out(deployment: Object, new: Object | None, old: Sequence[Object]) -> Step:
    """A change of size goes to the only set, or in proportion to all that have pods."""
    wanted, strategy = deployment["spec"].get("replicas") or 0, deployment["spec"].get("strategy") or {}
    everybody = [*old, *([new] if new is not None else [])]
    having = active(everybody)
    only = having[0] if len(having) == 1 else None
    if not having:
        only = new if new is not None else (old[-1] if old else None)
    if only is not None:
        changed = [(name_of(only), wanted)] if size(only) != wanted else []
        return Step(changed, [name_of(only)] if changed else [])
    if new is not None and _saturated(deployment, new):
        names = [name_of(obj) for obj in active(old)]
        return Step([(name, 0) for name in names], names)
    if strategy.get("type") != "RollingUpdate" or not having:
        return Step([], [])
    surge = rollout.bounds(strategy, wanted).surge if wanted else 0
    total = sum(size(obj) for obj in having)
    growing = wanted + surge > total if wanted else False
    # Ties: when growing the newer set is served first, when shrinking the older one.
    order = sorted(having, key=_created, reverse=growing)
    order.sort(key=size, reverse=True)
    fallback = int((deployment.get("status") or {}).get("replicas") or 0)
    bases = [_number(obj, MAX) or fallback for obj in order]
    sizes = rollout.proportional([size(obj) for obj in order], bases, wanted, surge, total)
    names = [name_of(obj) for obj in order]
    return Step(list(zip(names, sizes, strict=True)), names)


def _created(obj: Object) -> tuple[str, str]:
    return meta(obj).get("creationTimestamp", ""), name_of(obj)


def _saturated(deployment: Object, new: Object) -> bool:
    wanted = deployment["spec"].get("replicas") or 0
    return size(new) == wanted and desired_annotation(new) == wanted and available(new) == wanted


def removable(deployment: Object, sets: Sequence[Object]) -> list[Object]:
    """Old sets beyond the history limit, the oldest revision first; none that has or may get pods."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == 2**31 - 1:
        return []
    new = new_set_of(deployment, sets)
    old = [obj for obj in sets if obj is not new and "deletionTimestamp" not in obj["metadata"]]
    excess = len(old) - limit
    if excess <= 0:
        return []
    old.sort(key=revision)
    return [obj for obj in old[:excess] if _empty(obj)]


def _empty(obj: Object) -> bool:
    status = obj.get("status") or {}
    seen = (status.get("observedGeneration") or 0) >= (meta(obj).get("generation") or 0)
    return size(obj) == 0 and not status.get("replicas") and seen
