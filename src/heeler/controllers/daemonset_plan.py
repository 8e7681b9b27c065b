"""Which nodes get a daemon pod, which pods go, and how an update proceeds. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/ and
https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import affinity, pods, revisions, rollout
from heeler.workloads.taints import NO_EXECUTE, NO_SCHEDULE, untolerated

GENERATION_LABEL = "pod-template-generation"
GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
#: So many pods are made or deleted in one step at most.
BURST = 250

_TOLERATED = (
    ("node.kubernetes.io/not-ready", NO_EXECUTE),
    ("node.kubernetes.io/unreachable", NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/unschedulable", NO_SCHEDULE),
)
_TOLERATED_WITH_HOST_NETWORK = (("node.kubernetes.io/network-unavailable", NO_SCHEDULE),)


class Fit(NamedTuple):
    """Shall a node get a daemon, and may one that is there stay?"""

    run: bool
    stay: bool


class Step(NamedTuple):
    """`create`: names of nodes; `finished`: daemons that go (each with its node) because they ended, to be made again."""

    create: tuple[str, ...] = ()
    delete: tuple[Object, ...] = ()
    finished: tuple[tuple[str, Object], ...] = ()


def target_node(pod: Object) -> str:
    """The node that a daemon is on, or that its affinity names."""
    if pods.node_name(pod):
        return pods.node_name(pod)
    for term in affinity.required_terms(pod) or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return ""


def by_node(found: Sequence[Object]) -> dict[str, list[Object]]:
    """Daemons by node: scheduled ones first, then the oldest; those that are finished and being deleted count no more."""
    out: dict[str, list[Object]] = {}
    for pod in sorted(found, key=_rank):
        if not (pods.is_finished(pod) and pods.is_terminating(pod)):
            out.setdefault(target_node(pod), []).append(pod)
    return out


def _rank(pod: Object) -> tuple[bool, str, str]:
    return not pods.node_name(pod), meta(pod).get("creationTimestamp", ""), name_of(pod)


def generation(obj: Object) -> str:
    return str((meta(obj).get("annotations") or {}).get(GENERATION_ANNOTATION, ""))


def pod_spec(obj: Object, node: str) -> Object:
    """The spec of the daemon of a node: tied to it (what the author required has had its say), tolerant of its troubles."""
    spec = dict(obj["spec"]["template"].get("spec") or {})
    given = spec.get("affinity") or {}
    by_name = given.get("nodeAffinity") or {}
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    by_name = {**by_name, "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec["affinity"] = {**given, "nodeAffinity": by_name}
    tolerations = list(spec.get("tolerations") or ())
    more = _TOLERATED_WITH_HOST_NETWORK if spec.get("hostNetwork") else ()
    for key, effect in (*_TOLERATED, *more):
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in tolerations:
            tolerations.append(toleration)
    spec["tolerations"] = tolerations
    return spec


def new_pod(obj: Object, node: str, digest: str, reference: Object) -> Object:
    """The daemon of a node, of the revision with this hash."""
    given = obj["spec"]["template"].get("metadata") or {}
    labels = {**(given.get("labels") or {}), revisions.REVISION_LABEL: digest}
    if generation(obj):
        labels[GENERATION_LABEL] = generation(obj)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name_of(obj)}-",
            "labels": labels,
            "ownerReferences": [reference],
            **{key: given[key] for key in ("annotations", "finalizers") if given.get(key)},
        },
        "spec": pod_spec(obj, node),
    }


def fit(obj: Object, node: Object) -> Fit:
    """Is a node for this DaemonSet?"""
    fixed = obj["spec"]["template"]["spec"].get("nodeName")
    if fixed and fixed != name_of(node):
        return Fit(False, False)
    if not affinity.node_allowed(obj["spec"]["template"], node):
        return Fit(False, False)
    tolerations = pod_spec(obj, name_of(node))["tolerations"]
    taints = (node.get("spec") or {}).get("taints") or ()
    if untolerated(tolerations, taints, (NO_SCHEDULE, NO_EXECUTE)) is None:
        return Fit(True, True)
    return Fit(False, untolerated(tolerations, taints, (NO_EXECUTE,)) is None)


def fits(obj: Object, nodes: Sequence[Object]) -> dict[str, Fit]:
    return {name_of(node): fit(obj, node) for node in sorted(nodes, key=name_of)}


def min_ready(obj: Object) -> int:
    return int(obj["spec"].get("minReadySeconds") or 0)


class Limits(NamedTuple):
    surge: int
    unavailable: int


def limits(obj: Object, wanted: int) -> Limits:
    """How many daemons may be too many, and too few, while updating."""
    strategy = obj["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return Limits(0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = rollout.scaled(rolling.get("maxSurge"), wanted, round_up=True)
    unavailable = rollout.scaled(rolling.get("maxUnavailable"), wanted, round_up=True)
    return Limits(surge, 1 if wanted and not surge and not unavailable else unavailable)


def is_updated(obj: Object, pod: Object, digest: str) -> bool:
    labels = labels_of(pod)
    number = generation(obj)
    return labels.get(revisions.REVISION_LABEL) == digest or bool(number and labels.get(GENERATION_LABEL) == number)


def plan(
    obj: Object,
    found: Sequence[Object],
    nodes: Mapping[str, Fit],
    digest: str,
    now: float,
    waiting: Collection[str] = (),
) -> Step:
    """The next step: first the right nodes, then the right version.

    `waiting`: nodes whose failed daemon is left for now. An update goes on beside them, and may replace them.
    """
    step = _place(obj, found, nodes, digest, now, waiting)
    if step != Step() or (obj["spec"].get("updateStrategy") or {}).get("type") != "RollingUpdate":
        return step
    wanted = sum(one.run for one in nodes.values())
    surge, unavailable = limits(obj, wanted)
    if surge:
        return _surge(obj, by_node(found), nodes, digest, surge, wanted, now)
    return _replace(obj, by_node(found), digest, unavailable, now)


def _place(
    obj: Object, found: Sequence[Object], nodes: Mapping[str, Fit], digest: str, now: float, waiting: Collection[str]
) -> Step:
    """Daemons where none is, none where none shall be; one for each node, two while a surge goes on."""
    there = by_node(found)
    surging = limits(obj, 1).surge > 0
    create: list[str] = []
    delete: list[Object] = []
    finished: list[tuple[str, Object]] = []
    for node, (run, stay) in nodes.items():
        own = there.get(node, [])
        going = [pod for pod in own if not pods.is_terminating(pod)]
        if run and not own:
            create.append(node)
        elif stay:
            failed = [pod for pod in going if pods.phase(pod) == "Failed"]
            if node not in waiting:  # the next one waits for this one's pause
                finished += [(node, pod) for pod in failed[:1]]
            finished += [(node, pod) for pod in going if pods.phase(pod) == "Succeeded"]
            running = [pod for pod in going if not pods.is_finished(pod)]
            if not surging:
                delete += running[1:]
            elif run and not running:  # a surge is there to have one at all times: it doesn't wait for one that goes
                create.append(node)
            else:
                delete += _superfluous(obj, running, digest, now)
        else:
            delete += going
    for node, own in there.items():  # waiting for a node that is no more
        if node not in nodes:
            delete += [pod for pod in own if not pods.node_name(pod) and not pods.is_terminating(pod)]
    return Step(tuple(create[:BURST]), tuple(delete[:BURST]), tuple(finished[:BURST]))


def _superfluous(obj: Object, running: Sequence[Object], digest: str, now: float) -> list[Object]:
    """Of several daemons on a node with a surge: all but one of each version, and the old one when it isn't needed."""
    new = [pod for pod in running if revisions.label_of(pod) == digest]
    old = [pod for pod in running if revisions.label_of(pod) != digest]
    out = [*new[1:], *old[1:]]
    if new and old and (not pods.is_ready(old[0]) or pods.is_available(new[0], min_ready(obj), now)):
        out.append(old[0])
    return out


def _versions(obj: Object, own: Sequence[Object], digest: str) -> tuple[list[Object], list[Object]]:
    """(daemons of the present template, others), without those that are going."""
    going = [pod for pod in own if not pods.is_terminating(pod)]
    new = [pod for pod in going if is_updated(obj, pod, digest)]
    return new, [pod for pod in going if not is_updated(obj, pod, digest)]


def _replace(obj: Object, there: Mapping[str, Sequence[Object]], digest: str, unavailable: int, now: float) -> Step:
    """Old daemons go: those that don't work anyway, and others as far as may be unavailable."""
    missing = 0
    broken: list[Object] = []
    candidates: list[Object] = []
    for own in there.values():
        new, old = _versions(obj, own, digest)
        if len(new) > 1 or len(old) > 1 or bool(new) == bool(old):
            missing += 1
        elif new:
            missing += not pods.is_available(new[0], min_ready(obj), now)
        elif not pods.is_available(old[0], min_ready(obj), now):
            broken.append(old[0])
        else:
            candidates.append(old[0])
    return Step(delete=(*broken, *candidates[: max(0, unavailable - missing - len(broken))])[:BURST])


def _surge(
    obj: Object,
    there: Mapping[str, Sequence[Object]],
    nodes: Mapping[str, Fit],
    digest: str,
    surge: int,
    wanted: int,
    now: float,
) -> Step:
    """New daemons come beside the old ones, which go as soon as the new one is available.

    Old ones on nodes that shall have none go when they don't work, and otherwise when there are enough without them.
    """

    def works(pod: Object) -> bool:
        return pods.is_available(pod, min_ready(obj), now)

    more = available = 0
    broken: list[str] = []
    candidates: list[str] = []
    delete: list[Object] = []
    misplaced: list[Object] = []
    for node, own in there.items():
        new, old = _versions(obj, own, digest)
        if len(new) > 1 or len(old) > 1:
            more += 1
            continue
        available += any(works(pod) for pod in old or new)
        if not old:
            continue
        if new:
            if works(new[0]):
                delete.append(old[0])
            else:
                more += 1
        elif node not in nodes:
            continue
        elif nodes[node].run:
            (candidates if works(old[0]) else broken).append(node)
        else:
            (misplaced if works(old[0]) else delete).append(old[0])
    delete += misplaced[: max(0, available - wanted)]
    return Step(create=(*broken, *candidates[: max(0, surge - more)])[:BURST], delete=tuple(delete[:BURST]))


def status(
    obj: Object, found: Sequence[Object], nodes: Mapping[str, Fit], digest: str, collisions: int | None, now: float
) -> Object:
    """The status for these pods. Nodes that may only keep their daemon aren't wanted: it is misscheduled there."""
    there = by_node(found)
    wanted = [node for node, one in nodes.items() if one.run]
    first = [own[0] for node in wanted if (own := there.get(node))]
    available = sum(pods.is_available(pod, min_ready(obj), now) for pod in first)
    counts = {
        "updatedNumberScheduled": sum(is_updated(obj, pod, digest) for pod in first),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }
    out: Object = {
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(bool(there.get(node)) and not one.run for node, one in nodes.items()),
        "desiredNumberScheduled": len(wanted),
        "numberReady": sum(pods.is_ready(pod) for pod in first),
        "observedGeneration": meta(obj).get("generation") or 0,
        **{key: count for key, count in counts.items() if count},
    }
    if collisions is not None:
        out["collisionCount"] = collisions
    conditions = (obj.get("status") or {}).get("conditions")
    if conditions:
        out["conditions"] = conditions
    return out
