"""DefaultIngressClass: an Ingress without a class gets the default one, the newest where there are several.

https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

GROUP = "networking.k8s.io"
DEFAULT = "ingressclass.kubernetes.io/is-default-class"
LEGACY = "kubernetes.io/ingress.class"


async def admit(write: Write) -> None:
    if write.operation != "CREATE" or write.new is None or not write.of(GROUP, "ingresses"):
        return
    spec = write.new.get("spec") or {}
    if spec.get("ingressClassName") is not None or LEGACY in (write.new["metadata"].get("annotations") or {}):
        return
    found = [
        c["metadata"]
        for c in write.context.server.objects(GROUP, "ingressclasses")
        if (c["metadata"].get("annotations") or {}).get(DEFAULT) == "true"
    ]
    if found:
        newest = max(m["creationTimestamp"] for m in found)
        name = min(m["name"] for m in found if m["creationTimestamp"] == newest)
        write.new["spec"] = {**spec, "ingressClassName": name}
