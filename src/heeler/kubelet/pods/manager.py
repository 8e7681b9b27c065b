"""All pods of a node: a worker for each, woken by the API server's events and by the runtime's changes.

Pods that are in the runtime and not in the API any more get a worker too: their end goes its orderly way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from heeler.base.processes import ProgramError
from heeler.base.together import end, together
from heeler.kubelet.context import NodeContext
from heeler.kubelet.pods import config, volumes
from heeler.kubelet.pods.worker import PODS, PodWorker
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.network import services
from heeler.network.follow import Mirror
from heeler.objects.value import Object, meta, uid_of

log = logging.getLogger(__name__)

#: Seconds between looks at the runtime.
RELIST = 0.25


class Agent:
    """The pods of one node. `run` until cancelled."""

    def __init__(self, context: NodeContext) -> None:
        self.context = context
        self.workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, dict[str, int]] = {}
        self._synced = asyncio.Event()
        #: Called with the host ports of all pods after each change of them.
        self.host_ports: Callable[[tuple[services.HostPort, ...]], None] | None = None
        self._pods = Mirror(
            context.client,
            PODS,
            context.clock,
            self._changed,
            field_selector=f"spec.nodeName={context.options.node}",
            synced=self._synced.set,
        )

    def pod(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod by its name."""
        for worker in self.workers.values():
            known = meta(worker.pod)
            if known.get("name") == name and known.get("namespace") == namespace:
                return worker
        return None

    async def run(self) -> None:
        # A second run (after a failure) meets every pod anew.
        self._pods.items.clear()
        try:
            await together(self._pods.run(), self._watch_runtime())
        finally:
            await end(self._tasks.values())

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            worker = self.workers.get(str(uid_of(old or {})))
            if worker is not None:
                worker.vanish()
            return
        uid = str(uid_of(new))
        known = self.workers.get(uid)
        if known is not None:
            known.update(new)
            return
        worker = PodWorker(self.context, new)
        self._employ(uid, worker)

    def _employ(self, uid: str, worker: PodWorker) -> None:
        self.workers[uid] = worker
        task = asyncio.ensure_future(worker.run())
        self._tasks[uid] = task

        def left(done: asyncio.Task[None]) -> None:
            self.workers.pop(uid, None)
            self._tasks.pop(uid, None)
            if not done.cancelled() and done.exception() is not None:
                # A defect of ours: the pod gets a new worker at its next event, the others are not harmed.
                log.error("worker of pod %s failed", uid, exc_info=done.exception())

        task.add_done_callback(left)

    async def _watch_runtime(self) -> None:
        """Wake the workers of pods whose containers changed; clean up after pods that nobody knows any more."""
        await self._synced.wait()
        orphans, strangers = True, frozenset[str]()
        while True:
            try:
                await self._relist()
                # a start that containerd's end broke off may come back with it, after its pod is gone
                before, strangers = strangers, frozenset(self._states.keys() - self.workers.keys())
                if orphans or before & strangers:
                    await self._adopt_orphans()
                    orphans = False
            except (RuntimeFault, ProgramError, OSError) as error:
                log.warning("container runtime: %s", error)
                await self.context.clock.sleep(1.0)
            await self.context.clock.sleep(RELIST)

    async def _relist(self) -> None:
        listed = await self.context.lister.fresh()
        fresh: dict[str, dict[str, int]] = {}
        for group in (listed.sandboxes, listed.containers):
            for uid, found in group.items():
                fresh.setdefault(uid, {}).update((one.id, one.state) for one in found)
        for uid, worker in self.workers.items():
            if self._states.get(uid) != fresh.get(uid):
                worker.wake()
        self._states = fresh
        if self.host_ports is not None:
            self.host_ports(self._host_ports())

    def logs(self) -> list[tuple[str, Path]]:
        """The running containers and their logs."""
        out = []
        for worker in self.workers.values():
            folder = config.pod_log_dir(self.context.options.logs_dir, worker.pod)
            out += [
                (c.id, folder / c.name / f"{c.attempt}.log") for c in worker.view.containers if c.state == "running"
            ]
        return out

    def _host_ports(self) -> tuple[services.HostPort, ...]:
        out = []
        for uid in sorted(self.workers):
            worker = self.workers[uid]
            sandbox = worker.view.sandbox
            spec = worker.pod.get("spec") or {}
            if spec.get("hostNetwork") or sandbox is None or not sandbox.ready or not sandbox.ips:
                continue
            for container in spec.get("containers") or []:
                for port in container.get("ports") or []:
                    if port.get("hostPort"):
                        end = services.Endpoint(sandbox.ips[0], int(port["containerPort"]), True)
                        protocol = str(port.get("protocol") or "TCP").lower()
                        out.append(services.HostPort(protocol, int(port["hostPort"]), end))
        return tuple(out)

    async def _adopt_orphans(self) -> None:
        """Pods in the runtime (or on disk) without an object: their end goes its orderly way."""
        context = self.context
        for sandbox in await context.runtime.sandboxes({config.NODE: context.options.node}):
            uid = sandbox.labels[config.POD_UID]
            if uid in self.workers:
                continue
            metadata = {"name": sandbox.metadata.name, "namespace": sandbox.metadata.namespace, "uid": uid}
            worker = PodWorker(context, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}})
            worker.vanish()
            self._employ(uid, worker)
        roots = volumes.Roots(context.options.pods_dir, context.options.memory_dir, context.options.logs_dir)
        for folder in [*sorted(roots.pods.glob("*/")), *sorted(roots.memory.glob("*/"))]:
            if folder.name not in self.workers:
                await volumes.tear_down(roots, folder.name)
        for group in context.cgroups.left():
            if group.rpartition("/pod")[2] not in self.workers:
                await asyncio.to_thread(context.cgroups.remove, group)
