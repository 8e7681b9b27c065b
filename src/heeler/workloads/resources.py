"""What a pod asks for, in whole numbers: CPU in thousandths, everything else in units (bytes, pieces).

A pod needs the larger of what its containers need together and what an init container needs while it runs; sidecars
count on both sides. https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
"""

from __future__ import annotations

from collections.abc import Mapping

from heeler.objects.quantities import parse
from heeler.objects.value import Object

Amounts = dict[str, int]
#: What every node has, in the order in which it is told.
FIRST = ("cpu", "memory", "ephemeral-storage")


def amounts(quantities: Mapping[str, object] | None) -> Amounts:
    """A resource list as numbers."""
    out = {}
    for name, text in (quantities or {}).items():
        quantity = parse(str(text))
        out[name] = quantity.milli if name == "cpu" else quantity.ceil
    return out


def requests(pod: Object) -> Amounts:
    """What a pod asks of a node, its overhead included."""
    spec = pod.get("spec") or {}
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _asked(container))
    beside: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(beside, asked)
            asked = beside
        else:
            asked = {name: asked.get(name, 0) + beside.get(name, 0) for name in {**asked, **beside}}
        for name, amount in asked.items():
            peak[name] = max(peak.get(name, 0), amount)
    for name, amount in peak.items():
        total[name] = max(total.get(name, 0), amount)
    whole = amounts((spec.get("resources") or {}).get("requests"))
    total.update(whole)
    _add(total, amounts(spec.get("overhead")))
    return total


def _asked(container: Object) -> Amounts:
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def host_ports(pod: Object) -> list[tuple[str, str, int]]:
    """(protocol, address, port) that a pod takes on its node; the address is 0.0.0.0 for all of them."""
    spec = pod.get("spec") or {}
    out = []
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                out.append((port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", port["hostPort"]))
    return out
