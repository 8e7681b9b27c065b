"""ReplicaSet. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replica-set-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.apps import workload_rules as rules
from heeler.kinds.apps.replicas import selector_cell, status_replicas
from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, at, container_columns
from heeler.objects.value import Object


def _default(replicaset: Object, version: str) -> None:
    default_template(replicaset["spec"]["template"])
    replicaset["spec"].setdefault("replicas", 1)


def _prepare_create(replicaset: Object) -> None:
    replicaset["status"] = {"replicas": 0}


COLUMNS = (
    NAME,
    Column("Desired", at("spec.replicas", 0), "integer", about="apps.v1.ReplicaSetSpec.replicas"),
    Column("Current", at("status.replicas", 0), "integer", about="apps.v1.ReplicaSetStatus.replicas"),
    Column("Ready", at("status.readyReplicas", 0), "integer", about="apps.v1.ReplicaSetStatus.readyReplicas"),
    AGE,
    *container_columns("spec.template.spec"),
    Column("Selector", selector_cell, priority=1, about="apps.v1.ReplicaSetSpec.selector"),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "spec", "template")


OWN = Own(
    "apps",
    "ReplicaSet",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    rules=rules.replicaset,
    update_rules=rules.replicaset_update,
    warnings=_warnings,
    columns=COLUMNS,
    selectable={"status.replicas": status_replicas},
    unsupported_label="field label not supported: {label}",
    subresources={"status": SubresourceOwn(status_only, rules.replicas_status)},
)
