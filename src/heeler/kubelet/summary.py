"""A node's statistics as its API shows them: /stats/summary, /metrics/resource and /metrics/cadvisor.

Source: https://kubernetes.io/docs/reference/instrumentation/node-metrics/ and the metric names that a kubelet serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heeler.base.clock import rfc3339
from heeler.base.files import read_text
from heeler.kubelet import figures, machine
from heeler.kubelet.figures import Look, Looks, Reading
from heeler.kubelet.pods import config, volumes
from heeler.kubelet.pods.views import ContainerView, spec_of
from heeler.kubelet.pods.worker import PodWorker
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.objects.value import Object, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from heeler.kubelet.pods.manager import Agent


@dataclass(frozen=True, slots=True)
class _Running:
    """A container that runs, and where."""

    worker: PodWorker
    view: ContainerView

    @property
    def labels(self) -> dict[str, str]:
        pod = self.worker.pod
        return {"container": self.view.name, "namespace": namespace_of(pod), "pod": name_of(pod)}


class Statistics:
    """Looks at one node when asked."""

    def __init__(self, agent: Agent) -> None:
        self._agent, self._context = agent, agent.context
        self._looks = Looks()
        self._looking = asyncio.Lock()

    def _running(self) -> list[_Running]:
        found = []
        for worker in self._agent.workers.values():
            found += [_Running(worker, view) for view in worker.view.containers if view.state == "running"]
        return found

    def _paths(self) -> dict[str, str]:
        """The groups to read, by their key."""
        out = {}
        for one in self._running():
            group = self._context.cgroups.pod(one.worker.pod)
            out[one.worker.uid] = group
            out[one.view.id] = f"{group}/{one.view.id}"
        return out

    async def refresh(self) -> None:
        """See that there are two looks, the newest one not older than a moment."""
        clock = self._context.clock
        async with self._looking:
            if self._looks.fresh(clock.time()):
                return
            await self._look()
            # What has come since the look before has no rate yet.
            if any(figures.rate(self._looks.kept, key) is None for key in self._readings().readings):
                await clock.sleep(figures.MIN_WINDOW)
                await self._look()

    async def _look(self) -> None:
        paths, groups, now = self._paths(), self._context.cgroups, self._context.clock.time()

        def read() -> dict[str, Reading]:
            found = {key: figures.group(groups.root, path, groups.unified) for key, path in paths.items()}
            return {"": figures.whole_machine()} | {key: value for key, value in found.items() if value is not None}

        self._looks.add(Look(now, await asyncio.to_thread(read)))

    def _readings(self) -> Look:
        return self._looks.kept[-1]

    # /stats/summary

    async def summary(self, brief: bool) -> Object:
        """The whole; `brief`: CPU and memory only."""
        await self.refresh()
        look, options = self._readings(), self._context.options
        node: Object = {"nodeName": options.node, **self._usage("", look)}
        memory = machine.memory()
        node["memory"]["availableBytes"] = memory.get("MemAvailable", 0)
        pods: dict[str, Object] = {}
        for one in self._running():
            shown = pods.get(one.worker.uid)
            if shown is None:
                shown = pods[one.worker.uid] = self._pod(one.worker, look)
            if one.view.id in look.readings:
                started = {"name": one.view.name, "startTime": rfc3339(one.view.started_at)}
                shown["containers"].append({**started, **self._usage(one.view.id, look)})
        if not brief:
            await self._disks(node, pods, look.time)
        return {"node": node, "pods": list(pods.values())}

    def _usage(self, key: str, look: Look) -> Object:
        reading, rate, time = look.readings.get(key), figures.rate(self._looks.kept, key), rfc3339(look.time)
        if reading is None:
            return {}
        cpu: Object = {"time": time, "usageCoreNanoSeconds": reading.cpu}
        out: Object = {"cpu": cpu}
        if rate is not None:
            cpu["usageNanoCores"] = rate.cpu
            out["heeler.dev/window"] = round(rate.window, 3)
        out["memory"] = {
            "time": time,
            "usageBytes": reading.usage,
            "workingSetBytes": reading.working_set,
            "rssBytes": reading.rss,
            "pageFaults": reading.faults,
            "majorPageFaults": reading.major_faults,
        }
        return out

    def _pod(self, worker: PodWorker, look: Look) -> Object:
        pod = worker.pod
        reference = {"name": name_of(pod), "namespace": namespace_of(pod), "uid": str(uid_of(pod))}
        out: Object = {"podRef": reference, "startTime": rfc3339(worker.memory.started_at), "containers": []}
        out |= self._usage(worker.uid, look)
        if worker.uid in look.readings:
            out["process_stats"] = {"process_count": look.readings[worker.uid].processes}
        return out

    async def _disks(self, node: Object, pods: dict[str, Object], now: float) -> None:
        """Filesystems, what containers wrote, logs and volumes."""
        options, time = self._context.options, rfc3339(now)
        whole = _filesystem(figures.disk(options.data_dir), time)
        used, _ = await self._context.runtime.image_filesystem()
        node |= {"fs": whole, "runtime": {"imageFs": {**whole, "usedBytes": used}}}
        node["rlimit"] = {"time": time, "maxpid": _max_pids(), "curproc": figures.pids()}
        layers = await written(self._context.runtime)
        for worker in list(self._agent.workers.values()):
            shown = pods.get(worker.uid)
            if shown is None:
                continue
            ids = {view.name: view.id for view in worker.view.containers if view.state == "running"}
            total = 0
            for container in shown["containers"]:
                logs = config.pod_log_dir(options.logs_dir, worker.pod) / container["name"]
                bytes_, inodes = await asyncio.to_thread(figures.folder_size, logs)
                layer = layers.get(ids.get(container["name"], ""), 0)
                container["rootfs"] = {**whole, "usedBytes": layer}
                container["logs"] = {**whole, "usedBytes": bytes_, "inodesUsed": inodes}
                total += layer + bytes_
            shown["volume"] = await asyncio.to_thread(self._volumes, worker, whole)
            total += sum(v["usedBytes"] for v in shown["volume"])
            shown["ephemeral-storage"] = {**whole, "usedBytes": total}

    def _volumes(self, worker: PodWorker, whole: Object) -> list[Object]:
        options, out = self._context.options, []
        roots = volumes.Roots(options.pods_dir, options.memory_dir, options.logs_dir)
        for volume in spec_of(worker.pod).get("volumes") or []:
            if volumes.kind_of(volume) in volumes.FOLDERS:
                used, inodes = figures.folder_size(volumes.volume_path(roots, worker.pod, volume))
                out.append({**whole, "usedBytes": used, "inodesUsed": inodes, "name": volume["name"]})
        return out

    # Prometheus

    async def resource_text(self) -> bytes:
        """/metrics/resource: what autoscalers need."""
        await self.refresh()
        look = self._readings()
        page = _Page(int(look.time * 1000))
        containers = [(one, look.readings[one.view.id]) for one in self._running() if one.view.id in look.readings]
        workers = {one.worker.uid: one.worker for one, _ in containers}
        pods = [(worker, look.readings[uid]) for uid, worker in workers.items() if uid in look.readings]
        node = look.readings[""]
        page.add("container_cpu_usage_seconds_total", "counter", ((o.labels, r.cpu / 1e9) for o, r in containers))
        page.add("container_memory_working_set_bytes", "gauge", ((o.labels, r.working_set) for o, r in containers))
        page.add("container_start_time_seconds", "gauge", ((o.labels, o.view.started_at) for o, _ in containers))
        page.add("node_cpu_usage_seconds_total", "counter", [({}, node.cpu / 1e9)])
        page.add("node_memory_working_set_bytes", "gauge", [({}, node.working_set)])
        page.add("pod_cpu_usage_seconds_total", "counter", ((_pod_labels(w), r.cpu / 1e9) for w, r in pods))
        page.add("pod_memory_working_set_bytes", "gauge", ((_pod_labels(w), r.working_set) for w, r in pods))
        page.add("resource_scrape_error", "gauge", [({}, 0)], timed=False)
        return page.text()

    async def cadvisor_text(self) -> bytes:
        """/metrics/cadvisor: the containers' most used metrics under cAdvisor's names."""
        await self.refresh()
        look, context = self._readings(), self._context
        page = _Page(int(look.time * 1000))
        found: list[tuple[dict[str, str], Reading, float]] = []
        for one in self._running():
            reading = look.readings.get(one.view.id)
            if reading is not None:
                path = f"{context.cgroups.pod(one.worker.pod)}/{one.view.id}"
                labels = {**one.labels, "id": path, "image": one.view.image, "name": one.view.id}
                found.append((labels, reading, one.view.started_at))
        cpu = (({**labels, "cpu": "total"}, reading.cpu / 1e9) for labels, reading, _ in found)
        page.add("container_cpu_usage_seconds_total", "counter", cpu)
        for name, pick in _MEMORY.items():
            page.add(name, "gauge", ((labels, pick(reading)) for labels, reading, _ in found))
        page.add("container_start_time_seconds", "gauge", ((labels, began) for labels, _, began in found))
        page.add("machine_cpu_cores", "gauge", [({}, context.node_milli_cpu / 1000)], timed=False)
        page.add("machine_memory_bytes", "gauge", [({}, context.node_memory)], timed=False)
        return page.text()


_MEMORY: dict[str, Any] = {
    "container_memory_usage_bytes": lambda r: r.usage,
    "container_memory_working_set_bytes": lambda r: r.working_set,
    "container_memory_rss": lambda r: r.rss,
    "container_processes": lambda r: r.processes,
}


def _pod_labels(worker: PodWorker) -> dict[str, str]:
    return {"namespace": namespace_of(worker.pod), "pod": name_of(worker.pod)}


def _filesystem(found: figures.Disk, time: str) -> Object:
    return {
        "time": time,
        "availableBytes": found.available,
        "capacityBytes": found.capacity,
        "usedBytes": found.used,
        "inodesFree": found.inodes_free,
        "inodes": found.inodes,
        "inodesUsed": found.inodes - found.inodes_free,
    }


def _max_pids() -> int:
    text = read_text(Path("/proc/sys/kernel/pid_max"))
    return int(text) if text.isdigit() else 0


async def written(runtime: Any) -> dict[str, int]:
    """Bytes that containers wrote into their own layer, by id."""
    try:
        found = await runtime.container_stats()
    except RuntimeFault:
        return {}
    return {stats.attributes.id: int(stats.writable_layer.used_bytes.value) for stats in found}


class _Page:
    """Metrics in Prometheus' text format; `stamp` in milliseconds goes with each sample that is timed."""

    def __init__(self, stamp: int) -> None:
        self._stamp = stamp
        self._lines: list[str] = []

    def add(self, name: str, kind: str, samples: Iterable[tuple[dict[str, str], float]], *, timed: bool = True) -> None:
        lines = list(self._samples(name, samples, timed))
        if lines:
            self._lines += [f"# HELP {name} [STABLE] {_HELP.get(name, name)}", f"# TYPE {name} {kind}", *lines]

    def _samples(self, name: str, samples: Iterable[tuple[dict[str, str], float]], timed: bool) -> Iterator[str]:
        for labels, value in samples:
            shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted(labels.items()))
            stamp = f" {self._stamp}" if timed else ""
            yield f"{name}{{{shown}}} {value!r}{stamp}" if shown else f"{name} {value!r}{stamp}"

    def text(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()


_HELP = {
    "container_cpu_usage_seconds_total": "CPU time that the container used, in core-seconds",
    "container_memory_working_set_bytes": "Working set of the container in bytes",
    "container_start_time_seconds": "Start of the container in seconds since the epoch",
    "node_cpu_usage_seconds_total": "CPU time that the node used, in core-seconds",
    "node_memory_working_set_bytes": "Working set of the node in bytes",
    "pod_cpu_usage_seconds_total": "CPU time that the pod used, in core-seconds",
    "pod_memory_working_set_bytes": "Working set of the pod in bytes",
    "resource_scrape_error": "1 if there was an error while figures were read, else 0",
}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
