"""ReplicationController. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replication-controller-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.apps import workload_rules as rules
from heeler.kinds.apps.replicas import status_replicas
from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, at, cell, container_columns, label_text
from heeler.objects.value import Object


def _default(controller: Object, version: str) -> None:
    spec = controller["spec"]
    template = spec.get("template")
    if template is not None:
        default_template(template)
        labels = template["metadata"].get("labels")
        if labels:
            spec.setdefault("selector", dict(labels))
            if not controller["metadata"].get("labels"):
                controller["metadata"]["labels"] = dict(labels)
    spec.setdefault("replicas", 1)


def _prepare_create(controller: Object) -> None:
    controller["status"] = {"replicas": 0}


COLUMNS = (
    NAME,
    Column("Desired", at("spec.replicas", 0), "integer", about="core.v1.ReplicationControllerSpec.replicas"),
    Column("Current", at("status.replicas", 0), "integer", about="core.v1.ReplicationControllerStatus.replicas"),
    Column(
        "Ready", at("status.readyReplicas", 0), "integer", about="core.v1.ReplicationControllerStatus.readyReplicas"
    ),
    AGE,
    *container_columns("spec.template.spec"),
    Column(
        "Selector",
        cell(lambda obj: label_text(obj["spec"].get("selector"))),
        priority=1,
        about="core.v1.ReplicationControllerSpec.selector",
    ),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "spec", "template")


OWN = Own(
    "",
    "ReplicationController",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    rules=rules.replication_controller,
    warnings=_warnings,
    columns=COLUMNS,
    selectable={"status.replicas": status_replicas},
    unsupported_label="field label not supported: {label}",
    subresources={"status": SubresourceOwn(status_only, rules.replicas_status)},
)
