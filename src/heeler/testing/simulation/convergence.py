"""What is true of a cluster in which nothing has gone wrong for a while, a rule a kind; `unsettled` says what isn't yet. Pure.

What can't come about is excused only by a true reason: a pod waits because no node has room for it, a set is short
because a quota is full. So a controller that has forgotten something is found, however long ago it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heeler.base.clock import EPOCH, parse_rfc3339
from heeler.objects import selectors
from heeler.objects.value import Object, labels_of, name_of, namespace_of, uid_of
from heeler.testing.simulation.invariants.limits import GROUPS
from heeler.testing.simulation.world import World, generation, observed
from heeler.workloads import owners, pods, quota, resources, taints
from heeler.workloads.limits import parsed

TRACKING = "batch.kubernetes.io/job-tracking"
#: What the DaemonSet controller lets its pods tolerate.
DAEMON_TOLERATES = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]


def unsettled(world: World, now: float) -> list[str]:
    """What isn't as it should be, `now` seconds after the run began."""
    out: list[str] = []
    for plural, found in world.objects.items():
        rule = RULES.get(plural)
        for obj in found.values():
            where = f"{plural} {namespace_of(obj) + '/' if namespace_of(obj) else ''}{name_of(obj)}"
            out += [f"{where}: {text}" for text in _object(world, plural, obj)]
            if rule is not None:
                out += [f"{where}: {text}" for text in rule(world, obj, now)]
    return out


def _object(world: World, plural: str, obj: Object) -> Iterator[str]:
    if "deletionTimestamp" in obj["metadata"] and not (plural == "pods" and _waits_for_its_successor(world, obj)):
        yield "is still being deleted"
    refs = owners.references(obj)
    if refs and not any(world.by_uid(ref["uid"]) for ref in refs):
        yield f"is left of {refs[0]['kind']} {refs[0]['name']}, which is gone"
    namespace = namespace_of(obj)
    if namespace and f"/registry/core/namespaces/{namespace}" not in world.objects.get("namespaces", {}):
        yield "is in a namespace that is gone"


def _waits_for_its_successor(world: World, pod: Object) -> bool:
    """Where failures count by index a failed pod is counted, and let go, once the next one carries on its number, so not while
    the Job makes none."""
    job = world.by_uid(owners.controller_uid(pod)) or {}
    spec = job.get("spec") or {}
    stands_still = bool(spec.get("suspend")) or spec.get("parallelism") == 0
    return stands_still and spec.get("backoffLimitPerIndex") is not None and pods.phase(pod) == "Failed"


def _pod(world: World, pod: Object, now: float) -> Iterator[str]:
    if pods.is_finished(pod):
        if TRACKING in (pod["metadata"].get("finalizers") or ()) and not _waits_for_its_successor(world, pod):
            yield "has ended and was not counted"
        return
    name = pods.node_name(pod)
    if not name:
        free = [name_of(node) for node in world.all("nodes") if _fits(world, pod, node)]
        if free and not _has_claims(pod):
            yield f"waits, though {free[0]} has room"
    elif world.node(name) is None:
        yield f"is on {name}, which is gone"
    elif pods.phase(pod) != "Running":
        yield f"is {pods.phase(pod)} on {name}"
    elif not pods.is_ready(pod) and not _ends(pod):
        yield "isn't ready"


def _has_claims(pod: Object) -> bool:
    return any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes") or ())


def _ends(pod: Object) -> bool:
    """Its containers end by themselves, so it may just be down."""
    return "heeler.dev/exit" in (pod["metadata"].get("annotations") or {})


def _fits(world: World, pod: Object, node: Object) -> bool:
    if taints.untolerated(
        pod["spec"].get("tolerations") or (), node["spec"].get("taints") or (), ("NoSchedule", "NoExecute")
    ):
        return False
    room = resources.amounts((node.get("status") or {}).get("allocatable"))
    living = [p for p in world.pods_on(name_of(node)) if not pods.is_finished(p)]
    wanted = resources.requests(pod)
    for what, amount in {**wanted, "pods": 1}.items():
        used = len(living) if what == "pods" else sum(resources.requests(p).get(what, 0) for p in living)
        if used + amount > room.get(what, 0):
            return False
    return True


def _short(world: World, obj: Object, mine: list[Object]) -> bool:
    """Are pods missing for a true reason: one has no room (which `_pod` judges) or ends by itself, or a quota is full?"""
    waiting = any(pods.is_active(p) and (not pods.node_name(p) or _ends(p)) for p in mine)
    template = obj["spec"].get("template") or {}
    return waiting or _quota_full(world, namespace_of(obj), template)


def _quota_full(world: World, namespace: str, template: Object) -> bool:
    pod = {"metadata": template.get("metadata") or {}, "spec": template.get("spec") or {}, "status": {}}
    asked = quota.usage("", "pods", pod, now=0.0)
    for one in world.all("resourcequotas"):
        if namespace_of(one) == namespace and quota.counts(one, "", "pods", pod):
            hard, used = parsed((one.get("status") or {}).get("hard")), parsed((one.get("status") or {}).get("used"))
            if quota.over(hard, used, {name: amount for name, amount in asked.items() if name in hard}):
                return True
    return False


def _told(obj: Object, **numbers: int) -> Iterator[str]:
    """The status says these numbers, of the present generation."""
    if observed(obj) != generation(obj):
        yield f"was not looked at since generation {observed(obj)} (it is at {generation(obj)})"
    status = obj.get("status") or {}
    for name, number in numbers.items():
        if int(status.get(name) or 0) != number:
            yield f"says {name} {status.get(name) or 0}, it is {number}"


def _replicas(obj: Object) -> int:
    found = obj["spec"].get("replicas")
    return 1 if found is None else int(found)


def _active(world: World, obj: Object) -> list[Object]:
    return [p for p in world.of(uid_of(obj), "pods") if pods.is_active(p)]


def _ready(found: list[Object]) -> int:
    return sum(pods.is_ready(p) for p in found)


def _set(world: World, obj: Object, now: float) -> Iterator[str]:
    mine = _active(world, obj)
    yield from _told(obj, replicas=len(mine), readyReplicas=_ready(mine))
    if len(mine) > _replicas(obj) or (len(mine) < _replicas(obj) and not _short(world, obj, mine)):
        yield f"has {len(mine)} pods of {_replicas(obj)}"


def _deployment(world: World, obj: Object, now: float) -> Iterator[str]:
    sets = world.of(uid_of(obj), "replicasets")
    mine = [p for one in sets for p in _active(world, one)]
    yield from _told(obj, replicas=len(mine), readyReplicas=_ready(mine))
    status = obj.get("status") or {}
    wanted = _replicas(obj)
    if obj["spec"].get("paused") or _short(world, obj, mine):
        return
    if (len(mine), status.get("updatedReplicas", 0), status.get("availableReplicas", 0)) != (wanted, wanted, wanted):
        yield f"has {len(mine)} pods, {status.get('updatedReplicas', 0)} of them new, of {wanted}"
    if sum(_replicas(one) > 0 for one in sets) > 1:
        yield "has more than one set with pods"


def _stateful_set(world: World, obj: Object, now: float) -> Iterator[str]:
    mine = _active(world, obj)
    yield from _told(obj, replicas=len(mine), readyReplicas=_ready(mine))
    if _short(world, obj, mine):
        return
    start = int((obj["spec"].get("ordinals") or {}).get("start") or 0)
    wanted = sorted(f"{name_of(obj)}-{number}" for number in range(start, start + _replicas(obj)))
    if sorted(map(name_of, mine)) != wanted:
        yield f"has {', '.join(sorted(map(name_of, mine))) or 'no pods'}"
    status = obj.get("status") or {}
    if (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete" and mine:
        if status.get("currentRevision") != status.get("updateRevision"):
            yield "is between two revisions"


def _daemon_set(world: World, obj: Object, now: float) -> Iterator[str]:
    mine = _active(world, obj)
    tolerations = [*(obj["spec"]["template"]["spec"].get("tolerations") or ()), *DAEMON_TOLERATES]
    nodes = [
        name_of(node)
        for node in world.all("nodes")
        if not taints.untolerated(tolerations, node["spec"].get("taints") or (), ("NoSchedule", "NoExecute"))
    ]
    yield from _told(obj, desiredNumberScheduled=len(nodes), numberReady=_ready(mine))
    if sorted(pods.node_name(p) for p in mine) != sorted(nodes) and not _short(world, obj, mine):
        yield f"has {len(mine)} pods for {len(nodes)} nodes"


def _job(world: World, obj: Object, now: float) -> Iterator[str]:
    mine = _active(world, obj)
    status = obj.get("status") or {}
    if int(status.get("active") or 0) != len(mine):
        yield f"says active {status.get('active') or 0}, it is {len(mine)}"
    if any((status.get("uncountedTerminatedPods") or {}).get(name) for name in ("succeeded", "failed")):
        yield "has pods that were not counted"
    over = pods.has_condition(obj, "Complete") or pods.has_condition(obj, "Failed")
    if over and mine:
        yield f"is over and has {len(mine)} pods"
    idle = obj["spec"].get("suspend") or obj["spec"].get("parallelism") == 0
    if not over and not mine and not idle and not _short(world, obj, mine):
        yield "isn't over and does nothing"


def _cron_job(world: World, obj: Object, now: float) -> Iterator[str]:
    status = obj.get("status") or {}
    for ref in status.get("active") or ():
        job = world.by_uid(ref["uid"])
        if job is None or pods.has_condition(job, "Complete") or pods.has_condition(job, "Failed"):
            yield f"says that {ref['name']} runs"
    if obj["spec"].get("suspend") or obj["spec"]["schedule"] != "* * * * *" or status.get("active"):
        return
    last = status.get("lastScheduleTime")
    since = EPOCH + now - parse_rfc3339(last or obj["metadata"]["creationTimestamp"])
    if since > 90:
        yield f"started nothing for {since:.0f} s"


def _budget(world: World, obj: Object, now: float) -> Iterator[str]:
    if obj["spec"].get("selector") is None:
        return
    selector = selectors.of_object(obj["spec"]["selector"])
    mine = [
        p
        for p in world.all("pods")
        if namespace_of(p) == namespace_of(obj) and selector.matches(labels_of(p)) and not pods.is_terminating(p)
    ]
    # a pod that failed with its node still says that it is ready, and is believed, upstream too
    yield from _told(obj, currentHealthy=_ready(mine))
    if (obj.get("status") or {}).get("disruptedPods"):
        yield "still counts pods that were evicted"


def _quota(world: World, obj: Object, now: float) -> Iterator[str]:
    status = obj.get("status") or {}
    if (status.get("hard") or {}) != obj["spec"].get("hard"):
        yield "doesn't say what it allows"
    said = parsed(status.get("used"))
    for group, plural in quota.resources_of(obj["spec"].get("hard") or ()):
        if GROUPS.get(plural) != group:
            continue
        mine = [
            quota.usage(group, plural, one, EPOCH + now)
            for one in world.all(plural)
            if namespace_of(one) == namespace_of(obj) and quota.counts(obj, group, plural, one)
        ]
        for name, amount in quota.total(mine, obj["spec"]["hard"]).items():
            if (group, plural) in quota.resources_of([name]) and name in said and said[name] != amount:
                yield f"says {name} {said[name]}, it is {amount}"


def _service(world: World, obj: Object, now: float) -> Iterator[str]:
    wanted = obj["spec"].get("selector")
    if not wanted:
        return
    mine = [
        p
        for p in world.all("pods")
        if namespace_of(p) == namespace_of(obj) and all(labels_of(p).get(k) == v for k, v in wanted.items())
    ]
    ready = sorted(ip for p in mine if pods.is_ready(p) and pods.is_active(p) for ip in pods.addresses(p)[:1])
    slices = [
        one
        for one in world.all("endpointslices")
        if namespace_of(one) == namespace_of(obj) and labels_of(one).get("kubernetes.io/service-name") == name_of(obj)
    ]
    shown = sorted(
        endpoint["addresses"][0]
        for one in slices
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready")
    )
    if ready != shown:
        yield (
            f"shows {len(shown)} ready addresses, there are {len(ready)}"
            if len(ready) != len(shown)
            else ("shows addresses that aren't its pods'")
        )


def _claim(world: World, obj: Object, now: float) -> Iterator[str]:
    users = [
        p
        for p in world.all("pods")
        if namespace_of(p) == namespace_of(obj)
        and pods.phase(p) == "Running"
        and any(
            (v.get("persistentVolumeClaim") or {}).get("claimName") == name_of(obj)
            for v in p["spec"].get("volumes") or ()
        )
    ]
    if users and (obj.get("status") or {}).get("phase") != "Bound":
        yield f"is used by {name_of(users[0])} and not bound"


def _volume(world: World, obj: Object, now: float) -> Iterator[str]:
    ref = obj["spec"].get("claimRef")
    claim = world.by_uid(ref.get("uid") or "") if ref else None
    phase = (obj.get("status") or {}).get("phase")
    if ref and claim is None and obj["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        yield "is left of a claim that is gone"
    if claim is not None and phase != "Bound":
        yield f"is {phase}, its claim is there"


def _node(world: World, obj: Object, now: float) -> Iterator[str]:
    if not pods.is_ready(obj):
        yield "isn't ready"
    bad = [t["key"] for t in obj["spec"].get("taints") or () if t["key"].startswith("node.kubernetes.io/")]
    if [key for key in bad if key != "node.kubernetes.io/unschedulable" or not obj["spec"].get("unschedulable")]:
        yield f"is tainted {', '.join(bad)}"


def _namespace(world: World, obj: Object, now: float) -> Iterator[str]:
    name = name_of(obj)
    if f"/registry/core/serviceaccounts/{name}/default" not in world.objects.get("serviceaccounts", {}):
        yield "has no default account"
    if f"/registry/core/configmaps/{name}/kube-root-ca.crt" not in world.objects.get("configmaps", {}):
        yield "wasn't told the authority"


def _autoscaler(world: World, obj: Object, now: float) -> Iterator[str]:
    status, target = obj.get("status") or {}, obj["spec"]["scaleTargetRef"]
    if target["kind"] != "Deployment" or _key("apps", "deployments", obj, target["name"]) not in world.objects.get(
        "deployments", {}
    ):
        return
    current, desired = status.get("currentReplicas", 0), status.get("desiredReplicas", 0)
    if current != desired and current:
        yield f"wants {desired} pods, there are {current}"


def _key(group: str, plural: str, beside: Object, name: str) -> str:
    return f"/registry/{group}/{plural}/{namespace_of(beside)}/{name}"


Rule = Callable[[World, Object, float], Iterator[str]]

RULES: dict[str, Rule] = {
    "pods": _pod,
    "replicasets": _set,
    "replicationcontrollers": _set,
    "deployments": _deployment,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
    "jobs": _job,
    "cronjobs": _cron_job,
    "poddisruptionbudgets": _budget,
    "resourcequotas": _quota,
    "services": _service,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "nodes": _node,
    "namespaces": _namespace,
    "horizontalpodautoscalers": _autoscaler,
}
