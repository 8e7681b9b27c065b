"""IPAddress and ServiceCIDR: the cluster's own addresses for services.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/ip-address-v1/ and .../service-cidr-v1/
"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.networking import rules
from heeler.kinds.printing import AGE, NAME, cell
from heeler.objects.value import Object


def _parent(address: Object) -> str:
    parent = (address.get("spec") or {}).get("parentRef") or {}
    group = f".{parent['group']}" if parent.get("group") else ""
    where = f"{parent['namespace']}/" if parent.get("namespace") else ""
    return f"{parent.get('resource', '')}{group}/{where}{parent.get('name', '')}"


IP_ADDRESS = Own(
    "networking.k8s.io",
    "IPAddress",
    rules=rules.ip_address,
    name_form="any",
    columns=(
        NAME,
        Column("ParentRef", cell(_parent), about="networking.v1.IPAddressSpec.parentRef"),
        AGE,
    ),
)


def _prepare_create(cidr: Object) -> None:
    cidr["status"] = {}


SERVICE_CIDR = Own(
    "networking.k8s.io",
    "ServiceCIDR",
    rules=rules.service_cidr,
    status=True,
    prepare_create=_prepare_create,
    columns=(
        NAME,
        Column(
            "CIDRs",
            cell(lambda obj: ",".join((obj.get("spec") or {}).get("cidrs") or ())),
            about="networking.v1.ServiceCIDRSpec.cidrs",
        ),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
