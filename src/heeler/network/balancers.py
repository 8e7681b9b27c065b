"""LoadBalancer Services' status: the loopback address of this machine, with the ports that are open there. Pure plan.

https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heeler.network.publish import BALANCED, HOST, NODE_PORT, Target, is_balanced
from heeler.objects.value import Object, name_of, namespace_of

#: The reason of the event, and the error of the port in the status, where the port belongs to somebody else.
TAKEN = "PortTaken"


@dataclass(frozen=True, slots=True)
class Change:
    """A Service whose status is to be `ingress`; `taken` are sentences about ports that can't be had."""

    service: Object
    ingress: list[Object]
    taken: tuple[str, ...] = ()


def plan(services: Sequence[Object], ports: Mapping[Target, int]) -> list[Change]:
    """What has to be written. `ports` is what is open on the host."""
    out = []
    for service in services:
        have = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if is_balanced(service):
            wanted, taken = _ingress(service, ports)
        elif any(_is_ours(entry) for entry in have):
            wanted, taken = [], ()
        else:
            continue
        if wanted != have:
            out.append(Change(service, wanted, taken))
    return out


def _is_ours(entry: Object) -> bool:
    return entry.get("ip") == HOST and entry.get("ipMode") == "Proxy"


def _ingress(service: Object, ports: Mapping[Target, int]) -> tuple[list[Object], tuple[str, ...]]:
    where = (namespace_of(service), name_of(service))
    mine = {t: number for t, number in ports.items() if (t.namespace, t.service) == where and t.kind == "Service"}
    shown, taken = [], []
    for port in (service.get("spec") or {}).get("ports") or []:
        name, protocol, number = str(port.get("name") or ""), str(port.get("protocol") or "TCP"), int(port["port"])
        same = [(t, found) for t, found in mine.items() if (t.name, t.protocol) == (name, protocol)]
        entry: Object = {"port": number, "protocol": protocol}
        if not any(t.reason == BALANCED and t.port == number for t, _ in same):
            entry["error"] = TAKEN
            other = next((found for t, found in same if t.reason == NODE_PORT), 0)
            instead = (
                f"it is to be found on {HOST}:{other}" if other else f"`heeler expose svc/{where[1]}` finds another one"
            )
            taken.append(f"{protocol} port {number} of {HOST} is taken (program or Service): {instead}")
        shown.append(entry)
    # Reached through this machine's loopback only: nodes and pods must not take it for an address of theirs.
    return [{"ip": HOST, "ipMode": "Proxy", "ports": shown}] if shown else [], tuple(taken)
