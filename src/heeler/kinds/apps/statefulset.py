"""StatefulSet. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.apps import workload_rules as rules
from heeler.kinds.apps.strategy import zero_numbers
from heeler.kinds.core.persistentvolumeclaim import default_claim
from heeler.kinds.core.pod_warnings import claim as claim_warnings
from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, cell, container_columns
from heeler.objects.value import Object


def _default(stateful: Object, version: str) -> None:
    spec = stateful["spec"]
    default_template(spec["template"])
    for claim in spec.get("volumeClaimTemplates", ()):
        default_claim(claim)
        claim["kind"], claim["apiVersion"] = "PersistentVolumeClaim", "v1"
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("partition", 0)
        rolling.setdefault("maxUnavailable", 1)
    zero_numbers(strategy, "partition")
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for key in ("whenDeleted", "whenScaled"):
        if not retention.get(key):
            retention[key] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)


def _prepare_create(stateful: Object) -> None:
    stateful["status"] = {"replicas": 0, "availableReplicas": 0}


def _ready(stateful: Object) -> str:
    return f"{(stateful.get('status') or {}).get('readyReplicas', 0)}/{stateful['spec'].get('replicas', 0)}"


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "spec", "template", named=False)
    for at, template in enumerate(new["spec"].get("volumeClaimTemplates") or ()):
        # Upstream's path differs by verb, and has a capital letter.
        path = f"spec.volumeClaimTemplates[{at}]{'' if old is None else '.Spec'}"
        yield from claim_warnings(template.get("spec") or {}, path)
    limit = new["spec"].get("revisionHistoryLimit")
    if limit is not None and limit < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
        )


OWN = Own(
    "apps",
    "StatefulSet",
    name_form="label",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    rules=rules.statefulset,
    update_rules=rules.statefulset_update,
    warnings=_warnings,
    columns=(
        NAME,
        Column("Ready", cell(_ready), about="=Number of the pod with ready state"),
        AGE,
        *container_columns("spec.template.spec"),
    ),
    subresources={"status": SubresourceOwn(status_only, rules.statefulset_status)},
)
