"""The node agent: a client of the API that keeps a node's pods as they are wanted, and the whole node's composition.

`run_node` starts everything that a node is made of (network, containerd, pods, services, published ports, the kubelet's
own API) and runs until it is cancelled. Killed at any moment, it finds its containers again at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from heeler.base import pki
from heeler.base.clock import Clock
from heeler.base.files import private_folder
from heeler.base.netns import NETNS_FOLDER, NetNamespace
from heeler.base.processes import ProgramError, find_program
from heeler.base.random import Random
from heeler.base.together import together
from heeler.client.client import Client
from heeler.images import load
from heeler.images.layout import full_name
from heeler.kubelet import machine, registration, teardown
from heeler.kubelet.cgroups import Cgroups
from heeler.kubelet.context import NodeContext
from heeler.kubelet.events import Recorder
from heeler.kubelet.eviction import Eviction
from heeler.kubelet.local_path import LocalVolumes
from heeler.kubelet.options import PAUSE_IMAGE, NodeOptions
from heeler.kubelet.pods import config, volumes
from heeler.kubelet.pods.manager import Agent
from heeler.kubelet.registries import Registries
from heeler.kubelet.rotation import Rotation
from heeler.kubelet.runtime import containerd
from heeler.kubelet.runtime.containerd import RuntimePaths
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.kubelet.sources import Sources
from heeler.kubelet.strays import Strays
from heeler.network import links, podnet, publish
from heeler.network.node import NetworkOptions, NodeNetwork
from heeler.objects.status import StatusError
from heeler.objects.value import Object

log = logging.getLogger(__name__)

#: Seconds that a node waits for its services before it is announced all the same.
ANNOUNCE_SECONDS = 5.0


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


def network_options(options: NodeOptions) -> NetworkOptions:
    """What the network part is told; the first node of a cluster publishes on the host."""
    publishes = options.publish and options.index == 0
    return NetworkOptions(
        node=options.node,
        netns=options.node_netns,
        node_ip=options.node_ip,
        cluster_cidr=options.cluster_cidr,
        service_cidr=options.service_cidr,
        fabric=str(options.fabric),
        uplink=options.uplink,
        dns_address=options.dns_address,
        domain=options.cluster_domain,
        record=options.state / "published.json" if publishes else None,
        exposed=options.exposed,
        state=options.state,
        ingress_ports=options.ingress_ports,
        api_server=options.api_server,
    )


#: Seconds after a start of containerd, in which what broken starts have left is looked for every ten seconds; then
#: every minute.
SUSPICIOUS = 180


class Node:
    """One node's parts, started in order; `run` serves until it is cancelled."""

    def __init__(
        self,
        options: NodeOptions,
        client: Client,
        clock: Clock,
        random: Random,
        network: Client | None = None,
        ingress: Client | None = None,
    ) -> None:
        """`network` is the client of the network part (services, policies, DNS), by default the node's own;
        `ingress` that of the Ingress gateway (None: there is none)."""
        self.network, self.ingress = network or client, ingress
        self.options, self.client, self.clock, self.random = options, client, clock, random
        self.paths = runtime_paths(options)
        self.netns = NetNamespace.named(options.node_netns)
        self.machine = machine.Machine(1, 0, 0, "", "", "", "", "", "", 0)
        self.runtime: Runtime | None = None
        self.port = 0
        #: Whether pods run on when this ends in an orderly way.
        self.keep_pods = options.keep_pods
        self.agent: Agent
        #: Set once the node is registered in this run, with its services working.
        self.ready = asyncio.Event()
        self._version = "containerd://unknown"
        self.eviction: Eviction | None = None
        #: The certificate of the kubelet's own API, once it is served.
        self.certificate: pki.Renewing | None = None

    def _binary(self) -> str:
        binary = self.options.containerd or find_program("containerd")
        if not binary:
            raise ProgramError("containerd is missing (package containerd)")
        return binary

    async def start_runtime(self) -> Runtime:
        """Network, containerd, the pause image. Raises ProgramError, OSError, RuntimeFault."""
        options, paths = self.options, self.paths
        binary = self._binary()
        private_folder(options.data_dir)
        private_folder(options.state)
        private_folder(options.pods_dir)
        await volumes.mount_memory(options.memory_dir)
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
            await load.load(paths.socket, load.write_pause(options.data_dir / "images", PAUSE_IMAGE), paths.root)
        await self._load_archives(runtime)
        return runtime

    async def _load_archives(self, runtime: Runtime) -> None:
        """Load what other nodes have and this one, made later, doesn't. A bad archive doesn't keep the node down."""
        folder = self.options.archives
        found = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime) if folder is not None else []
        # All are looked at before any is loaded: of two with the same image the newer one is to win.
        for archive in [path for path in found if await self._lacks(runtime, path)]:
            try:
                await load.load(self.paths.socket, archive, self.paths.root)
            except (ProgramError, ValueError, OSError) as error:
                log.warning("the images of %s are not loaded: %s", archive, error)

    def _kept_images(self) -> dict[str, None]:
        """Names of images that stay whatever happens: our own, and those that were loaded by hand."""
        out = {PAUSE_IMAGE: None}
        folder = self.options.archives
        for archive in sorted(folder.glob("*.tar")) if folder is not None else []:
            try:
                out |= {full_name(name): None for name in load.names_in(archive)}
            except (ValueError, OSError) as error:
                log.warning("%s: %s", archive, error)
        return out

    async def _lacks(self, runtime: Runtime, archive: Path) -> bool:
        """Whether an image of the archive is not here."""
        try:
            names = await asyncio.to_thread(load.names_in, archive)
            return any([await runtime.image(full_name(name)) is None for name in names])
        except (RuntimeFault, ValueError, OSError) as error:
            log.warning("the images of %s are not loaded: %s", archive, error)
            return False

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
        pressure = self.eviction.pressure if self.eviction is not None else {}
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
        events = Recorder(client, clock, "kubelet", options.node)
        notes = Recorder(self.network, clock, "heeler-network", options.node)
        net = NodeNetwork(network_options(options), self.network, clock, self.random, self.netns, notes, self.ingress)
        proxy = net.proxy
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
            machine.resolver(options.resolvers, options.cluster_domain),
            self.machine.cpus * 1000,
            self.machine.memory,
            proxy.services,
            proxy.synced,
            await runtime.features(),
            (self.machine.cpus * 1000, max(0, self.machine.memory - registration.MEMORY_RESERVED)),
        )
        agent = Agent(context)
        self.agent = agent
        context.pods = lambda: [worker.pod for worker in agent.workers.values() if worker.admitted]
        agent.host_ports = proxy.host_ports
        context.guard = net.guard.admit
        node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": options.node, "uid": options.node}}

        def tell(kind: str, reason: str, message: str) -> None:
            events.event(node, kind, reason, message)

        registered = registration.Registration(client, clock, options, self.machine, self.look, tell)
        context.node = lambda: registered.node
        eviction = Eviction(
            context, lambda: agent.workers, options.eviction, options.image_gc, self._kept_images, registered.hurry
        )
        self.eviction = eviction
        context.pressure = lambda: eviction.pressure
        parts: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._keep_runtime,
            events.run,
            notes.run,
            agent.run,
        ]
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._stop, agent)
            await self._serve(stack, agent)
            await net.relay_api(stack)
            parts += net.parts()
            parts.append(lambda: self._register(registered, net.ready))
            parts.append(eviction.run)
            if options.registries is not None:
                folder = self.paths.root / "registries"
                parts.append(Registries(options.registries, folder, self.netns, clock).run)
            parts.append(Rotation(runtime, clock, agent.logs, options.log_size, options.log_files).run)
            parts.append(LocalVolumes(client, clock, options.node, options.local_path_dir).run)
            await _all(parts)

    async def _serve(self, stack: contextlib.AsyncExitStack, agent: Agent) -> None:
        """The kubelet's own API, where there are certificates for it."""
        if self.options.serving_cert is None:
            log.warning("no serving certificate: logs and exec of this node's pods are not served")
            return
        from heeler.kubelet import server

        served = await server.start(self.options, agent, self.paths)
        self.port, self.certificate = served.port, served.certificate
        stack.push_async_callback(served.close)

    async def _register(self, registered: registration.Registration, first: Sequence[asyncio.Event]) -> None:
        """Announce the node once its services work (or soon anyway), then keep its lease and status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await together(*(event.wait() for event in first))
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

    async def _keep_runtime(self) -> None:
        """Start containerd again where it died; containers run on under their shims meanwhile."""
        assert self.runtime is not None
        strays = Strays(self.options, self.paths, self.runtime, self.clock)
        seconds = 0
        while True:
            await self.clock.sleep(1.0)
            seconds += 1
            if seconds % (10 if seconds <= SUSPICIOUS else 60) == 0:
                await strays.look(self.clock.monotonic())
            if containerd.running(self.paths) is None:
                log.warning("containerd is not running: it is started again")
                netns = NETNS_FOLDER / self.options.node_netns
                await containerd.start(self.paths, self._binary(), netns, self.clock)
                seconds = 0

    async def _stop(self, agent: Agent) -> None:
        """At an orderly end: containers run on, or are stopped with containerd."""
        if self.runtime is None:
            return
        try:
            if not self.keep_pods:
                await self._stop_pods(self.runtime)
                await containerd.stop(self.paths)
                await teardown.kill(self.options, self.clock)  # shims without a task, of starts that were broken off
                await volumes.unmount_memory(self.options.memory_dir)
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


async def run_node(
    options: NodeOptions, client: Client, clock: Clock, random: Random, network: Client | None = None
) -> None:
    """Be a node until cancelled. Needs root. Raises ProgramError for what is missing on the machine."""
    await Node(options, client, clock, random, network).run()


def published(state: Path) -> list[Object]:
    """Where the node's published services are to be found on the host (see `heeler.network.publish`)."""
    return publish.published(state / "published.json")
