"""What people do to a cluster: apply, scale, set an image, undo, drain, delete… each as kubectl does it.

All go through a client that tries again while the server is down or busy. One that can't be done (the object is gone)
raises StatusError.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from typing import NamedTuple

from heeler.base.clock import rfc3339
from heeler.client.client import Client, PatchType
from heeler.controllers.resources import DEPLOYMENTS, NODES, PODS, REPLICA_SETS
from heeler.kinds.kind import Kind
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of, namespace_of, uid_of
from heeler.testing.manifests import find_kind
from heeler.testing.simulation.plane import Simulation
from heeler.workloads import owners, pods
from heeler.workloads.usage import ANNOTATION as USAGE

STRATEGIC: PatchType = "application/strategic-merge-patch+json"
REVISION = "deployment.kubernetes.io/revision"
#: Seconds between the rounds of a drain; kubectl waits as long after a budget said no.
DRAIN_SECONDS = 5.0
#: Seconds, one a try, until a kind must be served.
SERVED_TRIES = 15
#: What is made before all else.
FIRST = {"Namespace": 0, "CustomResourceDefinition": 1}


class Ref(NamedTuple):
    """One object: its collection, namespace ("" of a cluster-wide one) and name."""

    resource: GroupVersionResource
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.resource.resource} {where}{self.name}"


def resource_of(kind: Kind) -> GroupVersionResource:
    return GroupVersionResource(kind.group, kind.versions[0], kind.plural)


def ref_of(cluster: Simulation, text: str, namespace: str = "default") -> Ref:
    """`deployment/web`, `po/x`, `node/node-1`, as kubectl takes it. Raises ValueError."""
    resource, slash, name = text.partition("/")
    if not slash or not name:
        raise ValueError(f'"{text}" names no object: write KIND/NAME, like deployment/web')
    kind = find_kind(cluster.kinds, resource)
    return Ref(resource_of(kind), namespace if kind.namespaced else "", name)


async def get(cluster: Simulation, ref: Ref) -> Object:
    return await cluster.persist(lambda client: client.get(ref.resource, ref.name, ref.namespace or None))


async def patch(
    cluster: Simulation, ref: Ref, change: Object, *, strategic: bool = False, subresource: str = ""
) -> Object:
    return await cluster.persist(
        lambda client: client.patch(
            ref.resource,
            ref.name,
            change,
            ref.namespace or None,
            type=STRATEGIC if strategic else "application/merge-patch+json",
            subresource=subresource or None,
            field_manager="kubectl",
        )
    )


async def apply(cluster: Simulation, objects: Iterable[Object], namespace: str = "default") -> None:
    """Create objects or bring them to what is said: namespaces and definitions first, else in their order.

    Raises ValueError for a kind that isn't served, not even some seconds later.
    """
    for obj in sorted(objects, key=lambda obj: FIRST.get(str(obj.get("kind")), len(FIRST))):
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        kind = await _served(cluster, group, version, str(obj.get("kind", "")))
        resource = GroupVersionResource(group, version, kind.plural)
        where = (namespace_of(obj) or namespace) if kind.namespaced else None
        await cluster.persist(functools.partial(_apply, resource, obj, where))


async def _served(cluster: Simulation, group: str, version: str, name: str) -> Kind:
    """A kind; one whose definition was just made takes a moment to be served."""
    for _ in range(SERVED_TRIES):
        kind = cluster.kinds.by_kind(group, version, name)
        if kind is not None:
            return kind
        await cluster.clock.sleep(1.0)
    raise ValueError(f"the cluster serves no {name} of {f'{group}/{version}' if group else version}")


async def _apply(resource: GroupVersionResource, obj: Object, namespace: str | None, client: Client) -> Object:
    return await client.patch(
        resource,
        name_of(obj),
        obj,
        namespace,
        type="application/apply-patch+yaml",
        field_manager="kubectl",
        force=True,
    )


async def scale(cluster: Simulation, ref: Ref, replicas: int) -> None:
    await patch(cluster, ref, {"spec": {"replicas": replicas}}, subresource="scale")


async def set_image(cluster: Simulation, ref: Ref, image: str) -> None:
    """All containers of the pod template."""
    obj = await get(cluster, ref)
    names = [container["name"] for container in obj["spec"]["template"]["spec"]["containers"]]
    containers = [{"name": name, "image": image} for name in names]
    await patch(cluster, ref, {"spec": {"template": {"spec": {"containers": containers}}}}, strategic=True)


async def restart(cluster: Simulation, ref: Ref) -> None:
    note = {"kubectl.kubernetes.io/restartedAt": rfc3339(cluster.clock.time())}
    await patch(cluster, ref, {"spec": {"template": {"metadata": {"annotations": note}}}})


async def undo(cluster: Simulation, ref: Ref) -> None:
    """Back to the revision before, if there is one."""
    obj = await get(cluster, ref)
    found = (await cluster.persist(lambda client: client.list(REPLICA_SETS, ref.namespace))).items
    mine = [one for one in found if owners.controller_uid(one) == uid_of(obj)]
    mine.sort(key=lambda one: int((one["metadata"].get("annotations") or {}).get(REVISION) or 0))
    if len(mine) < 2:
        return
    template = copy.deepcopy(mine[-2]["spec"]["template"])
    (template["metadata"].get("labels") or {}).pop("pod-template-hash", None)
    change = [{"op": "replace", "path": "/spec/template", "value": template}]
    await cluster.persist(
        lambda client: client.patch(DEPLOYMENTS, ref.name, change, ref.namespace, type="application/json-patch+json")
    )


async def delete(cluster: Simulation, ref: Ref, propagation: str = "", grace: int | None = None) -> None:
    """Gone already is well, too."""
    try:
        await cluster.persist(
            lambda client: client.delete(
                ref.resource, ref.name, ref.namespace or None, propagation=propagation, grace_seconds=grace
            )
        )
    except StatusError as error:
        if error.code != 404:
            raise


async def cordon(cluster: Simulation, node: str, on: bool = True) -> None:
    """A node that is gone needs none."""
    try:
        await patch(cluster, Ref(NODES, "", node), {"spec": {"unschedulable": True if on else None}})
    except StatusError as error:
        if error.code != 404:
            raise


async def drain(cluster: Simulation, node: str, seconds: float) -> bool:
    """Cordon the node and evict its pods, but those of DaemonSets; True if all went in that time."""
    await cordon(cluster, node)
    end = cluster.clock.monotonic() + seconds
    while True:
        found = (await cluster.persist(lambda client: client.list(PODS, field_selector=f"spec.nodeName={node}"))).items
        left = [
            p for p in found if (owners.controller_of(p) or {}).get("kind") != "DaemonSet" and not pods.is_finished(p)
        ]
        if not left:
            return True
        for pod in left:
            if not pods.is_terminating(pod):
                await _evict(cluster, pod)
        if cluster.clock.monotonic() >= end:
            return False
        await cluster.clock.sleep(min(DRAIN_SECONDS, max(0.0, end - cluster.clock.monotonic())) or DRAIN_SECONDS)


async def _evict(cluster: Simulation, pod: Object) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name_of(pod), "namespace": namespace_of(pod)},
        "deleteOptions": {"preconditions": {"uid": uid_of(pod)}},
    }
    try:
        await cluster.client.create(PODS, eviction, namespace_of(pod), name=name_of(pod), subresource="eviction")
    except (StatusError, OSError) as error:
        if isinstance(error, StatusError) and error.code not in (404, 409, 429, 500, 503):
            raise


async def use(cluster: Simulation, ref: Ref, usage: str) -> None:
    """The pods of a workload that run use so much from now on ("cpu=250m"): see `heeler.workloads.usage`."""
    obj = await get(cluster, ref)
    selector = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    found = (await cluster.persist(lambda client: client.list(PODS, ref.namespace, label_selector=labels))).items
    for pod in found:
        await annotate_usage(cluster, ref.namespace, name_of(pod), usage)


async def annotate_usage(cluster: Simulation, namespace: str, name: str, usage: str) -> None:
    """One pod uses so much; one that is gone uses nothing."""
    try:
        await patch(cluster, Ref(PODS, namespace, name), {"metadata": {"annotations": {USAGE: usage}}})
    except StatusError as error:
        if error.code != 404:
            raise
