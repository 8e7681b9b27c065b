"""NetworkPolicy. https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.networking import rules
from heeler.kinds.printing import AGE, NAME, cell, selector_text
from heeler.objects.value import Object


def _default(policy: Object, version: str) -> None:
    spec = policy["spec"]
    for key in ("ingress", "egress"):
        for rule in spec.get(key, ()):
            for port in rule.get("ports", ()):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


OWN = Own(
    "networking.k8s.io",
    "NetworkPolicy",
    rules=rules.network_policy,
    default=_default,
    generation=True,
    columns=(
        NAME,
        Column(
            "Pod-Selector",
            cell(lambda obj: selector_text(obj["spec"].get("podSelector"))),
            about="networking.v1.NetworkPolicySpec.podSelector",
        ),
        AGE,
    ),
)
