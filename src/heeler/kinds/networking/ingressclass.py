"""IngressClass. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-class-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.networking import rules
from heeler.kinds.printing import AGE, NAME, NONE, cell, text_at
from heeler.objects.value import Object


def _default(ingress_class: Object, version: str) -> None:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None:
        if parameters.get("scope") is None:
            parameters["scope"] = "Cluster"


def _parameters(ingress_class: Object) -> str:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is None:
        return NONE
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
    return f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"


OWN = Own(
    "networking.k8s.io",
    "IngressClass",
    rules=rules.ingress_class,
    update_rules=rules.ingress_class_update,
    default=_default,
    generation=True,
    columns=(
        NAME,
        Column(
            "Controller",
            text_at("spec.controller"),
            about="=Controller that is responsible for handling this class",
        ),
        Column("Parameters", cell(_parameters), about="=A reference to a resource with additional parameters"),
        AGE,
    ),
)
