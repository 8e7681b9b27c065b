"""Services and pods published on the host's loopback: a listener outside that connects inside the node's namespace.

Published are services of type LoadBalancer (on their own port), of type NodePort (on the node port), those with the
annotation `heeler.dev/publish`: "8080" (the host's port for the first service port) or "8080:http,8443:https" (host port :
service port's name or number), and what `heeler expose` remembered. A host port that is taken gives way to another; where
each is to be found stands in `published.json`.

Who may write Services may annotate them, but the host's ports below 1024 are root's to give: an annotation doesn't get them.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from heeler.base.files import read_text, write_atomic
from heeler.base.netns import NetNamespace
from heeler.network.expose import Exposure
from heeler.network.policies import OUTSIDE
from heeler.network.relay import TRIES, Connect, Relay, UdpRelay, listen
from heeler.objects.value import Object, meta, name_of, namespace_of

log = logging.getLogger(__name__)

ANNOTATION = "heeler.dev/publish"
HOST = "127.0.0.1"
#: LoadBalancer Services of another class are somebody else's.
LOAD_BALANCER_CLASS = "heeler.dev/localhost"
#: The lowest host port that an annotation gets, and the reason of the event about one that asks for less.
LOWEST, REFUSED = 1024, "PortRefused"
EXPOSED, ANNOTATED, BALANCED, NODE_PORT = "expose", "annotation", "loadBalancer", "nodePort"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What to publish: wanted on `host_port` of the host, reached at (`address`, `port`) inside; an address "" is a pod's,
    looked up for each connection. `reason` is why it is published."""

    namespace: str
    service: str
    name: str
    host_port: int
    address: str
    port: int
    protocol: str = "TCP"
    reason: str = ANNOTATED
    kind: str = "Service"


def is_balanced(service: Object) -> bool:
    """Whether the Service is a LoadBalancer that Heeler is to serve."""
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") in (None, "", LOAD_BALANCER_CLASS)


def targets(services: Sequence[Object], node_ip: str, exposures: Sequence[Exposure] = ()) -> list[Target]:
    """What is to be published, in a fixed order: what people asked for comes first. A wrong annotation is logged and left
    out."""
    out = []
    for service in services:
        spec = service.get("spec") or {}
        ip = str(spec.get("clusterIP") or "None")
        where = (namespace_of(service), name_of(service))
        if ip == "None" or ":" in ip:
            continue
        ports = [p for p in spec.get("ports") or [] if (p.get("protocol") or "TCP") in ("TCP", "UDP")]
        wanted = (meta(service).get("annotations") or {}).get(ANNOTATION)
        if wanted:
            out += _annotated(where, str(wanted), ports, ip)
        for port in ports:
            name, protocol = str(port.get("name") or ""), str(port.get("protocol") or "TCP")
            if is_balanced(service):
                number = int(port["port"])
                out.append(Target(*where, name, number, ip, number, protocol, BALANCED))
            if spec.get("type") in ("NodePort", "LoadBalancer") and port.get("nodePort") and not wanted:
                number = int(port["nodePort"])
                out.append(Target(*where, name, number, node_ip, number, protocol, NODE_PORT))
        out += [
            Target(*where, e.port, e.local_port, ip, int(port["port"]), str(port.get("protocol") or "TCP"), EXPOSED)
            for e in exposures
            if e.kind == "Service" and (e.namespace, e.name) == where
            for port in ports
            if e.port in (port.get("name"), str(port["port"]))
        ]
    pods = [e for e in exposures if e.kind == "Pod"]
    out += [Target(e.namespace, e.name, e.port, e.local_port, "", 0, "TCP", EXPOSED, "Pod") for e in pods]
    order = (EXPOSED, ANNOTATED, BALANCED, NODE_PORT)
    return sorted(dict.fromkeys(out), key=lambda target: (order.index(target.reason), target))


def _annotated(where: tuple[str, str], text: str, ports: Sequence[Object], ip: str) -> list[Target]:
    out = []
    for part in text.split(","):
        outer, _, inner = part.strip().partition(":")
        host = _host_port(outer)
        found = [p for p in ports if not inner or inner in (p.get("name"), str(p.get("port")))]
        if not host or not found:
            log.warning("service %s/%s: %s: %r is no HOSTPORT[:PORT] of it", *where, ANNOTATION, part)
            continue
        if host < LOWEST:
            continue  # `refused` tells of it
        protocol = str(found[0].get("protocol") or "TCP")
        out.append(Target(*where, str(found[0].get("name") or ""), host, ip, int(found[0]["port"]), protocol))
    return out


def _host_port(text: str) -> int:
    """A port's number; 0 for what is none."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if number < 65536 else 0


def refused(services: Sequence[Object]) -> list[tuple[Object, str]]:
    """Services whose annotation asks for ports of the host that it doesn't get, each with a sentence about them."""
    out = []
    for service in services:
        asked = str((meta(service).get("annotations") or {}).get(ANNOTATION) or "").split(",")
        hosts = sorted({_host_port(part.strip().partition(":")[0]) for part in asked})
        low = [str(host) for host in hosts if 0 < host < LOWEST]
        if low:
            shown = ", ".join(low[:10]) + (", ..." if low[10:] else "")
            text = f"annotation {ANNOTATION}: not published on port {shown} of the host: below {LOWEST} only "
            out.append((service, text + "`heeler expose` and LoadBalancer Services are"))
    return out


class Publisher:
    """Keeps a relay for each target; `update` with what is wanted now. `pod` connects to a pod's port."""

    def __init__(self, netns: NetNamespace, record: Path, pod: Callable[[Target], Connect] | None = None) -> None:
        self._netns, self._record, self._pod = netns, record, pod
        self._relays: dict[Target, Relay | UdpRelay] = {}
        self._known = _known(record)
        #: Targets whose port could not be had at the last try.
        self.closed: tuple[Target, ...] = ()

    async def update(self, wanted: Sequence[Target]) -> None:
        """Open what is new, close what is gone. A port that can't be opened is logged."""
        for target in [t for t in self._relays if t not in wanted]:
            await self._relays.pop(target).close()
        for target in wanted:
            if target not in self._relays:
                self._open(target)
        self.closed = tuple(target for target in wanted if target not in self._relays)
        self._write()

    def ports(self) -> dict[Target, int]:
        """Where each target is to be found on the host."""
        return {target: relay.port for target, relay in self._relays.items()}

    def _open(self, target: Target) -> None:
        # The port that it had before an agent's restart comes first: links go on working.
        before = self._known.get(_key(target), target.host_port)
        kind = socket.SOCK_DGRAM if target.protocol == "UDP" else socket.SOCK_STREAM
        # A LoadBalancer's port that is taken is told of; its node port is there as well.
        try:
            bound = listen(HOST, before, kind, other=target.reason != BALANCED)
        except OSError as error:
            level = logging.INFO if target in self.closed else logging.WARNING
            log.log(level, "%s %s/%s is not published: %s", target.kind, target.namespace, target.service, error)
            return
        if target.kind == "Pod":
            assert self._pod is not None
            self._relays[target] = Relay(bound, self._pod(target))
        elif target.protocol == "UDP":
            self._relays[target] = UdpRelay(
                bound, lambda: self._netns.connect_udp(target.address, target.port, OUTSIDE)
            )
        else:
            self._relays[target] = Relay(
                bound, lambda: self._netns.connect(target.address, target.port, OUTSIDE), TRIES
            )

    def _write(self) -> None:
        entries = [
            {
                "namespace": target.namespace,
                "service" if target.kind == "Service" else "pod": target.service,
                "port": target.name,
                "wanted": target.host_port,
                "address": f"{HOST}:{relay.port}",
                "protocol": target.protocol,
                "reason": target.reason,
            }
            for target, relay in sorted(self._relays.items())
        ]
        text = orjson.dumps(entries, option=orjson.OPT_INDENT_2)
        if text.decode() != read_text(self._record):
            write_atomic(self._record, text, 0o644)

    async def close(self) -> None:
        for relay in self._relays.values():
            await relay.close()
        self._relays = {}


def _key(target: Target) -> str:
    return _entry_key(target.namespace, target.service, target.name, target.host_port, target.protocol, target.reason)


def _entry_key(*parts: object) -> str:
    return ":".join(map(str, parts))


def _known(record: Path) -> dict[str, int]:
    """Where services and pods were published before."""
    return {
        _entry_key(
            e["namespace"],
            e.get("service") or e.get("pod"),
            e["port"],
            e["wanted"],
            e.get("protocol", "TCP"),
            e.get("reason", ANNOTATED),
        ): int(e["address"].rpartition(":")[2])
        for e in published(record)
    }


def published(record: Path) -> list[Object]:
    """What `published.json` says: entries with namespace, service (or pod), port (name) and address ("127.0.0.1:30080")."""
    text = read_text(record)
    try:
        entries: list[Object] = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []
    return entries
