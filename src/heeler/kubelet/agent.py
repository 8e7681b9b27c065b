"""The node agent: a client of the API that keeps a node's pods as they are wanted, and the whole node's composition.

`run_node` starts everything that a node is made of (network, containerd, pods, services, published ports, the kubelet's
own API) and runs until it is cancelled. Killed at any moment, it finds its containers again at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from heeler.base.clock import Clock
from heeler.base.files import private_folder
from heeler.base.netns import NETNS_FOLDER, NetNamespace
from heeler.base.processes import ProgramError, find_program
from heeler.base.random import Random
from heeler.base.together import end, together
from heeler.client.client import Client
from heeler.images import load
from heeler.kubelet import machine, registration
from heeler.kubelet.cgroups import Cgroups
from heeler.kubelet.context import NodeContext
from heeler.kubelet.events import Recorder
from heeler.kubelet.options import PAUSE_IMAGE, NodeOptions
from heeler.kubelet.pods import config, volumes
from heeler.kubelet.pods.worker import PODS, PodWorker
from heeler.kubelet.rotation import Rotation
from heeler.kubelet.runtime import containerd
from heeler.kubelet.runtime.containerd import RuntimePaths
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.kubelet.sources import Sources
from heeler.network import links, podnet, publish, routes, services
from heeler.network.follow import Mirror
from heeler.network.proxy import Proxy
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, uid_of

log = logging.getLogger(__name__)

#: Seconds between looks at the runtime; the table of services in the node's namespace.
RELIST, TABLE = 0.25, "heeler"
#: Seconds that a node waits for its services before it is announced all the same.
ANNOUNCE_SECONDS = 5.0
#: Where pods reach the API server inside the node, when it listens on the host.
RELAY_PORT = 6443


def runtime_paths(options: NodeOptions) -> RuntimePaths:
    """Where the node's containerd keeps its things. Raises ProgramError naming what is missing."""
    plugins, runc = podnet.find_plugins(), find_program("runc")
    if plugins is None:
        raise ProgramError("the CNI plugins are missing (package containernetworking-plugins)")
    if runc is None:
        raise ProgramError("runc is missing (package runc)")
    return RuntimePaths(
        options.data_dir / "containerd",
        options.state,
        options.containerd_socket,
        options.state / "cni",
        plugins,
        runc,
        PAUSE_IMAGE,
    )


def node_links(options: NodeOptions) -> links.Links:
    return links.Links(
        options.fabric_netns,
        options.node_netns,
        options.node_link,
        options.uplink_host,
        options.host_table,
        options.fabric,
        options.gateway,
        options.node_ip,
        options.cluster_cidr,
        options.service_cidr,
        options.uplink,
    )


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
        orphans = True
        while True:
            try:
                await self._relist()
                if orphans:
                    await self._adopt_orphans()
                    orphans = False
            except (RuntimeFault, ProgramError, OSError) as error:
                log.warning("container runtime: %s", error)
                await self.context.clock.sleep(1.0)
            await self.context.clock.sleep(RELIST)

    async def _relist(self) -> None:
        runtime = self.context.runtime
        fresh: dict[str, dict[str, int]] = {}
        for sandbox in await runtime.sandboxes({config.NODE: self.context.options.node}):
            fresh.setdefault(sandbox.labels[config.POD_UID], {})[sandbox.id] = sandbox.state
        for container in await runtime.containers({config.NODE: self.context.options.node}):
            fresh.setdefault(container.labels[config.POD_UID], {})[container.id] = container.state
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
        for folder in sorted(context.options.pods_dir.iterdir()) if context.options.pods_dir.is_dir() else []:
            if folder.name not in self.workers:
                await volumes.tear_down(context.options.pods_dir, folder.name)
        for group in context.cgroups.left():
            if group.rpartition("/pod")[2] not in self.workers:
                await asyncio.to_thread(context.cgroups.remove, group)


class Node:
    """One node's parts, started in order; `run` serves until it is cancelled."""

    def __init__(self, options: NodeOptions, client: Client, clock: Clock, random: Random) -> None:
        self.options, self.client, self.clock, self.random = options, client, clock, random
        self.paths = runtime_paths(options)
        self.netns = NetNamespace.named(options.node_netns)
        self.machine = machine.Machine(1, 0, 0, "", "", "", "", "", "", 0)
        self.runtime: Runtime | None = None
        self.port = 0
        self.agent: Agent
        self._published = asyncio.Event()
        #: Set once the node is registered in this run, with its services working.
        self.ready = asyncio.Event()
        self._version = "containerd://unknown"

    async def start_runtime(self) -> Runtime:
        """Network, containerd, the pause image. Raises ProgramError, OSError, RuntimeFault."""
        options, paths = self.options, self.paths
        binary = options.containerd or find_program("containerd")
        if not binary:
            raise ProgramError("containerd is missing (package containerd)")
        private_folder(options.data_dir)
        private_folder(options.state)
        private_folder(options.pods_dir)
        private_folder(options.logs_dir)
        self.machine = machine.look(options.data_dir)
        await links.up(node_links(options))
        podnet.write(paths.cni_config, str(options.pods), options.state / "addresses", links.MTU, paths.cni_plugins)
        await containerd.start(paths, binary, NETNS_FOLDER / options.node_netns, self.clock)
        runtime = Runtime(paths.socket)
        self.runtime = runtime
        version = await self._ready(runtime)
        self._version = f"{version.runtime_name}://{version.runtime_version}"
        if await runtime.image(PAUSE_IMAGE) is None:
            await load.load(paths.socket, load.write_pause(options.data_dir / "images", PAUSE_IMAGE))
        return runtime

    async def _ready(self, runtime: Runtime) -> Any:
        """The runtime's version, as soon as it answers: with many pods it takes a while after a restart."""
        deadline = self.clock.monotonic() + 60.0
        while True:
            try:
                return await runtime.version()
            except RuntimeFault as fault:
                if self.clock.monotonic() > deadline:
                    raise ProgramError(f"containerd does not answer: {fault.message}") from fault
            await self.clock.sleep(0.05)

    async def look(self) -> dict[str, Any]:
        """What the node's status needs to know now."""
        problem = ""
        images: list[Object] = []
        try:
            assert self.runtime is not None
            states = await self.runtime.conditions()
            for kind in ("RuntimeReady", "NetworkReady"):
                fine, reason, message = states.get(kind, (False, "Unknown", "not reported"))
                if not fine:
                    problem = f"container runtime network not ready: {kind}=false reason:{reason} message:{message}"
            for image in await self.runtime.images():
                names = [*image.repo_digests, *image.repo_tags]
                if names:  # without one (its tag went to another image) it is of no use to anybody
                    images.append({"names": names[:5], "sizeBytes": int(image.size)})
        except RuntimeFault as fault:
            problem = f"container runtime is down: {fault.message}"
        images.sort(key=lambda image: -image["sizeBytes"])
        low = machine.available_memory() < registration.MEMORY_RESERVED
        pressure = {"MemoryPressure": low}
        return {
            "port": self.port,
            "runtime": self._version,
            "problem": problem,
            "pressure": pressure,
            "images": images,
        }

    async def run(self) -> None:
        """Everything, until cancelled."""
        options, client, clock = self.options, self.client, self.clock
        runtime = await self.start_runtime()
        relay = services.Endpoint(options.node_ip, RELAY_PORT) if options.api_server else None
        settings = services.Settings(
            TABLE,
            options.node,
            options.cluster_cidr,
            options.service_cidr,
            str(options.fabric),
            options.uplink,
            relay,
        )
        proxy = Proxy(client, clock, NETNS_FOLDER / options.node_netns, settings)
        events = Recorder(client, clock, "kubelet", options.node)
        context = NodeContext(
            options,
            client,
            runtime,
            self.netns,
            Cgroups(options.cgroup),
            events,
            Sources(client, clock),
            clock,
            self.random,
            machine.resolver(options.cluster_dns, options.cluster_domain),
            self.machine.cpus * 1000,
            self.machine.memory,
            proxy.services,
            proxy.synced,
            await runtime.features(),
            (self.machine.cpus * 1000, max(0, self.machine.memory - registration.MEMORY_RESERVED)),
        )
        agent = Agent(context)
        self.agent = agent
        context.pods = lambda: [worker.pod for worker in agent.workers.values()]
        agent.host_ports = proxy.host_ports
        registered = registration.Registration(client, clock, options, self.machine, self.look)
        parts: list[Callable[[], Coroutine[Any, Any, None]]] = [events.run, proxy.run, agent.run]
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._stop, agent)
            await self._serve(stack, agent)
            await self._relay(stack)
            parts.append(lambda: self._register(registered, proxy))
            parts.append(Rotation(runtime, clock, agent.logs).run)
            parts.append(routes.Routes(client, clock, options.node, options.node_netns).run)
            if options.publish and options.index == 0:
                parts.append(lambda: self._publish(proxy))
            await _all(parts)

    async def _serve(self, stack: contextlib.AsyncExitStack, agent: Agent) -> None:
        """The kubelet's own API, where there are certificates for it."""
        if self.options.serving_cert is None:
            log.warning("no serving certificate: logs and exec of this node's pods are not served")
            return
        from heeler.kubelet import server

        served = await server.start(self.options, agent, self.paths)
        self.port = served.port
        stack.push_async_callback(served.close)

    async def _relay(self, stack: contextlib.AsyncExitStack) -> None:
        """Let pods reach the API server that listens on the host."""
        target = self.options.api_server
        if target is None:
            return
        listening = await self.netns.listen(self.options.node_ip, RELAY_PORT)

        async def connect() -> Any:
            made = publish.outside(target[0])
            try:
                await asyncio.get_running_loop().sock_connect(made, target)
            except BaseException:
                made.close()
                raise
            return made

        relay = publish.Relay(listening, connect)
        stack.push_async_callback(relay.close)

    async def _register(self, registered: registration.Registration, proxy: Proxy) -> None:
        """Announce the node once its services work (or soon anyway), then keep its lease and status."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(proxy.applied.wait(), ANNOUNCE_SECONDS)
            if self.options.publish and self.options.index == 0:
                await asyncio.wait_for(self._published.wait(), ANNOUNCE_SECONDS)
        wait = 0.1
        while True:
            try:
                await registered.register()
                self._started(registered.node)
                break
            except (StatusError, OSError) as error:
                log.warning("node %s is not registered: %s", self.options.node, error)
            await self.clock.sleep(wait)
            wait = min(5.0, wait * 2)
        await registered.run()

    def _started(self, node: Object) -> None:
        """Tell that the node is up."""
        self.ready.set()
        # Events of nodes name them by their name in place of the uid (upstream does the same).
        shown = {
            **node,
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": self.options.node, "uid": self.options.node},
        }
        self.agent.context.events.event(shown, "Normal", "Starting", "Starting kubelet.")

    async def _publish(self, proxy: Proxy) -> None:
        publisher = publish.Publisher(self.netns, self.options.state / "published.json")
        changed = asyncio.Event()
        proxy.listen(changed.set)
        try:
            await proxy.synced.wait()
            while True:
                changed.clear()
                await publisher.update(publish.targets(proxy.services(), self.options.node_ip))
                self._published.set()
                await changed.wait()
        finally:
            await publisher.close()

    async def _stop(self, agent: Agent) -> None:
        """At an orderly end: containers run on, or are stopped with containerd."""
        if self.runtime is None:
            return
        try:
            if not self.options.keep_pods:
                await self._stop_pods(self.runtime)
                await containerd.stop(self.paths)
        finally:
            await self.runtime.close()
            self.netns.close()

    async def _stop_pods(self, runtime: Runtime) -> None:
        """Stop all containers at once with what is left of a short grace period, then the sandboxes."""

        async def stop(found: str) -> None:
            with contextlib.suppress(RuntimeFault):
                await runtime.stop_container(found, 2)

        async def stop_sandbox(found: str) -> None:
            with contextlib.suppress(RuntimeFault):
                await runtime.stop_sandbox(found)

        running = [c.id for c in await runtime.containers({config.NODE: self.options.node}) if c.state == 1]
        await asyncio.gather(*(stop(found) for found in running))
        sandboxes = [s.id for s in await runtime.sandboxes({config.NODE: self.options.node}) if s.state == 0]
        await asyncio.gather(*(stop_sandbox(found) for found in sandboxes))


async def _all(parts: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run all until this is cancelled; then end all."""
    await together(*(_kept_up(part) for part in parts))


async def _kept_up(part: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A part that fails (a defect, a full disk) is logged and started again: the others and all pods go on."""
    while True:
        try:
            await part()
        except Exception:
            log.exception("a part of the node failed and is started again")
        await asyncio.sleep(5.0)


async def run_node(options: NodeOptions, client: Client, clock: Clock, random: Random) -> None:
    """Be a node until cancelled. Needs root. Raises ProgramError for what is missing on the machine."""
    await Node(options, client, clock, random).run()


def published(state: Path) -> list[Object]:
    """Where the node's published services are to be found on the host (see `heeler.network.publish`)."""
    return publish.published(state / "published.json")
