"""Lease. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME, text_at

OWN = Own(
    "coordination.k8s.io",
    "Lease",
    allow_create_on_update=True,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column("Holder", text_at("spec.holderIdentity"), about="coordination.v1.LeaseSpec.holderIdentity"),
        AGE,
    ),
)
