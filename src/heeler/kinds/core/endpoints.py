"""Endpoints. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/"""

from __future__ import annotations

from heeler.kinds.core import endpoint_rules
from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME, NONE, cell
from heeler.objects.value import Object


def _default(endpoints: Object, version: str) -> None:
    for subset in endpoints.get("subsets", ()):
        for port in subset.get("ports", ()):
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def _shown(endpoints: Object) -> str:
    rows: list[str] = []
    if not endpoints.get("subsets"):
        return NONE
    for subset in endpoints["subsets"]:
        ports = subset.get("ports") or ()
        if not ports:
            rows += [a.get("ip", "") for a in subset.get("addresses") or ()]
        for port in ports:
            for address in subset.get("addresses") or ():
                ip = address.get("ip", "")
                rows.append(f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}")
    text = ",".join(rows[:3])
    return f"{text} + {len(rows) - 3} more..." if len(rows) > 3 else text


OWN = Own(
    "",
    "Endpoints",
    default=_default,
    rules=endpoint_rules.endpoints,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    columns=(NAME, Column("Endpoints", cell(_shown), about="core.v1.Endpoints.subsets"), AGE),
)
