"""Deployment. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.apps import workload_rules as rules
from heeler.kinds.apps.replicas import selector_cell
from heeler.kinds.apps.strategy import zero_numbers
from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, at, cell, container_columns
from heeler.objects.value import Object


def _default(deployment: Object, version: str) -> None:
    spec = deployment["spec"]
    default_template(spec["template"])
    spec.setdefault("replicas", 1)
    strategy = spec["strategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    zero_numbers(strategy, "maxUnavailable", "maxSurge")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _prepare_create(deployment: Object) -> None:
    deployment["status"] = {}


def _prepare_status(new: Object, old: Object) -> None:
    status_only(new, old)
    _copy_labels(new, old)


def _copy_labels(new: Object, old: Object) -> None:
    """A writer of the status doesn't change the labels."""
    if "labels" in old["metadata"]:
        new["metadata"]["labels"] = old["metadata"]["labels"]
    else:
        new["metadata"].pop("labels", None)


def _ready(deployment: Object) -> str:
    return f"{(deployment.get('status') or {}).get('readyReplicas', 0)}/{deployment['spec'].get('replicas', 0)}"


COLUMNS = (
    NAME,
    Column("Ready", cell(_ready), about="=Number of the pod with ready state"),
    Column("Up-to-date", at("status.updatedReplicas", 0), about="apps.v1.DeploymentStatus.updatedReplicas"),
    Column("Available", at("status.availableReplicas", 0), about="apps.v1.DeploymentStatus.availableReplicas"),
    AGE,
    *container_columns("spec.template.spec"),
    Column("Selector", selector_cell, priority=1, about="apps.v1.DeploymentSpec.selector"),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "spec", "template")


OWN = Own(
    "apps",
    "Deployment",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    generation_of=("spec", "metadata.annotations"),
    prepare_create=_prepare_create,
    rules=rules.deployment,
    update_rules=rules.deployment_update,
    warnings=_warnings,
    columns=COLUMNS,
    subresources={
        "status": SubresourceOwn(_prepare_status, rules.deployment_status, (("spec",), ("metadata", "labels")))
    },
)
