"""Ingress. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.networking import rules
from heeler.kinds.printing import AGE, NAME, NONE, cell, text_at
from heeler.objects.value import Object


def _prepare_create(ingress: Object) -> None:
    ingress["status"] = {"loadBalancer": {}}


def _hosts(ingress: Object) -> str:
    hosts = [r["host"] for r in ingress["spec"].get("rules") or () if r.get("host")]
    if not hosts:
        return "*"
    text = ",".join(hosts[:3])
    return f"{text} + {len(hosts) - 3} more..." if len(hosts) > 3 else text


def _address(ingress: Object) -> str:
    points = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(p.get("ip") or p.get("hostname", "") for p in points)


def _ports(ingress: Object) -> str:
    return "80, 443" if ingress["spec"].get("tls") else "80"


OWN = Own(
    "networking.k8s.io",
    "Ingress",
    rules=rules.ingress,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    columns=(
        NAME,
        Column(
            "Class",
            text_at("spec.ingressClassName", NONE),
            about="=The name of the IngressClass resource that should be used for additional configuration",
        ),
        Column(
            "Hosts", cell(_hosts), about="=Hosts that incoming requests are matched against before the ingress rule"
        ),
        Column("Address", cell(_address), about="=Address is a list containing ingress points for the load-balancer"),
        Column("Ports", cell(_ports), about="=Ports of TLS configurations that open"),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
