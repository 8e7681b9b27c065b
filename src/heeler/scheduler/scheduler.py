"""The scheduler: watches pods and nodes, decides one pod after the other, binds beside the next decision."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from heeler.base.clock import Clock, rfc3339
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Handler, Informers, key_of
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, name_of
from heeler.scheduler.cache import Cache, PodInfo
from heeler.scheduler.cycle import Decision, decide
from heeler.scheduler.queue import SchedulingQueue, Waiting
from heeler.scheduler.storage import Bindings
from heeler.scheduler.volume_binder import VolumeBinder
from heeler.workloads import pods

log = logging.getLogger(__name__)

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
CLAIMS = GroupVersionResource("", "v1", "persistentvolumeclaims")
VOLUMES = GroupVersionResource("", "v1", "persistentvolumes")
STORAGE_CLASSES = GroupVersionResource("storage.k8s.io", "v1", "storageclasses")
CSI_NODES = GroupVersionResource("storage.k8s.io", "v1", "csinodes")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
BUDGETS = GroupVersionResource("policy", "v1", "poddisruptionbudgets")
NAME = "default-scheduler"
#: So many bindings are under way at once at most.
MAX_BINDING = 64


async def start(client: Client, tasks: Tasks, *, clock: Clock, random: Random) -> None:
    """Start a scheduler as a task; returns at once."""
    tasks.spawn(Scheduler(client, clock=clock, random=random).run(), "scheduler")


class Scheduler:
    def __init__(
        self, client: Client, *, clock: Clock, random: Random, name: str = NAME, informers: Informers | None = None
    ) -> None:
        self._client, self._clock, self._random, self._name = client, clock, random, name
        self._own = informers is None
        self._informers = informers or Informers(client, clock)
        self._pods, self._nodes = self._informers.get(PODS), self._informers.get(NODES)
        self._budgets = self._informers.get(BUDGETS)
        self._namespaces = self._informers.get(NAMESPACES)
        self._storage = [self._informers.get(one) for one in (CLAIMS, VOLUMES, STORAGE_CLASSES, CSI_NODES)]
        self.cache = Cache()
        self.queue = SchedulingQueue(clock)
        self._events = Recorder(client, name, clock=clock)
        self._seats = asyncio.Semaphore(MAX_BINDING)
        self._namespaces.add_handler(self._namespace_changed)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        known = self.cache.storage
        for informer, objects in zip(
            self._storage, (known.claims, known.volumes, known.classes, known.csi_nodes), strict=True
        ):
            informer.add_handler(self._follow(objects))
        self._binder = VolumeBinder(client, known, clock)

    def _follow(self, objects: dict[str, Object]) -> Handler:
        """Keeps the storage's objects; any change of them may help a pod that waits."""

        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None:
                objects[key_of(new)] = new
            elif old is not None:
                objects.pop(key_of(old), None)
            self.queue.move_all()

        return changed

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Schedule until cancelled."""
        async with Tasks() as tasks:
            tasks.spawn(self._events.run(), "events of the scheduler")
            if self._own:
                self._informers.start(tasks)
            await self._namespaces.wait_synced()
            await self._nodes.wait_synced()
            await self._pods.wait_synced()
            for informer in self._storage:
                await informer.wait_synced()
            ready()
            while True:
                waiting = await self.queue.next()
                await self._seats.acquire()
                self._schedule(waiting, tasks)
                await asyncio.sleep(0)

    # what happens around

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self.cache.drop_namespace(name_of(old or {}))
        elif old is None or labels_of(old) != labels_of(new):
            self.cache.set_namespace(name_of(new), labels_of(new))
            if old is not None:
                self.queue.move_all()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self.cache.drop_node(name_of(old))
            return
        if new is None:
            return
        self.cache.set_node(new)
        if old is None or _node_facts(old) != _node_facts(new):
            self.queue.move_all()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self.cache.drop_pod(key_of(old))
                self.queue.remove(key_of(old))
                if pods.node_name(old):
                    self.queue.move_all()
            return
        key = key_of(new)
        if pods.node_name(new):
            self.queue.remove(key)
            self.cache.set_pod(new)
            freed = pods.is_finished(new) and not (old is not None and pods.is_finished(old))
            joined = old is None or not pods.node_name(old)
            if freed or joined:
                self.queue.move_all()
        elif not self._is_mine(new):
            self.queue.remove(key)
        elif not self.cache.is_assumed(key):
            self.queue.add(new)

    def _is_mine(self, pod: Object) -> bool:
        spec = pod["spec"]
        return (
            (spec.get("schedulerName") or NAME) == self._name
            and not spec.get("schedulingGates")
            and not pods.is_terminating(pod)
            and not pods.is_finished(pod)
        )

    # one pod

    def _schedule(self, waiting: Waiting, tasks: Tasks) -> None:
        """Decide now; what needs the API goes on beside."""
        info = self.cache.info(waiting.pod)
        promised = self.cache.node(self.cache.promised_to(info))
        nodes = self.cache.with_promises(info)
        decision = decide(info, nodes, self._random, promised=promised, protected=self._protected)
        if decision.node:
            target = self.cache.node(decision.node)
            bindings = self._binder.reserve(info, target.node or {}) if target is not None else Bindings()
            self.cache.assume(info, decision.node)
            tasks.spawn(self._bind(info, decision.node, bindings), f"bind {info.key}")
        else:
            if decision.preempt is not None:
                self.cache.promise(info, decision.preempt.node)
            tasks.spawn(self._refuse(info, decision), f"refuse {info.key}")

    async def _bind(self, info: PodInfo, node: str, bindings: Bindings) -> None:
        if bindings:
            self._seats.release()  # volumes may take minutes to come
            try:
                await self._binder.bind(bindings, node, lambda: self._is_waiting(info))
            except (StatusError, OSError) as error:
                self._volumes_failed(info, error)
                return
            finally:
                self._binder.release(bindings)
            await self._seats.acquire()
        metadata = info.pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "namespace": info.namespace, "uid": info.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._client.create(PODS, binding, info.namespace, name=metadata["name"], subresource="binding")
        except (StatusError, OSError) as error:
            self._binding_failed(info, error)
        else:
            self.queue.remove(info.key)
            message = f"Successfully assigned {info.key} to {node}"
            self._events.record({"kind": "Pod", "apiVersion": "v1", **info.pod}, "Normal", "Scheduled", message)
        finally:
            self._seats.release()

    def _is_waiting(self, info: PodInfo) -> bool:
        """Is the pod still there, and without a node?"""
        current = self._pods.get(info.key)
        return current is not None and current["metadata"].get("uid") == info.uid and not pods.node_name(current)

    def _volumes_failed(self, info: PodInfo, error: StatusError | OSError) -> None:
        """The pod's claims were not bound: it is tried again, perhaps elsewhere."""
        if not self._is_waiting(info):
            return
        self.cache.forget(info)
        message = f'running PreBind plugin "VolumeBinding": binding volumes: {error}'
        self._events.record({"kind": "Pod", "apiVersion": "v1", **info.pod}, "Warning", "FailedScheduling", message)
        self.queue.failed(info.key, unschedulable=False)

    def _binding_failed(self, info: PodInfo, error: StatusError | OSError) -> None:
        current = self._pods.get(info.key)
        if current is not None and pods.node_name(current):
            return  # somebody else was faster, or the answer was lost
        self.cache.forget(info)
        if isinstance(error, StatusError) and error.code == 404:
            self.queue.remove(info.key)
            return
        log.warning("binding %s failed: %s", info.key, error)
        self.queue.failed(info.key, unschedulable=False)

    async def _refuse(self, info: PodInfo, decision: Decision) -> None:
        """Say why the pod stays where it is, make room for it if that helps, then let it wait."""
        about = {"kind": "Pod", "apiVersion": "v1", **info.pod}
        try:
            self._events.record(about, "Warning", "FailedScheduling", decision.message)
            await self._write_condition(info, decision)
            if decision.preempt is not None:
                for victim in decision.preempt.victims:
                    await self._evict(victim, info, decision.preempt.node)
        except (StatusError, OSError) as error:
            log.debug("the condition of %s or an eviction for it failed: %s", info.key, error)
        finally:
            self.queue.failed(info.key, unschedulable=True)
            self._seats.release()

    async def _evict(self, victim: PodInfo, info: PodInfo, node: str) -> None:
        if pods.is_terminating(victim.pod):
            return
        name = victim.pod["metadata"]["name"]
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": rfc3339(self._clock.time()),
            "reason": "PreemptionByScheduler",
            "message": f"{self._name}: preempting to accommodate a higher priority pod",
        }
        patch: Object = {"status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                PODS,
                name,
                patch,
                victim.namespace,
                type="application/strategic-merge-patch+json",
                subresource="status",
            )
            await self._client.delete(PODS, name, victim.namespace, uid=victim.uid)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
        message = f"Preempted by pod {info.uid} on node {node}"
        self._events.record({"kind": "Pod", "apiVersion": "v1", **victim.pod}, "Normal", "Preempted", message)

    def _protected(self, victims: Sequence[PodInfo]) -> list[bool]:
        """Which victims, taken in this order, a disruption budget has no room for."""
        room = [(budget, int((budget.get("status") or {}).get("disruptionsAllowed") or 0)) for budget in self._budgets]
        left = [allowed for _, allowed in room]
        out = []
        for victim in victims:
            held = False
            for i, (budget, _) in enumerate(room):
                selector = budget["spec"].get("selector")
                if budget["metadata"].get("namespace") != victim.namespace or not selector:
                    continue
                if selectors.of_object(selector).matches(victim.labels):
                    left[i] -= 1
                    held = held or left[i] < 0
            out.append(held)
        return out

    async def _write_condition(self, info: PodInfo, decision: Decision) -> None:
        message = decision.message
        current = self._pods.get(info.key)
        if current is None or current["metadata"].get("uid") != info.uid:
            return
        known = pods.condition(current, "PodScheduled") or {}
        promised = decision.preempt.node if decision.preempt is not None else ""
        same = (known.get("status"), known.get("reason"), known.get("message")) == ("False", "Unschedulable", message)
        if same and (not promised or (current.get("status") or {}).get("nominatedNodeName") == promised):
            return
        now = rfc3339(self._clock.time())
        since = known.get("lastTransitionTime") if known.get("status") == "False" else now
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": since,
            "reason": "Unschedulable",
            "message": message,
        }
        patch: Object = {"status": {"conditions": [condition]}}
        if promised:
            patch["status"]["nominatedNodeName"] = promised
        done = await self._client.patch(
            PODS,
            info.pod["metadata"]["name"],
            patch,
            info.namespace,
            type="application/strategic-merge-patch+json",
            subresource="status",
        )
        self._pods.assume(done)


def _node_facts(node: Object) -> tuple[object, ...]:
    """What decisions depend on."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return (
        node["metadata"].get("labels"),
        spec.get("taints"),
        spec.get("unschedulable"),
        status.get("allocatable"),
        [image.get("names") for image in status.get("images") or ()],
    )
