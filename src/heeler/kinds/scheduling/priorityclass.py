"""PriorityClass. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.policy import rules
from heeler.kinds.printing import AGE, NAME, at
from heeler.objects.value import Object


def _default(priority_class: Object, version: str) -> None:
    priority_class.setdefault("preemptionPolicy", "PreemptLowerPriority")


OWN = Own(
    "scheduling.k8s.io",
    "PriorityClass",
    rules=rules.priority_class,
    update_rules=rules.priority_class_update,
    default=_default,
    generation=True,
    generation_of=(),
    columns=(
        NAME,
        Column("Value", at("value", 0), "integer", about="scheduling.v1.PriorityClass.value"),
        Column(
            "Global-Default", at("globalDefault", False), "boolean", about="scheduling.v1.PriorityClass.globalDefault"
        ),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy"), about="scheduling.v1.PriorityClass.preemptionPolicy"),
    ),
)
