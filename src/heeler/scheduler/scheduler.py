"""The scheduler: watches pods and nodes, decides one pod after the other, binds beside the next decision."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from heeler.base.aside import LARGE_BYTES, Aside
from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.event_series import SeriesRecorder
from heeler.client.informer import Handler, Informer, Informers, key_of
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, name_of
from heeler.scheduler import events
from heeler.scheduler.cache import Cache
from heeler.scheduler.configuration.load import default
from heeler.scheduler.configuration.profiles import Others, profiles
from heeler.scheduler.cycle import Circumstances, counted
from heeler.scheduler.decision import Decision, decide
from heeler.scheduler.devices.claim_writer import ClaimWriter
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.extender import Extender, ExtenderError
from heeler.scheduler.extending import decide_together
from heeler.scheduler.kin import Kinship
from heeler.scheduler.measures import Measures
from heeler.scheduler.outcome import PODS, SCHEDULER_ERROR, UNSCHEDULABLE, Outcomes, about
from heeler.scheduler.plugins.default_preemption import DefaultPreemption
from heeler.scheduler.plugins.dynamic_resources import DynamicResources, SlowSearch
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.plugin import PluginError
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import PodInfo
from heeler.scheduler.profile import Profile
from heeler.scheduler.queue import SchedulingQueue, Waiting, scheduler_name
from heeler.scheduler.volume_binder import VolumeBinder
from heeler.workloads import pods
from heeler.workloads.extended_resources import is_special

log = logging.getLogger(__name__)

NODES = GroupVersionResource("", "v1", "nodes")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
BUDGETS = GroupVersionResource("policy", "v1", "poddisruptionbudgets")
CLAIMS = GroupVersionResource("", "v1", "persistentvolumeclaims")
VOLUMES = GroupVersionResource("", "v1", "persistentvolumes")
STORAGE_CLASSES = GroupVersionResource("storage.k8s.io", "v1", "storageclasses")
CSI_NODES = GroupVersionResource("storage.k8s.io", "v1", "csinodes")
CSI_DRIVERS = GroupVersionResource("storage.k8s.io", "v1", "csidrivers")
STORAGE_CAPACITIES = GroupVersionResource("storage.k8s.io", "v1", "csistoragecapacities")
RESOURCE_CLAIMS = GroupVersionResource("resource.k8s.io", "v1", "resourceclaims")
DEVICE_CLASSES = GroupVersionResource("resource.k8s.io", "v1", "deviceclasses")
RESOURCE_SLICES = GroupVersionResource("resource.k8s.io", "v1", "resourceslices")
DEVICE_TAINT_RULES = GroupVersionResource("resource.k8s.io", "v1", "devicetaintrules")
#: So many bindings are under way at once at most; those that wait for volumes or devices aside.
MAX_BINDING = 64


async def start(client: Client, tasks: Tasks, *, clock: Clock, random: Random) -> None:
    """Start a scheduler as a task; returns at once."""
    tasks.spawn(Scheduler(client, clock=clock, random=random).run(), "scheduler")


class Scheduler:
    """`host` is the name of the machine, as events tell it; `configuration` a checked KubeSchedulerConfiguration (upstream's
    defaults without), `others` the plugins that it may name beside upstream's. Raises ConfigurationError.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        random: Random,
        informers: Informers | None = None,
        host: str = "localhost",
        configuration: Object | None = None,
        others: Others | None = None,
    ) -> None:
        self._client, self._clock, self._random = client, clock, random
        self._own = informers is None
        self._informers = informers or Informers(client, clock)
        self._aside = Aside()
        self.cache = Cache()
        kinship = Kinship(self._informers)
        self._devices = Devices()
        self._claim_writer = ClaimWriter(
            client,
            self._devices,
            clock=clock,
            random=random,
            row=self.cache.table.row,
            claims=self._informers.get(RESOURCE_CLAIMS),
        )
        tools = Tools(
            self.cache.storage,
            kinship.of,
            self._volume_binder(),
            self._devices,
            self._claim_writer,
            clock,
            self._record,
        )
        configuration = configuration or default()
        self.profiles: dict[str, Profile] = profiles(configuration, tools, others)
        self.queue = SchedulingQueue(
            clock,
            self.profiles,
            first_backoff=float(configuration["podInitialBackoffSeconds"]),
            max_backoff=float(configuration["podMaxBackoffSeconds"]),
        )
        self._extenders = [Extender(one) for one in configuration.get("extenders") or ()]
        self._recorders = {name: SeriesRecorder(client, name, f"{name}-{host}", clock=clock) for name in self.profiles}
        self.measures = Measures()
        self._seats = asyncio.Semaphore(MAX_BINDING)
        #: who says why the last attempt at a pod ended, by uid.
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._start = 0
        self._pods = self._informers.get(PODS)
        budgets = self._informers.get(BUDGETS)
        self._outcomes = Outcomes(client, self._pods, budgets, clock)
        self._synced = [*self._follow(), budgets, *kinship.informers, self._pods]
        self._pods.add_handler(self._pod_changed)

    def _volume_binder(self) -> VolumeBinder:
        def node(name: str) -> Object | None:
            row = self.cache.table.row(name)
            return None if row is None else self.cache.table.node(row)

        return VolumeBinder(self._client, self.cache.storage, self._clock, nodes=node, wanted=self._is_waiting)

    def _record(self, info: PodInfo, reason: str, action: str, note: str) -> None:
        self._recorders[scheduler_name(info.pod)].record(about(info), "Normal", reason, action, note)

    def _follow(self) -> Iterator[Informer]:
        """Everything but pods that decisions depend on."""
        namespaces, nodes = self._informers.get(NAMESPACES), self._informers.get(NODES)
        namespaces.add_handler(self._namespace_changed)
        nodes.add_handler(self._node_changed)
        yield from (namespaces, nodes)
        storage = self.cache.storage
        for resource, name, objects in (
            (CLAIMS, events.CLAIM, storage.claims),
            (VOLUMES, events.VOLUME, storage.volumes),
            (STORAGE_CLASSES, events.STORAGE_CLASS, storage.classes),
            (CSI_NODES, events.CSI_NODE, storage.csi_nodes),
            (CSI_DRIVERS, events.CSI_DRIVER, storage.csi_drivers),
            (STORAGE_CAPACITIES, events.STORAGE_CAPACITY, storage.capacities),
        ):
            yield self._kept(resource, name, objects)
        devices = self._devices
        for resource, name, objects in (
            (RESOURCE_CLAIMS, events.RESOURCE_CLAIM, devices.claims),
            (DEVICE_CLASSES, events.DEVICE_CLASS, devices.classes),
            (RESOURCE_SLICES, events.RESOURCE_SLICE, devices.slices),
            (DEVICE_TAINT_RULES, events.RESOURCE_SLICE, devices.rules),  # a rule changes what slices say
        ):
            yield self._kept(resource, name, objects, devices.changed)

    def _kept(
        self,
        resource: GroupVersionResource,
        name: str,
        objects: dict[str, Object],
        then: Callable[[], None] = lambda: None,
    ) -> Informer:
        informer = self._informers.get(resource)
        informer.add_handler(self._keeper(name, objects, then))
        return informer

    def _keeper(self, resource: str, objects: dict[str, Object], then: Callable[[], None]) -> Handler:
        """Keeps a copy of objects and tells the queue of their changes."""

        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None:
                objects[key_of(new)] = new
            elif old is not None:
                objects.pop(key_of(old), None)
            then()
            self.queue.happened(events.plain_change(resource, old, new), old, new)

        return changed

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Schedule until cancelled."""
        async with Tasks() as tasks:
            for recorder in self._recorders.values():
                tasks.spawn(recorder.run(), "events of the scheduler")
            if self._own:
                self._informers.start(tasks)
            for informer in self._synced:
                await informer.wait_synced()
            ready()
            try:
                while True:
                    waiting = await self.queue.next()
                    await self._seats.acquire()
                    await self._schedule(waiting, tasks)
                    await asyncio.sleep(0)
            finally:
                self._aside.close()
                for extender in self._extenders:
                    await extender.close()

    # what metrics ask for

    def pending(self) -> dict[str, int]:
        return self.queue.counts()

    def unschedulable(self) -> dict[tuple[str, str], int]:
        return self.queue.refusing()

    def cached(self) -> dict[str, int]:
        return self.cache.sizes()

    # what happens around

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self.cache.drop_namespace(name_of(old or {}))
        elif old is None or labels_of(old) != labels_of(new):
            self.cache.set_namespace(name_of(new), labels_of(new))
            self.queue.happened(events.plain_change(events.NAMESPACE, old, new), old, new)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self.cache.drop_node(name_of(old or {}))
        else:
            self.cache.set_node(new)
        for change in events.node_changes(old, new):
            self.queue.happened(change, old, new)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self.cache.drop_pod(key_of(old))
            self.queue.remove(key_of(old))
            if pods.node_name(old):
                self.queue.happened((events.POD, events.DELETE), old, None)
            return
        key = key_of(new)
        if pods.node_name(new):
            self.queue.remove(key)
            self.cache.set_pod(new)
            before = old if old is not None and pods.node_name(old) else None
            for change in events.pod_changes(before, new):
                gone = change == (events.POD, events.DELETE)
                self.queue.happened(change, new if gone else before, None if gone else new)
        elif not self._is_mine(new):
            self.queue.remove(key)
            self.cache.release(key)
        elif not self.cache.is_assumed(key):
            info = self.cache.info(new)
            self._follow_promise(info, old)
            self.queue.add(info)

    def _follow_promise(self, info: PodInfo, old: Object | None) -> None:
        """What the pod's status says of the node where room is made, if it says something new."""
        told = (info.pod.get("status") or {}).get("nominatedNodeName") or ""
        before = ((old or {}).get("status") or {}).get("nominatedNodeName") or ""
        if told and (told != before or self.cache.promised_to(info) == told):
            self.cache.promise(info, told)
        elif before and not told:
            self.cache.release(info.key)

    def _is_mine(self, pod: Object) -> bool:
        mine = scheduler_name(pod) in self.profiles
        return mine and not pods.is_terminating(pod) and not pods.is_finished(pod)

    def _is_waiting(self, info: PodInfo) -> bool:
        """Is the pod still there, and without a node?"""
        current = self._pods.get(info.key)
        return current is not None and current["metadata"].get("uid") == info.uid and not pods.node_name(current)

    # one pod

    async def _schedule(self, waiting: Waiting, tasks: Tasks) -> None:
        """Decide now; what needs the API goes on beside."""
        waiting.began = began = self._clock.monotonic()
        try:
            decision = await self._decided(waiting)
        except PluginError as error:
            self._erred(waiting, str(error), tasks)
            return
        self.measures.algorithm.observe(self._clock.monotonic() - began)
        self._start = (self._start + decision.looked_at) % max(1, len(self.cache.table))
        if not self._is_waiting(waiting.info):
            self.queue.done(waiting)  # it went while an extender was asked
            self._seats.release()
        elif decision.node:
            self._reserve(waiting, decision.node, tasks)
        else:
            self._refuse(waiting, decision, tasks)

    async def _decided(self, waiting: Waiting) -> Decision:
        """Searches for devices that take long go on in a thread, while nothing else is decided; what was found stays."""
        devices = waiting.profile.plugins.get(DynamicResources.name)
        try:
            while True:
                try:
                    return await self._decide(waiting)
                except SlowSearch as found:
                    slow = found
                await self._aside.run(LARGE_BYTES, slow.go_on)
        finally:
            if isinstance(devices, DynamicResources):
                devices.forget()

    async def _decide(self, waiting: Waiting) -> Decision:
        info, cache, profile = waiting.info, self.cache, waiting.profile
        promised = cache.table.row(cache.promised_to(info))
        around = Circumstances(self._start, cache.nominated(info), promised, self._outcomes.protected)
        interested = [extender for extender in self._extenders if extender.is_interested(info)]
        if not interested:
            return decide(info, cache.table, profile, self._random, around)
        return await decide_together(interested, info, cache.table, profile, self._random, around)

    def _reserve(self, waiting: Waiting, node: str, tasks: Tasks) -> None:
        """The pod counts on its node from now on."""
        info, profile = waiting.info, waiting.profile
        self.queue.decided(waiting)
        self.cache.assume(info, node)
        refused = next(_rejections(profile, info, node), None)
        if refused is None:
            tasks.spawn(self._bind(waiting, node), f"bind {info.key}")
            return
        point, plugin, error = refused
        unschedulable = error.unschedulable
        if unschedulable:
            message = f"0/1 nodes are available: {counted([(error.message, 1)])}."
        else:
            message = f'running {point} plugin "{plugin}": {error.message}'
        self._give_up(waiting, node, message, plugins=(plugin,) if unschedulable else (), unschedulable=unschedulable)
        self._tells(info, tasks.spawn(self._refused(info, message, unschedulable=unschedulable), f"refuse {info.key}"))

    def _tells(self, info: PodInfo, task: asyncio.Task[None] | None) -> None:
        """A task says why an attempt ended: the next one binds the pod after that, or its condition would be the older one."""
        if task is None:
            return

        def ended(done: asyncio.Task[None]) -> None:
            if self._telling.get(info.uid) is done:
                del self._telling[info.uid]

        self._telling[info.uid] = task
        task.add_done_callback(ended)

    async def _bind(self, waiting: Waiting, node: str) -> None:
        info, profile = waiting.info, waiting.profile
        if info.uid in self._telling:
            await asyncio.wait([self._telling[info.uid]])
        slow = [plugin for plugin in profile.pre_bind if plugin.needs_pre_bind(info, node)]
        if slow:
            self._seats.release()  # volumes may take minutes to come
            for plugin in slow:
                try:
                    await plugin.pre_bind(info, node)
                except (Rejected, StatusError, OSError) as error:
                    unschedulable = isinstance(error, Rejected) and error.unschedulable
                    message = str(error) if unschedulable else f'running PreBind plugin "{plugin.name}": {error}'
                    await self._take_back(waiting, node)
                    self._tells(info, asyncio.current_task())
                    self._give_up(waiting, node, message, unschedulable=unschedulable)
                    self._freed(info)
                    await self._write_refusal(info, message, unschedulable=unschedulable)
                    return
            await self._seats.acquire()
        try:
            await self._bind_by_somebody(info, profile, node)
        except (Rejected, ExtenderError, StatusError, OSError) as error:
            await self._binding_failed(waiting, node, error)
        else:
            self.queue.done(waiting)
            now = self._clock.monotonic()
            self.measures.attempted(profile.name, "scheduled", now - waiting.began)
            self.measures.scheduled(waiting.attempts, now - waiting.first)
            message = f"Successfully assigned {info.key} to {node}"
            self._tell(waiting, "Normal", "Scheduled", "Binding", message)
            for one in profile.post_bind:
                one.post_bind(info, node)
        finally:
            self._seats.release()

    async def _bind_by_somebody(self, info: PodInfo, profile: Profile, node: str) -> None:
        """By an extender that binds such pods, by a plugin, else by the API."""
        for extender in self._extenders:
            if extender.binds and extender.is_interested(info):
                await extender.bind(info, node)
                return
        for binder in profile.binders:
            if await binder.bind(info, node):
                return
        await self._client.create(PODS, _binding(info, node), info.namespace, name=info.name, subresource="binding")

    async def _binding_failed(self, waiting: Waiting, node: str, error: Exception) -> None:
        info = waiting.info
        current = self._pods.get(info.key)
        if current is not None and pods.node_name(current):
            for one in waiting.profile.post_bind:
                one.post_bind(info, node)
            return  # somebody else was faster, or the answer was lost
        await self._take_back(waiting, node)
        if isinstance(error, StatusError) and error.code == 404:
            self._unreserve(waiting, node)
            self._freed(info)
            self.queue.done(waiting)
            return
        log.warning("binding %s failed: %s", info.key, error)
        message = f"binding rejected: {error}"
        self._tells(info, asyncio.current_task())
        self._give_up(waiting, node, message, unschedulable=False)
        self._freed(info)
        await self._write_refusal(info, message, unschedulable=False)

    async def _take_back(self, waiting: Waiting, node: str) -> None:
        for plugin in waiting.profile.pre_bind:
            if plugin.needs_pre_bind(waiting.info, node):
                await plugin.take_back(waiting.info, node)

    def _unreserve(self, waiting: Waiting, node: str) -> None:
        for one in reversed(waiting.profile.reserve):
            one.unreserve(waiting.info, node)
        self.cache.forget(waiting.info)

    def _freed(self, info: PodInfo) -> None:
        """Others may have been decided while a pod was being bound that isn't: what it had in hand is free for them again."""
        self.queue.happened((events.POD, events.DELETE), info.pod, None)

    def _give_up(
        self, waiting: Waiting, node: str, message: str, *, plugins: tuple[str, ...] = (), unschedulable: bool
    ) -> None:
        """The pod doesn't come to its node after all. It is tried again when something may help for those `plugins` that
        turned it down; without such by itself, after a pause. `unschedulable` is what it is called."""
        self._unreserve(waiting, node)
        self._count(waiting, "unschedulable" if unschedulable else "error")
        if not self._is_waiting(waiting.info):
            return
        self._tell(waiting, "Warning", "FailedScheduling", "Scheduling", message)
        if plugins:
            self.queue.refused(waiting, plugins)
        else:
            self.queue.failed(waiting)

    # a pod that fits nowhere

    def _erred(self, waiting: Waiting, message: str, tasks: Tasks) -> None:
        """A plugin failed: the pod is tried again by itself."""
        self.queue.failed(waiting)
        self._tell(waiting, "Warning", "FailedScheduling", "Scheduling", message)
        self._count(waiting, "error")

        info = waiting.info
        self._tells(info, tasks.spawn(self._refused(info, message, unschedulable=False), f"refuse {info.key}"))

    async def _refused(self, info: PodInfo, message: str, *, unschedulable: bool) -> None:
        """As `_write_refusal`, by one that has a seat."""
        try:
            await self._write_refusal(info, message, unschedulable=unschedulable)
        finally:
            self._seats.release()

    async def _write_refusal(self, info: PodInfo, message: str, *, unschedulable: bool) -> None:
        """Say in the pod's condition why an attempt ended."""
        try:
            await self._outcomes.write_condition(info, UNSCHEDULABLE if unschedulable else SCHEDULER_ERROR, message)
        except (StatusError, OSError) as error:
            log.debug("the condition of %s failed: %s", info.key, error)

    def _refuse(self, waiting: Waiting, decision: Decision, tasks: Tasks) -> None:
        """Say why the pod stays where it is, and make room for it if that helps."""
        info, plan = waiting.info, decision.preempt
        gate = waiting.profile.plugins.get("DefaultPreemption")
        if plan is not None:
            self.cache.promise(info, plan.node)
            if isinstance(gate, DefaultPreemption):
                gate.begin(info.uid)
        self._count(waiting, "unschedulable")
        if decision.tried_preemption:
            self.measures.preemptions.add()
        if plan is not None:
            self.measures.victims.observe(len(plan.victims))
        self.queue.refused(waiting, decision.plugins)
        if decision.frees is not None:
            tasks.spawn(self._free(decision.frees), "free a claim")
        self._tell(waiting, "Warning", "FailedScheduling", "Scheduling", decision.message)
        self._tells(info, tasks.spawn(self._make_room(waiting, decision, gate), f"refuse {info.key}"))

    async def _make_room(self, waiting: Waiting, decision: Decision, gate: object) -> None:
        info, plan = waiting.info, decision.preempt
        try:
            await self._outcomes.write_condition(
                info,
                UNSCHEDULABLE,
                decision.message,
                promised=plan.node if plan is not None else "",
                released=plan is None and decision.tried_preemption,
            )
            if plan is None:
                if decision.tried_preemption:
                    self.cache.release(info.key)
                return
            victims = [victim for victim in plan.victims if not pods.is_terminating(victim.pod)]
            for other in self.cache.promised_on(plan.node, info.priority) if victims else ():
                self.cache.release(other.key)
                await self._outcomes.forget_promise(other)
            # the last one goes when the pod may be tried again: its end is what the pod waits for
            for victim in victims[:-1]:
                await self._evict(victim, waiting, plan.node)
            self._end_preemption(info, gate)
            for victim in victims[-1:]:
                await self._evict(victim, waiting, plan.node)
        except (StatusError, OSError) as error:
            log.debug("the condition of %s or an eviction for it failed: %s", info.key, error)
        finally:
            self._end_preemption(info, gate)
            self._seats.release()

    async def _free(self, claim: Object) -> None:
        try:
            await (self._claim_writer.delete(claim) if is_special(claim) else self._claim_writer.free(claim))
        except (StatusError, OSError) as error:
            log.debug("freeing a claim failed: %s", error)

    def _end_preemption(self, info: PodInfo, gate: object) -> None:
        if isinstance(gate, DefaultPreemption):
            gate.end(info.uid)
            self.queue.recheck(info.key)

    async def _evict(self, victim: PodInfo, waiting: Waiting, node: str) -> None:
        scheduler = waiting.profile.name
        await self._outcomes.evict(victim, scheduler)
        message = f"Preempted by pod {waiting.info.uid} on node {node}"
        preemptor = about(waiting.info)
        self._recorders[scheduler].record(
            about(victim), "Normal", "Preempted", "Preempting", message, related=preemptor
        )

    def _count(self, waiting: Waiting, result: str) -> None:
        self.measures.attempted(waiting.profile.name, result, self._clock.monotonic() - waiting.began)

    def _tell(self, waiting: Waiting, type: str, reason: str, action: str, message: str) -> None:
        """An event about the pod, as it is known now."""
        info = waiting.info
        self._recorders[waiting.profile.name].record(about(info), type, reason, action, message)


def _rejections(profile: Profile, info: PodInfo, node: str) -> Iterator[tuple[str, str, Rejected]]:
    """Sets the node apart for a pod; extension point, plugin and reason of one that turns it down."""
    for reserving in profile.reserve:
        try:
            reserving.reserve(info, node)
        except Rejected as error:
            yield "Reserve", reserving.name, error
    for permitting in profile.permit:
        try:
            permitting.permit(info, node)
        except Rejected as error:
            yield "Permit", permitting.name, error


def _binding(info: PodInfo, node: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": info.name, "namespace": info.namespace, "uid": info.uid},
        "target": {"kind": "Node", "name": node},
    }
