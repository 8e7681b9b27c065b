"""Keeps a node from running out of memory, disk, inodes or processes: looks, frees what nobody needs, evicts a pod.

What is decided is in `pressure.py` and `image_gc.py`; here it is looked and done. While nothing is short, a look is a few
small files and one call of the filesystem. Source:
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from heeler.base.files import read_text
from heeler.kubelet import figures, image_gc, machine, pressure
from heeler.kubelet.context import NodeContext
from heeler.kubelet.figures import Disk
from heeler.kubelet.image_gc import ImageCollector
from heeler.kubelet.pods import config, volumes
from heeler.kubelet.pods.views import all_containers, deleting, spec_of
from heeler.kubelet.pods.worker import PodWorker
from heeler.kubelet.pressure import Met, Observation, Settings, Use
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.kubelet.summary import written
from heeler.objects.value import Object

log = logging.getLogger(__name__)

#: Seconds between looks, and between looks at images when the disk isn't short.
PERIOD, IMAGE_PERIOD = 10.0, 300.0


def observe(folder: Path) -> dict[str, Observation]:
    """What is left of everything. `folder`: on the filesystem of images and pods. Raises OSError."""
    found = figures.disk(folder)
    memory = machine.memory()
    out = {
        "memory.available": Observation(memory.get("MemAvailable", 0), memory.get("MemTotal", 0)),
        "pid.available": _processes(),
    }
    for name in ("nodefs", "imagefs"):
        out[f"{name}.available"] = Observation(found.available, found.capacity)
        if found.inodes:  # some filesystems don't count them
            out[f"{name}.inodesFree"] = Observation(found.inodes_free, found.inodes)
    return out


def _processes() -> Observation:
    limits = [read_text(Path(f"/proc/sys/kernel/{name}")) for name in ("pid_max", "threads-max")]
    most = min((int(text) for text in limits if text.isdigit()), default=0)
    return Observation(max(0, most - figures.pids()), most)


class Eviction:
    """One node's. `run` until cancelled; `pressure` is what the node's status says."""

    def __init__(
        self,
        context: NodeContext,
        workers: Callable[[], Mapping[str, PodWorker]],
        settings: Settings,
        policy: image_gc.Policy,
        kept_images: Callable[[], Mapping[str, None]],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._context, self._workers, self._settings, self._policy = context, workers, settings, policy
        self._images = ImageCollector(context.runtime, context.clock, kept_images)
        self._state = pressure.State()
        self._changed = changed
        self._images_looked = 0.0
        #: What is left, as it is asked at each look; tests hand in another one.
        self.observe: Callable[[], dict[str, Observation]] = lambda: observe(context.options.data_dir)
        self.pressure: dict[str, bool] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except (RuntimeFault, OSError) as error:
                log.warning("the node's resources can't be looked at: %s", error)
            await self._context.clock.sleep(PERIOD)

    async def look(self) -> None:
        """One look, and at the most one pod evicted for the node's sake. Raises RuntimeFault, OSError."""
        now = self._context.clock.monotonic()
        found = pressure.met(self._settings, self.observe(), self._state, now)
        held = pressure.conditions(self._settings, self._state, now)
        if held != self.pressure:
            self.pressure = held
            self._changed()
        await self._limits()
        if not found:
            await self._collect_images(now)
            return
        first = found[0]
        resource = pressure.SIGNALS[first.threshold.signal][1]
        text = f"Attempting to reclaim {resource}"
        self._context.events.event(self._node(), "Warning", "EvictionThresholdMet", text)
        if "fs." in first.threshold.signal and await self._freed(first):
            return
        await self._evict(first, resource)

    def _node(self) -> Object:
        name = self._context.options.node
        return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "uid": name}}

    async def _collect_images(self, now: float) -> None:
        """Now and then: notice which images are used, and free the disk above the high mark."""
        if self._images_looked and now - self._images_looked < IMAGE_PERIOD:
            return
        self._images_looked = now
        disk: Disk = figures.disk(self._context.options.data_dir)
        wanted = image_gc.to_free(disk, self._policy)
        if not wanted:
            await self._images.look()
            return
        freed = await self._images.free(wanted, self._policy.min_age)
        if freed < wanted:
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
                f"but only found {freed} bytes eligible to free."
            )
            self._context.events.event(self._node(), "Warning", "FreeDiskSpaceFailed", text)

    async def _freed(self, found: Met) -> bool:
        """Whether dead containers and unused images gave enough back."""
        for worker in self._workers().values():
            await worker.operations.remove_dead()
        await self._images.free(1 << 62, 0.0)
        again = self.observe().get(found.threshold.signal)
        return again is not None and again.available >= found.threshold.limit(again.capacity)

    async def _evict(self, found: Met, resource: str) -> None:
        uses = await self._uses(resource)
        for use in pressure.ranked(uses, resource):
            worker = self._workers().get(str(use.pod["metadata"]["uid"]))
            if worker is not None and self._evictable(worker):
                grace = 1.0 if found.hard else self._settings.max_pod_grace
                worker.evict(pressure.message(found, use), grace)
                return
        log.warning("the node is short of %s and there is no pod to evict", resource)

    @staticmethod
    def _evictable(worker: PodWorker) -> bool:
        return worker.memory.ended is None and not deleting(worker.pod) and not worker.gone

    async def _uses(self, resource: str) -> list[Use]:
        """What every pod uses of a resource."""
        groups, out = self._context.cgroups, []
        layers = await written(self._context.runtime) if resource in ("ephemeral-storage", "inodes") else {}
        for worker in list(self._workers().values()):
            if not self._evictable(worker):
                continue
            if resource in ("memory", "pids"):
                path = groups.pod(worker.pod)
                whole = figures.group(groups.root, path, groups.unified)
                if whole is None:
                    continue
                used = {"memory": whole.working_set, "pids": whole.processes}[resource]
                parts = {}
                for view in worker.view.running():
                    reading = figures.group(groups.root, f"{path}/{view.id}", groups.unified)
                    if reading is not None:
                        parts[view.name] = reading.working_set
                out.append(Use(worker.pod, used, parts))
            else:
                local, inodes = await asyncio.to_thread(self._local, worker, layers)
                total = sum(local.volumes.values()) + sum(local.containers.values())
                out.append(Use(worker.pod, inodes if resource == "inodes" else total, local.containers))
        return out

    def _local(self, worker: PodWorker, layers: Mapping[str, int]) -> tuple[pressure.Local, int]:
        """What a pod has written to the disk, and how many files."""
        options, files = self._context.options, 0
        roots = volumes.Roots(options.pods_dir, options.memory_dir, options.logs_dir)
        found = {}
        for volume in spec_of(worker.pod).get("volumes") or []:
            if volumes.kind_of(volume) == "emptyDir":
                found[volume["name"]], more = figures.folder_size(volumes.volume_path(roots, worker.pod, volume))
                files += more
        containers = {}
        for container in all_containers(worker.pod):
            name = container["name"]
            logs, more = figures.folder_size(config.pod_log_dir(options.logs_dir, worker.pod) / name)
            own = sum(layers.get(view.id, 0) for view in worker.view.containers if view.name == name)
            containers[name], files = logs + own, files + more
        return pressure.Local(found, containers), files

    async def _limits(self) -> None:
        """Evict pods that write more than they may."""
        limited = [w for w in self._workers().values() if pressure.has_local_limits(w.pod) and self._evictable(w)]
        if not limited:
            return
        layers = await written(self._context.runtime)
        for worker in limited:
            local, _ = await asyncio.to_thread(self._local, worker, layers)
            why = pressure.exceeded(worker.pod, local)
            if why and self._evictable(worker):
                worker.evict(why, 1.0)
