"""Lease. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.kind import Column, Own
from heeler.kinds.meta.checks import not_negative, positive
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.printing import AGE, NAME, text_at
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden
from heeler.objects.value import Object


def _rules(lease: Object) -> Iterator[Fault]:
    spec = lease.get("spec") or {}
    yield from positive(spec.get("leaseDurationSeconds"), "spec.leaseDurationSeconds")
    yield from not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
    if spec.get("strategy") is not None:
        name = spec["strategy"]
        yield from each("spec.strategy", name, names.qualified(name))
    elif spec.get("preferredHolder"):
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


OWN = Own(
    "coordination.k8s.io",
    "Lease",
    allow_create_on_update=True,
    allow_unconditional_update=False,
    rules=_rules,
    columns=(
        NAME,
        Column("Holder", text_at("spec.holderIdentity"), about="coordination.v1.LeaseSpec.holderIdentity"),
        AGE,
    ),
)
