"""RuntimeClass. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/runtime-class-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.policy import rules
from heeler.kinds.printing import AGE, NAME, text_at
from heeler.objects.value import Object


def _default(runtime_class: Object, version: str) -> None:
    for toleration in (runtime_class.get("scheduling") or {}).get("tolerations", ()):
        if not toleration.get("operator"):
            toleration["operator"] = "Equal"


OWN = Own(
    "node.k8s.io",
    "RuntimeClass",
    rules=rules.runtime_class,
    update_rules=rules.runtime_class_update,
    columns=(NAME, Column("Handler", text_at("handler"), about="="), AGE),
)
