"""What a StatefulSet's next step is: which pod is made, deleted or put right. Pure.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/ — each pod has a number and keeps its name and
claims; with OrderedReady one pod after the other is touched, with Parallel all at once. The caller comes again after
each step, so that one kind of action at a time is enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import pods, revisions, rollout

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
#: A step makes no more pods than this.
BURST = 500


class Step(NamedTuple):
    """`create`: ordinals with the name of their revision; `fix`: pods whose identity, volumes or claims are not right."""

    create: tuple[tuple[int, str], ...] = ()
    delete: tuple[Object, ...] = ()
    fix: tuple[Object, ...] = ()


class Names(NamedTuple):
    """The names of the revision that pods had so far and of the one that they shall get."""

    current: str
    update: str


#: Are a pod's claims there, and owned as the retention policy says?
Settled = Callable[[Object], bool]


def ordinal(name: str, parent: str) -> int:
    """The number in a pod's name; -1 if it isn't a pod of this set."""
    head, dash, tail = name.rpartition("-")
    return int(tail) if dash and head == parent and tail.isascii() and tail.isdigit() else -1


def start_of(obj: Object) -> int:
    return int((obj["spec"].get("ordinals") or {}).get("start") or 0)


def wanted_of(obj: Object) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def is_parallel(obj: Object) -> bool:
    return bool(obj["spec"].get("podManagementPolicy") == "Parallel")


def partition_of(obj: Object) -> int:
    return int((_strategy(obj).get("rollingUpdate") or {}).get("partition") or 0)


def _strategy(obj: Object) -> Object:
    return obj["spec"].get("updateStrategy") or {}


def is_running_and_ready(pod: Object) -> bool:
    return pods.phase(pod) == "Running" and pods.is_ready(pod)


def is_available(obj: Object, pod: Object, now: float) -> bool:
    seconds = int(obj["spec"].get("minReadySeconds") or 0)
    return is_running_and_ready(pod) and pods.is_available(pod, seconds, now)


class Place(NamedTuple):
    """A number that is to have a pod; None: it is missing."""

    number: int
    pod: Object | None


def sorted_out(obj: Object, found: Sequence[Object]) -> tuple[list[Place], list[Object]]:
    """(the places in their order; the pods that are too many, the highest number first).

    Of places whose pods are missing only the first ones are there, as many as one step may make.
    """
    there: dict[int, Object] = {}
    surplus: list[Object] = []
    start, parent = start_of(obj), name_of(obj)
    numbers = range(start, start + wanted_of(obj))
    for pod in found:
        number = ordinal(name_of(pod), parent)
        if number in numbers:
            there[number] = pod
        elif number >= 0:
            surplus.append(pod)
    missing = itertools.islice((number for number in numbers if number not in there), BURST)
    places = [Place(number, there.get(number)) for number in sorted([*there, *missing])]
    surplus.sort(key=lambda pod: ordinal(name_of(pod), parent), reverse=True)
    return places, surplus


def plan(obj: Object, found: Sequence[Object], names: Names, settled: Settled, now: float) -> Step:
    """The next step for a set whose pods are `found`."""
    if "deletionTimestamp" in obj["metadata"]:
        return Step()
    places, surplus = sorted_out(obj, found)
    step, waits = _fill(obj, places, names, settled, now)
    if step != Step() or waits:
        return step
    step, waits = _shrink(obj, places, surplus, settled, now)
    if step != Step() or waits:
        return step
    return _update(obj, places, names, now)


def _fill(obj: Object, places: Sequence[Place], names: Names, settled: Settled, now: float) -> tuple[Step, bool]:
    """Pods that are missing, finished or not as they must be; True: nothing further before this is well."""
    ordered = not is_parallel(obj)
    create: list[tuple[int, str]] = []
    delete: list[Object] = []
    fix: list[Object] = []
    for number, pod in places:
        if pod is None:
            create.append((number, names.current if number < start_of(obj) + _kept(obj) else names.update))
        elif pods.is_finished(pod):
            if not pods.is_terminating(pod):
                delete.append(pod)
        elif ordered and not _is_well(obj, pod, now):
            if not pods.is_terminating(pod) and not settled(pod):
                fix.append(pod)
        elif not pods.is_terminating(pod) and not (identity_is_right(obj, pod) and settled(pod)):
            fix.append(pod)
        else:
            continue
        if ordered:  # one thing at a time, and nothing before that is well
            return Step(tuple(create), tuple(delete), tuple(fix)), True
    return Step(tuple(create), tuple(delete), tuple(fix)), False


def _is_well(obj: Object, pod: Object, now: float) -> bool:
    return not pods.is_terminating(pod) and is_available(obj, pod, now)


def _kept(obj: Object) -> int:
    """New pods with a number below this one are made of the current revision."""
    strategy = _strategy(obj)
    if strategy.get("type") != "RollingUpdate":
        return 0
    if strategy.get("rollingUpdate") is None:
        return int((obj.get("status") or {}).get("currentReplicas") or 0)
    return partition_of(obj)


def _shrink(
    obj: Object, places: Sequence[Place], surplus: Sequence[Object], settled: Settled, now: float
) -> tuple[Step, bool]:
    fix = tuple(pod for pod in surplus if not settled(pod))
    if fix:
        return Step(fix=fix), True
    if is_parallel(obj):
        return Step(delete=tuple(pod for pod in surplus if not pods.is_terminating(pod))), False
    if not surplus:
        return Step(), False
    pod = surplus[0]  # one that isn't available goes if it is the first such: what is kept is well by now
    there = [place.pod for place in places if place.pod is not None]
    ill = (one for one in (*there, *reversed(surplus)) if not _is_well(obj, one, now))
    if pods.is_terminating(pod) or (not is_available(obj, pod, now) and pod is not next(ill, None)):
        return Step(), True
    return Step(delete=(pod,)), True


def _update(obj: Object, places: Sequence[Place], names: Names, now: float) -> Step:
    """Which pods of an old revision go, the highest number first, as many as may be unavailable."""
    if _strategy(obj).get("type") != "RollingUpdate":
        return Step()
    limit = (_strategy(obj).get("rollingUpdate") or {}).get("maxUnavailable")
    allowed = max(1, rollout.scaled(1 if limit is None else limit, wanted_of(obj), round_up=False))
    missing = sum(pod is None or not _is_well(obj, pod, now) for _, pod in places)
    first = start_of(obj) + partition_of(obj)
    delete: list[Object] = []
    for number, pod in reversed(places):
        if number < first or pod is None or pods.is_terminating(pod) or revisions.label_of(pod) == names.update:
            continue
        if not is_available(obj, pod, now):
            delete.append(pod)  # it is missing already
        elif missing < allowed:
            delete.append(pod)
            missing += 1
    return Step(delete=tuple(delete))


# what a pod looks like


def claim_names(obj: Object, number: int) -> dict[str, str]:
    """Volume name to claim name of the pod with a number."""
    templates = obj["spec"].get("volumeClaimTemplates") or ()
    return {name_of(template): f"{name_of(template)}-{name_of(obj)}-{number}" for template in templates}


def new_claims(obj: Object, number: int) -> list[Object]:
    """The claims of the pod with a number."""
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    out = []
    for template in obj["spec"].get("volumeClaimTemplates") or ():
        given = meta(template)
        metadata: Object = {
            "name": claim_names(obj, number)[name_of(template)],
            "namespace": obj["metadata"]["namespace"],
            "labels": {**(given.get("labels") or {}), **labels},
        }
        if given.get("annotations"):
            metadata["annotations"] = dict(given["annotations"])
        out.append(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}
        )
    return out


def new_pod(obj: Object, number: int, template: Object, revision: str, reference: Object) -> Object:
    """The pod with a number, of a revision's template."""
    name = f"{name_of(obj)}-{number}"
    given = template.get("metadata") or {}
    metadata: Object = {
        "name": name,
        "generateName": f"{name_of(obj)}-",
        "namespace": obj["metadata"]["namespace"],
        "labels": {**(given.get("labels") or {}), **identity_labels(name, number), revisions.REVISION_LABEL: revision},
        "ownerReferences": [reference],
        **{key: given[key] for key in ("annotations", "finalizers") if given.get(key)},
    }
    spec = {**(template.get("spec") or {}), "hostname": name}
    if obj["spec"].get("serviceName"):
        spec["subdomain"] = obj["spec"]["serviceName"]
    spec["volumes"] = volumes(obj, number, spec.get("volumes") or ())
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def identity_labels(name: str, number: int) -> dict[str, str]:
    return {POD_NAME_LABEL: name, POD_INDEX_LABEL: str(number)}


def volumes(obj: Object, number: int, given: Sequence[Object]) -> list[Object]:
    """The claims' volumes, then the template's others."""
    names = claim_names(obj, number)
    own = [{"name": name, "persistentVolumeClaim": {"claimName": found}} for name, found in names.items()]
    return [*own, *(volume for volume in given if volume.get("name") not in names)]


def identity_is_right(obj: Object, pod: Object) -> bool:
    """It has the labels of its number."""
    wanted = identity_labels(name_of(pod), ordinal(name_of(pod), name_of(obj)))
    labels = labels_of(pod)
    return all(labels.get(key) == value for key, value in wanted.items())


def with_identity(obj: Object, pod: Object) -> Object:
    """The same pod with the labels of its number."""
    number = ordinal(name_of(pod), name_of(obj))
    labels = {**labels_of(pod), **identity_labels(name_of(pod), number)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


# status


def status(obj: Object, found: Sequence[Object], names: Names, collisions: int, now: float) -> Object:
    """The status for these pods; ends a rolling update that is through."""
    made = [pod for pod in found if pods.phase(pod)]
    going = [pod for pod in made if not pods.is_terminating(pod)]
    counts = {
        "readyReplicas": sum(is_running_and_ready(pod) for pod in made),
        "currentReplicas": sum(revisions.label_of(pod) == names.current for pod in going),
        "updatedReplicas": sum(revisions.label_of(pod) == names.update for pod in going),
    }
    current, wanted = names.current, wanted_of(obj)
    if (
        _strategy(obj).get("type") == "RollingUpdate"
        and counts["updatedReplicas"] == counts["readyReplicas"] == len(made) == wanted
    ):
        current, counts["currentReplicas"] = names.update, counts["updatedReplicas"]
    out: Object = {
        "observedGeneration": meta(obj).get("generation") or 0,
        "replicas": len(made),
        **{key: count for key, count in counts.items() if count},
        "currentRevision": current,
        "updateRevision": names.update,
        "collisionCount": collisions,
        "availableReplicas": sum(is_available(obj, pod, now) for pod in made),
    }
    conditions = (obj.get("status") or {}).get("conditions")
    if conditions:
        out["conditions"] = conditions
    return out


def until_available(obj: Object, found: Sequence[Object], now: float) -> float | None:
    """Seconds until the next ready pod has been ready for long enough; None if no pod is on its way there."""
    seconds = int(obj["spec"].get("minReadySeconds") or 0)
    waits = [since + seconds - now for pod in found if (since := pods.ready_since(pod)) is not None]
    return min((wait for wait in waits if wait > 0), default=None)


# claims and who owns them


def claim_owners(obj: Object, number: int) -> tuple[bool, bool]:
    """Shall the set own the claims of the pod with a number, shall the pod own them?

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention
    """
    policy = obj["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    inside = start_of(obj) <= number < start_of(obj) + wanted_of(obj)
    if policy.get("whenScaled") == "Delete" and not inside:
        return False, True
    return policy.get("whenDeleted") == "Delete", False


def owned_claim(obj: Object, claim: Object, number: int, pod: Object | None, reference: Object) -> Object:
    """The claim with the owners that the retention policy wants; the same object if it has them.

    A claim that somebody else controls is left alone.
    """
    references = meta(claim).get("ownerReferences") or []
    ours = {obj["metadata"]["uid"]} | ({pod["metadata"]["uid"]} if pod is not None else set())
    by_kind = [
        r
        for r in references
        if (r.get("kind") == "StatefulSet" and r.get("name") == name_of(obj))
        or (r.get("kind") == "Pod" and r.get("name") == f"{name_of(obj)}-{number}")
    ]
    if any(r.get("controller") and r not in by_kind and r.get("uid") not in ours for r in references):
        return claim
    of_set, of_pod = claim_owners(obj, number)
    wanted = [r for r in references if r not in by_kind]
    if of_set:
        wanted.append(reference)
    if of_pod and pod is not None:
        wanted.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name_of(pod),
                "uid": pod["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        )
    if wanted == references:
        return claim
    metadata = {key: value for key, value in claim["metadata"].items() if key != "ownerReferences"}
    if wanted:
        metadata["ownerReferences"] = wanted
    return {**claim, "metadata": metadata}


def is_stale(claims: Mapping[str, Object], pod_name: str, pod: Object | None) -> bool:
    """A claim still belongs to an earlier pod of that name and is going with it: a new pod waits for that."""
    uid = pod["metadata"]["uid"] if pod is not None else ""
    return any(
        r.get("kind") == "Pod" and r.get("name") == pod_name and r.get("uid") != uid
        for claim in claims.values()
        for r in meta(claim).get("ownerReferences") or ()
    )
