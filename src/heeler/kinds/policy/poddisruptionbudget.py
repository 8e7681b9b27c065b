"""PodDisruptionBudget. https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/pod-disruption-budget-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.policy import rules
from heeler.kinds.printing import AGE, NAME, at, text_at
from heeler.objects.value import Object


def _prepare_create(budget: Object) -> None:
    budget["status"] = {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}


OWN = Own(
    "policy",
    "PodDisruptionBudget",
    name_form="path",
    rules=rules.budget,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column(
            "Min Available",
            text_at("spec.minAvailable", "N/A"),
            about="=The minimum number of pods that must be available.",
        ),
        Column(
            "Max Unavailable",
            text_at("spec.maxUnavailable", "N/A"),
            about="=The maximum number of pods that may be unavailable.",
        ),
        Column(
            "Allowed Disruptions",
            at("status.disruptionsAllowed", 0),
            "integer",
            about="=Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only, rules.budget_status)},
)
