"""The network part of a node, put together: services, routes, DNS, health checks, the way to the API server, and what is
published on the host's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from heeler.base.clock import Clock
from heeler.base.netns import NETNS_FOLDER, NetNamespace
from heeler.base.random import Random
from heeler.client.client import Client
from heeler.network import balancers, expose, publish, relay, routes, services
from heeler.network.dns.cluster import ClusterDns
from heeler.network.dns.forward import Forwarder, HostServers
from heeler.network.follow import Mirror
from heeler.network.gateway import GatewayOptions, IngressGateway
from heeler.network.guard import Guard
from heeler.network.health import HealthChecks
from heeler.network.policies import OUTSIDE
from heeler.network.proxy import SERVICES, Proxy
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, name_of, namespace_of

log = logging.getLogger(__name__)

NAMESPACES = GroupVersionResource("", "v1", "namespaces")
PODS = GroupVersionResource("", "v1", "pods")
#: The table of services in the node's namespace.
TABLE = "heeler"
#: Where pods reach the API server inside the node, when it listens on the host.
RELAY_PORT = 6443
#: Seconds between two looks at what `heeler expose` remembers.
EXPOSED_SECONDS = 0.5
#: Seconds until a port that somebody else had is tried again.
CLOSED_SECONDS = 5.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Events(Protocol):
    """Writes Events later."""

    def event(self, target: Object, kind: str, reason: str, message: str, field_path: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What the network part of a node is told (see `kubelet/options.py` for the meanings)."""

    node: str
    netns: str
    node_ip: str
    cluster_cidr: str
    service_cidr: str
    fabric: str
    uplink: bool
    dns_address: str
    domain: str
    #: Where published ports are written down; None: this node publishes nothing.
    record: Path | None = None
    #: The folder with what `heeler expose` remembers.
    exposed: Path | None = None
    api_server: tuple[str, int] | None = None
    #: The node's folder of running state, for the gateway's files; its ports on the host.
    state: Path | None = None
    ingress_ports: tuple[int, int] = (80, 443)


class NodeNetwork:
    """`parts()` are to be run until cancelled; `ready` are set once the node can be announced."""

    def __init__(
        self,
        options: NetworkOptions,
        client: Client,
        clock: Clock,
        random: Random,
        netns: NetNamespace,
        events: Events,
        ingress: Client | None = None,
    ) -> None:
        self.options, self._client, self._clock, self._netns, self._events = options, client, clock, netns, events
        settings = services.Settings(
            TABLE,
            options.node,
            options.cluster_cidr,
            options.service_cidr,
            options.fabric,
            options.uplink,
            services.Endpoint(options.node_ip, RELAY_PORT) if options.api_server else None,
            options.dns_address,
        )
        self.proxy = Proxy(client, clock, NETNS_FOLDER / options.netns, settings)
        self._published, self._named = asyncio.Event(), asyncio.Event()
        self._namespaces = Mirror(client, NAMESPACES, clock, lambda old, new: None, synced=self._spaces_known)
        path = NETNS_FOLDER / options.netns
        self.guard = Guard(client, clock, path, options.node, self._namespaces, options.dns_address)
        self.dns = self._dns(random) if options.dns_address else None
        self._gateway: IngressGateway | None = None
        if ingress is not None and options.record is not None and options.state is not None:
            where = GatewayOptions(
                options.state / "ingress", options.state / "ingress.json", path, options.node, options.ingress_ports
            )
            self._gateway = IngressGateway(where, ingress, clock, self.proxy, events)
        self.ready = [self.proxy.applied, self.guard.applied, *([self.dns.serving] if self.dns else [])]
        if options.record is not None:
            self.ready.append(self._published)

    def _spaces_known(self) -> None:
        self._named.set()
        self.guard.namespaces_known()

    def _dns(self, random: Random) -> ClusterDns:
        options = self.options
        # Without a way out the world's names are of no use, and asking for them would be one.
        forwarder = Forwarder(self._clock, random, HostServers()) if options.uplink else None
        return ClusterDns(
            self._clock,
            self.proxy,
            self._namespaces,
            self._named,
            self._netns,
            domain=options.domain,
            address=options.dns_address,
            node_ip=options.node_ip,
            ranges=(options.cluster_cidr, options.service_cidr),
            forwarder=forwarder,
        )

    def parts(self) -> list[Work]:
        """Everything that runs."""
        out: list[Work] = [self.proxy.run, self._namespaces.run, self.guard.run, self._health]
        out.append(routes.Routes(self._client, self._clock, self.options.node, self.options.netns).run)
        if self.dns is not None:
            out.append(self.dns.run)
        if self.options.record is not None:
            out.append(self._publish)
        if self._gateway is not None:
            out.append(self._gateway.run)
        return out

    async def relay_api(self, stack: contextlib.AsyncExitStack) -> None:
        """Let pods reach the API server that listens on the host."""
        target = self.options.api_server
        if target is None:
            return
        listening = await self._netns.listen(self.options.node_ip, RELAY_PORT)

        async def connect() -> Any:
            made = relay.outside(target[0])
            try:
                await asyncio.get_running_loop().sock_connect(made, target)
            except BaseException:
                made.close()
                raise
            return made

        stack.push_async_callback(relay.Relay(listening, connect).close)

    async def _health(self) -> None:
        checks = HealthChecks(self._netns)
        changed = asyncio.Event()
        ports: list[services.ServicePort] = []

        def applied(fresh: list[services.ServicePort]) -> None:
            ports[:] = fresh
            changed.set()

        self.proxy.after(applied)
        try:
            while True:
                await changed.wait()
                changed.clear()
                await checks.update(self.proxy.services(), ports)
        finally:
            checks.close()

    async def _publish(self) -> None:
        assert self.options.record is not None
        publisher = publish.Publisher(self._netns, self.options.record, self._to_pod)
        changed = asyncio.Event()
        self.proxy.listen(changed.set)
        exposed: list[expose.Exposure] = []
        told: dict[tuple[str, str], tuple[str, ...]] = {}
        refused: frozenset[tuple[str, str, str]] = frozenset()
        try:
            await self.proxy.synced.wait()
            while True:
                changed.clear()
                stamp = (0, 0)
                if self.options.exposed is not None:
                    stamp = expose.stamp(self.options.exposed)
                    exposed = await asyncio.to_thread(expose.load, self.options.exposed)
                found = self.proxy.services()
                await publisher.update(publish.targets(found, self.options.node_ip, exposed))
                self._published.set()
                refused = self._tell_refused(found, refused)
                await self._balance(found, publisher, told)
                await self._exposed_or(changed, stamp, CLOSED_SECONDS if publisher.closed else None)
        finally:
            await publisher.close()

    async def _exposed_or(self, changed: asyncio.Event, stamp: tuple[int, int], seconds: float | None) -> None:
        """Wait for a change of the services or of what is exposed, not longer than `seconds`."""
        end = None if seconds is None else self._clock.monotonic() + seconds
        while self.options.exposed is not None:
            if end is not None and self._clock.monotonic() >= end:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), EXPOSED_SECONDS)
                return
            if expose.stamp(self.options.exposed) != stamp:
                return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), seconds)

    def _tell_refused(
        self, found: list[Object], told: frozenset[tuple[str, str, str]]
    ) -> frozenset[tuple[str, str, str]]:
        """Events for ports that annotations don't get, each once; what has been told."""
        now = {(namespace_of(s), name_of(s), text): s for s, text in publish.refused(found)}
        for key, service in now.items():
            if key not in told:
                log.warning("service %s/%s: %s", *key)
                shown = {"apiVersion": "v1", "kind": "Service", **service}
                self._events.event(shown, "Warning", publish.REFUSED, key[2])
        return frozenset(now)

    async def _balance(
        self, found: list[Object], publisher: publish.Publisher, told: dict[tuple[str, str], tuple[str, ...]]
    ) -> None:
        for change in balancers.plan(found, publisher.ports()):
            name, namespace = change.service["metadata"]["name"], change.service["metadata"]["namespace"]
            for text in change.taken if told.get((namespace, name)) != change.taken else ():
                shown = {"apiVersion": "v1", "kind": "Service", **change.service}
                self._events.event(shown, "Warning", balancers.TAKEN, text)
            told[(namespace, name)] = change.taken
            status = {"status": {"loadBalancer": {"ingress": change.ingress or None}}}
            try:
                await self._client.patch(SERVICES, name, status, namespace, subresource="status")
            except (StatusError, OSError) as error:
                log.warning("status of service %s/%s: %s", namespace, name, error)

    def _to_pod(self, target: publish.Target) -> relay.Connect:
        """Connects to a pod's port: where the pod is now."""

        async def connect() -> Any:
            try:
                pod = await self._client.get(PODS, target.service, target.namespace)
            except StatusError as error:
                raise ConnectionRefusedError(str(error)) from error
            ip, port = (pod.get("status") or {}).get("podIP"), pod_port(pod, target.name)
            if not ip or not port:
                raise ConnectionRefusedError(f"pod {target.namespace}/{target.service} has no address or no such port")
            return await self._netns.connect(ip, port, OUTSIDE)

        return connect


def pod_port(pod: Object, port: str) -> int:
    """A port by number, or by its name in the pod's containers; 0 where there is none."""
    if port.isdigit():
        return int(port)
    for container in (pod.get("spec") or {}).get("containers") or []:
        for known in container.get("ports") or []:
            if known.get("name") == port:
                return int(known["containerPort"])
    return 0
