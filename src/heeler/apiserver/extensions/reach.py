"""How the API server reaches what runs in the cluster: a socket to a Service or a pod, through the node's agent.

Pods live in network namespaces that the API server isn't in, so their node's agent opens the connection inside and passes the
bytes on. Nodes with other agents (upstream's kubelet) are on the server's own network: there it connects itself.
Source: https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from heeler.apiserver.nodes import ADDRESS, KubeletConnections, agent_port
from heeler.objects.value import Object
from heeler.wire.http.messages import Stream
from heeler.wire.streams.pipe import pipe
from heeler.workloads.endpoints import SERVICE_NAME

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

#: Seconds to reach a pod.
CONNECT_SECONDS = 10.0


class Unreachable(ConnectionError):
    """In words for a person, as upstream has them."""


class Target(NamedTuple):
    """An address behind a Service, and the node that it is on ("" if nobody says)."""

    host: str
    port: int
    node: str


class Reach:
    """`routes`: (namespace, Service) -> (host, port) of programs that stand in for a Service, outside of the cluster."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._bridges: dict[asyncio.Task[None], None] = {}
        self.routes: dict[tuple[str, str], tuple[str, int]] = {}

    async def service(self, namespace: str, name: str, port: int, *, external: bool = False) -> socket.socket:
        """A connection to one of a Service's ready endpoints, or (`external`) to the name that it stands for.

        Raises OSError.
        """
        route = self.routes.get((namespace, name))
        if route is not None:
            return await _direct(*route)
        service = await self._server.lookup_fresh("", "services", namespace, name)
        if service is None:
            raise Unreachable(f'service "{name}" not found')
        if service["spec"].get("type") == "ExternalName":
            if not external:
                raise Unreachable(f'no endpoints available for service "{name}"')
            return await _direct(service["spec"]["externalName"], port, check=True)
        found = list(targets(service, port, self._slices(namespace, name)))
        if not found:
            raise Unreachable(f'no endpoints available for service "{name}"')
        return await self.connect(found[self._server.random.below(len(found))])

    async def connect(self, target: Target) -> socket.socket:
        """A connection to an address in the cluster. Raises OSError."""
        if not allowed(target.host):
            raise Unreachable("address not allowed")
        node = self._server.lookup("", "nodes", "", target.node) if target.node else self._any_node()
        nodes = self._server.nodes
        if node is not None and _is_simulated(node):
            name = node["metadata"]["name"]
            raise Unreachable(f"{target.host} is on {name}, a simulated node, which runs no containers")
        if node is None or not isinstance(nodes, KubeletConnections) or not _is_ours(node):
            return await _direct(target.host, target.port)
        return self._bridged(await nodes.open(node, target.host, target.port))

    def close(self) -> None:
        for task in list(self._bridges):
            task.cancel()

    def _slices(self, namespace: str, name: str) -> list[Object]:
        every = self._server.objects("discovery.k8s.io", "endpointslices", namespace)
        return [one for one in every if (one["metadata"].get("labels") or {}).get(SERVICE_NAME) == name]

    def _any_node(self) -> Object | None:
        """Of nodes that are ours any one reaches all pods."""
        return next((node for node in self._server.objects("", "nodes") if _is_ours(node)), None)

    def _bridged(self, stream: Stream) -> socket.socket:
        """A socket whose other end is the stream: TLS can be spoken on it."""
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        task = asyncio.get_running_loop().create_task(pipe(far, stream))
        self._bridges[task] = None
        task.add_done_callback(lambda done: self._bridges.pop(done, None))
        return near


def targets(service: Object, port: int, slices: list[Object]) -> Iterator[Target]:
    """The ready endpoints behind a Service's port, which is given by its number. Raises Unreachable."""
    wanted = next((p for p in service["spec"].get("ports") or () if p.get("port") == port), None)
    if wanted is None:
        raise Unreachable(f'no service port {port} found for service "{service["metadata"]["name"]}"')
    for one in slices:
        ports = {p.get("name") or "": p.get("port") for p in one.get("ports") or ()}
        number = ports.get(wanted.get("name") or "")
        for endpoint in one.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            if number and ready and endpoint.get("addresses"):
                yield Target(endpoint["addresses"][0], int(number), endpoint.get("nodeName") or "")


def allowed(host: str) -> bool:
    """May the server be led to this address? Not to itself, nor to what is only there for the machine it is on."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _is_ours(node: Object) -> bool:
    return ADDRESS in (node["metadata"].get("annotations") or {})


def _is_simulated(node: Object) -> bool:
    """Its pods' addresses lead nowhere, or to somebody else on this machine's network."""
    return agent_port(node) == 0


async def _direct(host: str, port: int, *, check: bool = False) -> socket.socket:
    """`check`: the name is somebody's who may not lead the server to itself."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        problem: OSError | None = None
        for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if check and not allowed(str(address[0])):
                problem = Unreachable("address not allowed")
                continue
            found = socket.socket(family, kind, protocol)
            found.setblocking(False)
            try:
                await loop.sock_connect(found, address)
            except OSError as error:
                found.close()
                problem = error
            except BaseException:
                found.close()
                raise
            else:
                return found
    raise problem or OSError(f"{host} has no address")
