"""Flows that lead nowhere any more: UDP sticks to an endpoint by conntrack, so what is gone is forgotten there. Pure plan.

https://kubernetes.io/docs/reference/networking/virtual-ips/
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.network.services import ServicePort

#: Entries deleted one by one at most; what is more ends by itself within the time-out of UDP flows (30 to 120 s).
MAX_DELETED = 200


def stale(old: Sequence[ServicePort], new: Sequence[ServicePort]) -> list[list[str]]:
    """Arguments of `conntrack -D` for the flows that a change of the services cut off."""
    fresh = {port.key: port for port in new}
    out: dict[tuple[str, ...], None] = {}
    for port in old:
        if port.protocol != "udp":
            continue
        now = fresh.get(port.key)
        ips = (*port.cluster_ips, *port.external_ips)
        kept = {(e.ip, e.port) for e in now.endpoints} if now is not None else set()
        for endpoint in port.endpoints:
            if (endpoint.ip, endpoint.port) not in kept:
                flow = ("-p", "udp", "--dst-nat", endpoint.ip)
                for ip in ips:
                    out[(*flow, "--orig-dst", ip, "--orig-port-dst", str(port.port))] = None
                if port.node_port:
                    out[(*flow, "--orig-port-dst", str(port.node_port))] = None
    before = {port.key: port for port in old}
    for port in new:
        was = before.get(port.key)
        # What was sent before there were endpoints left a flow without a destination.
        if port.protocol == "udp" and port.endpoints and (was is None or not was.endpoints):
            for ip in (*port.cluster_ips, *port.external_ips):
                out[("-p", "udp", "--orig-dst", ip, "--orig-port-dst", str(port.port))] = None
            if port.node_port:
                out[("-p", "udp", "--orig-port-dst", str(port.node_port))] = None
    return [list(arguments) for arguments in out][:MAX_DELETED]
