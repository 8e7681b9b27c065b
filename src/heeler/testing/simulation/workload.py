"""What is asked of a cluster in a run, drawn by a seed: workloads of each kind, and what people then do to them.

First the objects are made, then things happen to them at drawn moments. A step that can't be done (its object was
deleted) is left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from heeler.base.random import Random, choice
from heeler.base.tasks import Tasks
from heeler.controllers.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NAMESPACES,
    PODS,
    RESOURCE_QUOTAS,
    SERVICES,
    STATEFUL_SETS,
)
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of
from heeler.testing.simulation import actions
from heeler.testing.simulation.actions import Ref
from heeler.testing.simulation.objects import workload
from heeler.testing.simulation.plane import Simulation

BUDGETS = GroupVersionResource("policy", "v1", "poddisruptionbudgets")
PRIORITY_CLASSES = GroupVersionResource("scheduling.k8s.io", "v1", "priorityclasses")
NAMESPACE, BRIEF = "shop", "brief"
IMAGES = ("app:1", "app:2", "app:3")
PROPAGATIONS = ("Background", "Foreground", "Orphan")
CPU = ("50m", "100m", "250m", "500m", "1")


@dataclass(slots=True)
class Drawn:
    """Objects to make, and steps: seconds since the beginning, what it is called, and what to do."""

    objects: list[tuple[Ref, Object]] = field(default_factory=list)
    steps: list[tuple[float, str, Callable[[Simulation], Awaitable[object]]]] = field(default_factory=list)


def draw(random: Random, nodes: list[str], seconds: float) -> Drawn:
    """A workload for so many seconds."""
    drawn = Drawn()
    for maker, most in _MAKERS:
        for number in range(random.below(most + 1)):
            maker(random, drawn, number)
    _steps(random, drawn, nodes, seconds)
    return drawn


async def carry_out(cluster: Simulation, drawn: Drawn, told: Callable[[float, str], None] = lambda *_: None) -> None:
    """Make the objects, and do each thing in its time; returns when all is done."""
    for name in (NAMESPACE, BRIEF):
        obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await actions.apply(cluster, [obj])
    for ref, obj in drawn.objects:
        await actions.apply(cluster, [obj], ref.namespace)
    async with Tasks() as tasks:
        for at, name, step in drawn.steps:
            tasks.spawn(_step(cluster, at, name, step, told), name)
        await tasks.wait()


async def _step(
    cluster: Simulation,
    at: float,
    name: str,
    step: Callable[[Simulation], Awaitable[object]],
    told: Callable[[float, str], None],
) -> None:
    await cluster.clock.sleep(at - cluster.clock.monotonic())
    told(cluster.clock.monotonic(), name)
    try:
        await step(cluster)
    except StatusError as error:
        told(cluster.clock.monotonic(), f"{name}: {error}")


# what is made


def _add(drawn: Drawn, resource: GroupVersionResource, obj: Object, namespace: str = NAMESPACE) -> Ref:
    ref = Ref(resource, namespace, name_of(obj))
    drawn.objects.append((ref, obj))
    return ref


def _resources(random: Random, obj: Object) -> Object:
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": choice(random, CPU), "memory": "64Mi"}}
    return obj


def _quick(obj: Object) -> Object:
    """Its pods stop at once, and are sent away from dead nodes after 20 to 60 s instead of five minutes."""
    spec = obj["spec"]["template"]["spec"]
    spec["terminationGracePeriodSeconds"] = 1
    spec["tolerations"] = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}
        for key in ("not-ready", "unreachable")
    ]
    return obj


def _deployment(random: Random, drawn: Drawn, number: int) -> None:
    name = f"web-{number}"
    replicas = 1 + random.below(6)
    obj = _quick(_resources(random, workload("Deployment", name, choice(random, IMAGES), replicas=replicas)))
    if random.fraction() < 0.2:
        obj["spec"]["strategy"] = {"type": "Recreate"}
    elif random.fraction() < 0.6:
        surge = choice(random, (0, 1, 2, "25%", "50%"))
        rolling = {"maxSurge": surge, "maxUnavailable": choice(random, (1, 2, "25%") if surge == 0 else (0, 1, "25%"))}
        obj["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    if random.fraction() < 0.3:
        obj["spec"]["minReadySeconds"] = 1 + random.below(10)
    if random.fraction() < 0.2:
        obj["spec"]["template"]["spec"]["priorityClassName"] = "important"
        drawn.objects.insert(0, (Ref(PRIORITY_CLASSES, "", "important"), _priority_class()))
    if random.fraction() < 0.3:
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        obj["spec"]["template"]["spec"]["topologySpreadConstraints"] = [
            {**spread, "labelSelector": {"matchLabels": {"app": name}}}
        ]
    _add(drawn, DEPLOYMENTS, obj)
    if random.fraction() < 0.5:
        _service(drawn, name)
    if random.fraction() < 0.5:
        _budget(random, drawn, name)
    if random.fraction() < 0.25:
        _autoscaler(random, drawn, name)


def _priority_class() -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "important"},
        "value": 1000,
    }


def _service(drawn: Drawn, name: str) -> None:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    _add(drawn, SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})


def _budget(random: Random, drawn: Drawn, name: str) -> None:
    spec: Object = {"selector": {"matchLabels": {"app": name}}}
    if random.fraction() < 0.5:
        spec["minAvailable"] = choice(random, (1, 2, "50%"))
    else:
        spec["maxUnavailable"] = choice(random, (1, 2, "30%"))
    _add(
        drawn,
        BUDGETS,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec},
    )


def _autoscaler(random: Random, drawn: Drawn, name: str) -> None:
    target = {"type": "Utilization", "averageUtilization": 60}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1 + random.below(2),
        "maxReplicas": 4 + random.below(4),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}},
    }
    obj = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}
    _add(drawn, HORIZONTAL_POD_AUTOSCALERS, obj)


def _stateful_set(random: Random, drawn: Drawn, number: int) -> None:
    name = f"db-{number}"
    obj = _quick(_resources(random, workload("StatefulSet", name, replicas=1 + random.below(4), serviceName=name)))
    if random.fraction() < 0.3:
        obj["spec"]["podManagementPolicy"] = "Parallel"
    if random.fraction() < 0.4:
        storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        obj["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": storage}]
        if random.fraction() < 0.5:
            obj["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    _add(drawn, STATEFUL_SETS, obj)
    if random.fraction() < 0.5:
        _budget(random, drawn, name)


def _daemon_set(random: Random, drawn: Drawn, number: int) -> None:
    obj = workload("DaemonSet", f"log-{number}")
    if random.fraction() < 0.4:
        rolling = choice(
            random, ({"maxUnavailable": 2}, {"maxSurge": 1, "maxUnavailable": 0}, {"maxUnavailable": "50%"})
        )
        obj["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    obj["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    _add(drawn, DAEMON_SETS, obj)


def _job(random: Random, drawn: Drawn, number: int) -> None:
    completions = 1 + random.below(5)
    obj = workload("Job", f"work-{number}", completions=completions, parallelism=1 + random.below(3))
    spec, template = obj["spec"], obj["spec"]["template"]
    template["spec"]["restartPolicy"] = choice(random, ("Never", "OnFailure"))
    template["spec"]["terminationGracePeriodSeconds"] = 1
    template["metadata"]["annotations"] = {
        "heeler.dev/exit": choice(random, ("0@1", "0@5", "0@30", "1@2", "1@1,0@3", "0@12"))
    }
    spec["backoffLimit"] = random.below(4)
    if random.fraction() < 0.4:
        spec["completionMode"] = "Indexed"
        if random.fraction() < 0.4:
            del spec["backoffLimit"]
            spec["backoffLimitPerIndex"] = random.below(2)
            template["spec"]["restartPolicy"] = "Never"
    if random.fraction() < 0.3:
        spec["ttlSecondsAfterFinished"] = random.below(60)
    if random.fraction() < 0.2:
        spec["activeDeadlineSeconds"] = 10 + random.below(100)
    if random.fraction() < 0.2:
        spec["suspend"] = True
    _add(drawn, JOBS, obj)


def _cron_job(random: Random, drawn: Drawn, number: int) -> None:
    job = workload("Job", "")["spec"]
    job["template"]["spec"]["restartPolicy"] = "Never"
    job["template"]["metadata"]["annotations"] = {"heeler.dev/exit": choice(random, ("0@5", "0@90", "1@3"))}
    job["backoffLimit"] = random.below(2)
    spec = {
        "schedule": "* * * * *",
        "concurrencyPolicy": choice(random, ("Allow", "Forbid", "Replace")),
        "jobTemplate": {"spec": job},
        "successfulJobsHistoryLimit": random.below(4),
    }
    _add(
        drawn,
        CRON_JOBS,
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": f"tick-{number}"}, "spec": spec},
    )


def _quota(random: Random, drawn: Drawn, number: int) -> None:
    """In a namespace of its own, which may end."""
    hard = {"pods": str(2 + random.below(5)), "count/deployments.apps": "2"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    _add(drawn, RESOURCE_QUOTAS, quota, BRIEF)
    obj = _quick(workload("Deployment", "narrow", replicas=2 + random.below(6)))
    _add(drawn, DEPLOYMENTS, obj, BRIEF)


#: What makes objects, and how many at most.
_MAKERS: tuple[tuple[Callable[[Random, Drawn, int], None], int], ...] = (
    (_deployment, 3),
    (_stateful_set, 2),
    (_daemon_set, 1),
    (_job, 3),
    (_cron_job, 1),
    (_quota, 1),
)

# what is done to it


def _steps(random: Random, drawn: Drawn, nodes: list[str], seconds: float) -> None:
    for _ in range(2 + random.below(10)):
        at = 5.0 + random.fraction() * max(0.0, seconds - 5.0)
        possible = [(ref, step) for ref, _ in drawn.objects for step in _STEPS.get(ref.resource, ())]
        if possible and random.fraction() < 0.85:
            ref, make = choice(random, possible)
            drawn.steps.append((at, *make(random, ref)))
        elif random.fraction() < 0.7:
            drawn.steps.append((at, *_drain(random, choice(random, nodes))))
        else:
            drawn.steps.append((at, *_delete(random, Ref(NAMESPACES, "", BRIEF))))
    drawn.steps.sort(key=lambda step: step[0])


Step = tuple[str, Callable[[Simulation], Awaitable[object]]]


def _drain(random: Random, node: str) -> Step:
    seconds = 10 + random.fraction() * 60

    async def step(cluster: Simulation) -> None:
        await actions.drain(cluster, node, seconds)
        await cluster.clock.sleep(5.0)
        await actions.cordon(cluster, node, on=False)

    return f"drain {node}", step


def _scale(random: Random, ref: Ref) -> Step:
    replicas = random.below(8)
    return f"scale {ref} to {replicas}", lambda cluster: actions.scale(cluster, ref, replicas)


def _set_image(random: Random, ref: Ref) -> Step:
    image = choice(random, IMAGES)
    return f"set image of {ref} to {image}", lambda cluster: actions.set_image(cluster, ref, image)


def _undo(random: Random, ref: Ref) -> Step:
    return f"undo {ref}", lambda cluster: actions.undo(cluster, ref)


def _restart(random: Random, ref: Ref) -> Step:
    return f"restart {ref}", lambda cluster: actions.restart(cluster, ref)


def _pause(random: Random, ref: Ref) -> Step:
    seconds = 5 + random.fraction() * 60

    async def step(cluster: Simulation) -> None:
        await actions.patch(cluster, ref, {"spec": {"paused": True}})
        await cluster.clock.sleep(seconds)
        await actions.patch(cluster, ref, {"spec": {"paused": None}})

    return f"pause {ref}", step


def _suspend(random: Random, ref: Ref) -> Step:
    on = random.fraction() < 0.5
    return f"{'suspend' if on else 'resume'} {ref}", lambda cluster: actions.patch(
        cluster, ref, {"spec": {"suspend": on}}
    )


def _parallelism(random: Random, ref: Ref) -> Step:
    number = random.below(5)
    return f"parallelism {number} of {ref}", lambda cluster: actions.patch(
        cluster, ref, {"spec": {"parallelism": number}}
    )


def _delete(random: Random, ref: Ref) -> Step:
    propagation = choice(random, PROPAGATIONS)
    return f"delete {ref} ({propagation})", lambda cluster: actions.delete(cluster, ref, propagation)


def _delete_pod(random: Random, ref: Ref) -> Step:
    """One of the workload's pods."""
    number = random.below(1000)

    async def step(cluster: Simulation) -> None:
        found = (await cluster.persist(lambda c: c.list(PODS, ref.namespace, label_selector=f"app={ref.name}"))).items
        if found:
            pod = found[number % len(found)]
            await actions.delete(cluster, Ref(PODS, ref.namespace, name_of(pod)))

    return f"delete a pod of {ref}", step


def _limit(random: Random, ref: Ref) -> Step:
    number = str(1 + random.below(8))
    return f"{ref}: {number} pods", lambda cluster: actions.patch(cluster, ref, {"spec": {"hard": {"pods": number}}})


def _use(random: Random, ref: Ref) -> Step:
    usage = f"cpu={choice(random, ('10m', '100m', '400m', '900m'))}"
    deployment = Ref(DEPLOYMENTS, ref.namespace, ref.name)
    return f"pods of {deployment} use {usage}", lambda cluster: actions.use(cluster, deployment, usage)


_STEPS: dict[GroupVersionResource, tuple[Callable[[Random, Ref], Step], ...]] = {
    DEPLOYMENTS: (_scale, _scale, _set_image, _set_image, _undo, _restart, _pause, _delete, _delete_pod),
    STATEFUL_SETS: (_scale, _scale, _set_image, _restart, _delete, _delete_pod),
    DAEMON_SETS: (_set_image, _restart, _delete, _delete_pod),
    JOBS: (_suspend, _parallelism, _delete, _delete_pod),
    CRON_JOBS: (_suspend, _delete),
    RESOURCE_QUOTAS: (_limit, _limit, _delete),
    HORIZONTAL_POD_AUTOSCALERS: (_use, _use, _delete),
    BUDGETS: (_delete,),
}
