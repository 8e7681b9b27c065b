"""The scheduler: watches pods and nodes, decides one pod after the other, binds beside the next decision.

Preemption is not done in this version: a pod that only fits when others go waits until they do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from heeler.base.clock import Clock, rfc3339
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Informers, key_of
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of
from heeler.scheduler.cache import Cache, PodInfo, pod_info
from heeler.scheduler.cycle import decide
from heeler.scheduler.queue import SchedulingQueue, Waiting
from heeler.workloads import pods

log = logging.getLogger(__name__)

PODS = GroupVersionResource("", "v1", "pods")
NODES = GroupVersionResource("", "v1", "nodes")
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
        self.cache = Cache()
        self.queue = SchedulingQueue(clock)
        self._events = Recorder(client, name, clock=clock)
        self._seats = asyncio.Semaphore(MAX_BINDING)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Schedule until cancelled."""
        async with Tasks() as tasks:
            tasks.spawn(self._events.run(), "events of the scheduler")
            if self._own:
                self._informers.start(tasks)
            await self._nodes.wait_synced()
            await self._pods.wait_synced()
            ready()
            while True:
                waiting = await self.queue.next()
                await self._seats.acquire()
                self._schedule(waiting, tasks)
                await asyncio.sleep(0)

    # what happens around

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
        info = pod_info(waiting.pod)
        decision = decide(info, self.cache.nodes, self._random)
        if decision.node:
            self.cache.assume(info, decision.node)
            tasks.spawn(self._bind(info, decision.node), f"bind {info.key}")
        else:
            tasks.spawn(self._refuse(info, decision.message), f"refuse {info.key}")

    async def _bind(self, info: PodInfo, node: str) -> None:
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

    async def _refuse(self, info: PodInfo, message: str) -> None:
        """Say why the pod stays where it is, then let it wait."""
        try:
            self._events.record({"kind": "Pod", "apiVersion": "v1", **info.pod}, "Warning", "FailedScheduling", message)
            await self._write_condition(info, message)
        except (StatusError, OSError) as error:
            log.debug("condition of %s was not written: %s", info.key, error)
        finally:
            self.queue.failed(info.key, unschedulable=True)
            self._seats.release()

    async def _write_condition(self, info: PodInfo, message: str) -> None:
        current = self._pods.get(info.key)
        if current is None or current["metadata"].get("uid") != info.uid:
            return
        known = pods.condition(current, "PodScheduled") or {}
        if (known.get("status"), known.get("reason"), known.get("message")) == ("False", "Unschedulable", message):
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
