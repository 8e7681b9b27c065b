"""One pod's worker: look, decide, carry out, tell. It wakes at each event of the pod, of the runtime or of a probe.

Decisions are `plan.py`'s. Every operation is a task of its own under a key in the memory's `busy`, so that a slow one
(a pull, a grace period) holds nothing else up; when it ends, the worker looks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from heeler.base.clock import parse_rfc3339
from heeler.base.processes import ProgramError
from heeler.base.together import end
from heeler.kubelet.context import NodeContext
from heeler.kubelet.pods import plan, status, volumes
from heeler.kubelet.pods.observe import Observer
from heeler.kubelet.pods.operations import Operations
from heeler.kubelet.pods.views import (
    Health,
    Memory,
    View,
    Waiting,
    all_containers,
    container_of,
    deleting,
    grace_of,
    init_containers,
    is_sidecar,
)
from heeler.kubelet.probes import Prober
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

PODS = GroupVersionResource("", "v1", "pods")
#: Seconds: how often volumes are refreshed, how soon after a failed write to the API server it is tried again.
REFRESH, RETRY = 30.0, 1.0
#: Seconds by which the time of day must jump to count as set.
CLOCK_STEP = 1.0


class PodWorker:
    """Owns one pod (by uid) until it is gone. `wake` may be called from anywhere in the loop."""

    def __init__(self, context: NodeContext, pod: Object) -> None:
        self.context, self.pod = context, pod
        self.uid = str(uid_of(pod))
        # What has ended stays so, whatever an agent that was started anew still finds of it.
        self.memory = Memory(started_at=_start_time(pod), ended=_end_of(pod))
        #: It has its place on the node: it fits, or it was here before the agent started.
        self.admitted = bool((pod.get("status") or {}).get("startTime"))
        options = context.options
        self.view = View()
        self.observer = Observer(context.runtime, context.lister, options.pods_dir, self.uid)
        self.operations = Operations(context, self)
        #: The object is gone from the API server: nothing is told any more, only cleaned up.
        self.gone = False
        self._wakened = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._probers: dict[str, Prober] = {}
        self._refreshed = 0.0
        #: How far the time of day is ahead of the monotonic one.
        self._ahead = context.clock.time() - context.clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._crashes: dict[str, str] = {}

    def wake(self) -> None:
        self._wakened.set()

    def update(self, pod: Object) -> None:
        """A newer version of the pod's object."""
        if _older(pod, self.pod):
            return
        shorter = deleting(pod) and deleting(self.pod) and grace_of(pod) < grace_of(self.pod)
        self.pod = pod
        if shorter:
            self._spawn("shorten", self._shorten(grace_of(pod)))
        self.wake()

    async def _shorten(self, grace: float) -> None:
        """The grace period was cut while it ran: kill what still runs when the new one is over."""
        await self.context.clock.sleep(grace)
        for container in self.view.running():
            await self.operations.kill_now(container.id)

    def vanish(self) -> None:
        """The API server has the object no more: end at once."""
        self.gone = True
        meta = {**(self.pod.get("metadata") or {}), "deletionGracePeriodSeconds": 0}
        meta.setdefault("deletionTimestamp", "1970-01-01T00:00:00Z")
        self.pod = {**self.pod, "metadata": meta}
        self.wake()

    def evict(self, message: str, grace: float) -> None:
        """End the pod for the node's sake, with at the most `grace` seconds."""
        memory = self.memory
        if memory.ended is not None:
            return
        memory.ended, memory.grace = ("Failed", "Evicted", message), grace
        memory.disrupted = ("TerminationByKubelet", message)
        self.operations.evicted(message)
        self.wake()

    async def run(self) -> None:
        """Until the pod is gone for good (or cancelled: its containers then run on)."""
        self.wake()
        try:
            while True:
                self._wakened.clear()
                try:
                    if await self._turn():
                        return
                except (RuntimeFault, StatusError, OSError, ProgramError) as error:
                    log.warning("pod %s/%s: %s", namespace_of(self.pod), name_of(self.pod), error)
                    self.later(RETRY)
                except Exception:
                    log.exception("pod %s/%s", namespace_of(self.pod), name_of(self.pod))
                    await self.context.clock.sleep(10 * RETRY)
                    self.wake()
                await self._wakened.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for prober in self._probers.values():
                await prober.stop()
            await end(self._tasks.values())

    def later(self, seconds: float) -> None:
        """Wake after a while, unless an earlier moment is set already."""
        loop = asyncio.get_running_loop()
        moment = loop.time() + max(0.0, seconds)
        if self._timer is not None and loop.time() < self._timer.when() <= moment:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(moment, self.wake)

    async def _turn(self) -> bool:
        """One turn; True when the pod is gone for good."""
        now = self.context.clock.time()
        self._follow_clock(now)
        if not self.memory.started_at:
            self.memory.started_at = now
        self.view = await self.observer.look()
        await self._probe()
        self._restless()
        before = self.memory.ended
        decision = plan.decide(self.pod, self.view, self.memory, now)
        if before is None and self.memory.ended is not None:
            self.operations.ended(self.memory.ended)
        self._crashed()
        finish: plan.Finish | None = None
        for instruction in decision.todo:
            if isinstance(instruction, plan.Finish):
                finish = instruction
            else:
                self._carry_out(instruction)
        if self.gone:
            self._kill_now()
        else:
            await self._tell()
        if finish is not None and (finish.forget or self.gone) and not self._tasks:
            await self._forget()
            return True
        if decision.wake_at:
            self.later(decision.wake_at - now)
        self._refresh(self.context.clock.monotonic())
        return False

    def _follow_clock(self, now: float) -> None:
        """Somebody may set the clock, and after a laptop's sleep it has jumped."""
        ahead = now - self.context.clock.monotonic()
        if abs(ahead - self._ahead) >= CLOCK_STEP:
            plan.set_clock(self.memory, ahead - self._ahead)
        self._ahead = ahead

    def _carry_out(self, instruction: plan.Instruction) -> None:
        operations, view = self.operations, self.view
        match instruction:
            case plan.CreateSandbox(attempt=attempt):
                self._spawn("sandbox", operations.create_sandbox(attempt))
            case plan.StopSandbox(id=found, remove=remove):
                self._spawn(f"stop/{found}", operations.stop_sandbox(found, remove))
            case plan.StartContainer(name=name, attempt=attempt):
                sandbox = view.sandbox
                assert sandbox is not None, "plan starts containers in a ready sandbox only"
                self._spawn(f"start/{name}", operations.start_container(name, attempt, sandbox))
            case plan.KillContainer(id=found):
                self._spawn(f"kill/{found}", operations.kill(instruction))
            case plan.ResizeContainer(id=found, name=name):
                self._spawn(f"resize/{found}", operations.resize(found, name))
            case plan.RemoveContainer(id=found):
                self._spawn(f"remove/{found}", operations.remove_container(found))

    def _spawn(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        if key in self._tasks:
            work.close()
            return
        self.memory.busy[key] = None

        async def guarded() -> None:
            try:
                await work
            except (RuntimeFault, StatusError, OSError, ProgramError) as error:
                log.warning("pod %s/%s: %s: %s", namespace_of(self.pod), name_of(self.pod), key, error)
                await self.context.clock.sleep(RETRY)
            except Exception:
                # A defect of ours must neither stop the pod's worker nor spin.
                log.exception("pod %s/%s: %s", namespace_of(self.pod), name_of(self.pod), key)
                await self.context.clock.sleep(10 * RETRY)
            finally:
                self.memory.busy.pop(key, None)
                self._tasks.pop(key, None)
                self.wake()

        task = asyncio.ensure_future(guarded())
        # Cancelled before it began, the work would never have been awaited.
        task.add_done_callback(lambda _: work.close())
        self._tasks[key] = task

    def _kill_now(self) -> None:
        """The object is gone: who still has a grace period loses it."""
        for container in self.view.running():
            self._spawn(f"end/{container.id}", self.operations.kill_now(container.id))

    def _restless(self) -> None:
        """Forget what was said of containers that run by now; tell image back-offs that have begun."""
        for container in self.view.containers:
            if container.state == "running" and f"start/{container.name}" not in self.memory.busy:
                self.memory.waiting.pop(container.name, None)
        self.operations.image_back_offs()

    def _crashed(self) -> None:
        """Tell once of each back-off after a crash."""
        for name, waiting in self.memory.waiting.items():
            latest = self.view.latest(name)
            if waiting.reason == "CrashLoopBackOff" and latest is not None and self._crashes.get(name) != latest.id:
                self._crashes[name] = latest.id
                self.operations.back_off(name)

    async def _probe(self) -> None:
        """Probes for every running container, none for others."""
        hooking = self.memory.hooking
        running = {c.name: c for c in self.view.containers if c.state == "running" and c.id not in hooking}
        for name in list(self._probers):
            found = running.get(name)
            self._probers[name].ending = deleting(self.pod) or self.memory.ended is not None
            if found is None or found.id != self._probers[name].health.container or self.gone:
                await self._probers.pop(name).stop()
                self.memory.health.pop(name, None)
        for name, view in running.items():
            container = container_of(self.pod, name)
            if container is None or name in self._probers or self.gone:
                continue
            if not any(f"{kind}Probe" in container for kind in ("startup", "liveness", "readiness")):
                continue
            if container in init_containers(self.pod) and not is_sidecar(container):
                continue
            health = Health(view.id, *self._known_health(container, view.id))
            self.memory.health[name] = health
            prober = Prober(
                container,
                health,
                self.operations.check,
                self.operations.unhealthy,
                self.wake,
                self.context.clock,
                self.context.random,
            )
            self._probers[name] = prober
            prober.start()

    def _known_health(self, container: Object, found: str) -> tuple[bool, bool]:
        """(started, ready) at first: what the status says of the same container, else what follows without probes."""
        for group in ("initContainerStatuses", "containerStatuses"):
            for known in (self.pod.get("status") or {}).get(group) or []:
                same = known.get("name") == container["name"] and str(known.get("containerID", "")).endswith(found)
                if same and "running" in (known.get("state") or {}):
                    return bool(known.get("started")), bool(known.get("ready"))
        starts = "startupProbe" not in container
        return starts, starts and "readinessProbe" not in container

    async def _tell(self) -> None:
        """Write the status where it differs. A pod that is gone meanwhile ends."""
        now = self.context.clock.time()
        host = status.Host((self.context.options.node_ip,))
        fresh = status.make(self.pod, self.view, self.memory, host, now)
        changes = status.patch(self.pod, fresh)
        if changes is None:
            return
        try:
            self.pod = await self.context.client.patch(
                PODS,
                name_of(self.pod),
                changes,
                namespace_of(self.pod),
                type="application/strategic-merge-patch+json",
                subresource="status",
            )
        except StatusError as error:
            if error.code == 404 or (error.code in (409, 422) and "uid" in error.message.lower()):
                self.vanish()
                return
            raise

    async def _forget(self) -> None:
        """The end: nothing of the pod stays on the node, and its object goes."""
        await self.operations.clean_up(self.view)
        if self.gone:
            return
        try:
            await self.context.client.delete(
                PODS, name_of(self.pod), namespace_of(self.pod), uid=self.uid, grace_seconds=0
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    def _refresh(self, now: float) -> None:
        """Bring volumes made of API objects up to date now and then."""
        if deleting(self.pod) or self.memory.ended is not None or self.gone:
            return
        if not any(volumes.kind_of(v) in volumes.OBJECTS for v in (self.pod.get("spec") or {}).get("volumes") or []):
            return
        if not self._refreshed:
            self._refreshed = now
        if now - self._refreshed >= REFRESH and self.view.sandbox is not None and "volumes" not in self._tasks:
            self._refreshed = now
            self._spawn("volumes", self.operations.refresh_volumes(REFRESH / 2))
        self.later(REFRESH + 0.5)

    # What operations ask of their worker.

    def set_waiting(self, name: str, reason: str, message: str, retry_in: float) -> None:
        """A container could not be started for now."""
        self.memory.waiting[name] = Waiting(reason, message)
        self.memory.retry_at[name] = self.context.clock.time() + retry_in

    def all_waiting(self, reason: str, message: str) -> None:
        """None of the containers can start."""
        for container in all_containers(self.pod):
            self.memory.waiting[container["name"]] = Waiting(reason, message)

    def clear_waiting(self) -> None:
        self.memory.waiting.clear()

    def grace(self) -> float:
        return grace_of(self.pod)


def _start_time(pod: Object) -> float:
    known = (pod.get("status") or {}).get("startTime")
    return parse_rfc3339(known) if known else 0.0


def _end_of(pod: Object) -> tuple[str, str, str] | None:
    status = pod.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    return str(status["phase"]), str(status.get("reason", "")), str(status.get("message", ""))


def _older(pod: Object, known: Object) -> bool:
    """Whether a version came late: resource versions of one object may be compared as numbers (KEP-5504)."""
    fresh = str((pod.get("metadata") or {}).get("resourceVersion", ""))
    have = str((known.get("metadata") or {}).get("resourceVersion", ""))
    return fresh.isdigit() and have.isdigit() and int(fresh) < int(have)
