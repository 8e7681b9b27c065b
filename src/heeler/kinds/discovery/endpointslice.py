"""EndpointSlice. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/"""

from __future__ import annotations

from heeler.kinds.core import endpoint_rules
from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME, UNSET, cell, text_at
from heeler.objects.value import Object


def _default(endpoints: Object, version: str) -> None:
    for port in endpoints.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _generation(new: Object, old: Object) -> None:
    """The generation grows with any change but of metadata that carries no meaning."""
    meta_new, meta_old = new["metadata"], old["metadata"]
    same = all(new.get(k) == old.get(k) for k in ("addressType", "endpoints", "ports")) and all(
        (meta_new.get(k) or None) == (meta_old.get(k) or None)
        for k in ("labels", "annotations", "ownerReferences", "finalizers")
    )
    if not same:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _ports(endpoints: Object) -> str:
    ports = endpoints.get("ports")
    if not ports:
        return UNSET
    rows = [str(p["port"]) if p.get("port") is not None else "*" for p in ports]
    return _first(rows)


def _first(rows: list[str]) -> str:
    text = ",".join(rows[:3])
    return f"{text} + {len(rows) - 3} more..." if len(rows) > 3 else text


def _addresses(endpoints: Object) -> str:
    rows = [address for row in endpoints.get("endpoints") or () for address in row.get("addresses") or ()]
    return _first(rows) if rows else UNSET


OWN = Own(
    "discovery.k8s.io",
    "EndpointSlice",
    default=_default,
    generation=True,
    generation_of=(),
    prepare_update=_generation,
    rules=endpoint_rules.slice_rules,
    update_rules=endpoint_rules.slice_update,
    columns=(
        NAME,
        Column("AddressType", text_at("addressType"), about="discovery.v1.EndpointSlice.addressType"),
        Column("Ports", cell(_ports), about="discovery.v1.EndpointSlice.ports"),
        Column("Endpoints", cell(_addresses), about="discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ),
)
