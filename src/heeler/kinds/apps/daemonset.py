"""DaemonSet. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/daemon-set-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.apps import workload_rules as rules
from heeler.kinds.apps.replicas import selector_cell
from heeler.kinds.apps.strategy import zero_numbers
from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, at, cell, container_columns, label_text
from heeler.objects.value import Object

#: An old API's field that lives on as an annotation: how often the template changed.
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def _default(daemonset: Object, version: str) -> None:
    spec = daemonset["spec"]
    if TEMPLATE_GENERATION not in (daemonset["metadata"].get("annotations") or {}):
        _set_template_generation(daemonset, 0)
    default_template(spec["template"])
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
    zero_numbers(strategy, "maxUnavailable", "maxSurge")
    spec.setdefault("revisionHistoryLimit", 10)


def _prepare_create(daemonset: Object) -> None:
    daemonset["status"] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }
    if _template_generation(daemonset) < 1:
        _set_template_generation(daemonset, 1)


def _prepare_update(new: Object, old: Object) -> None:
    """The template's own generation is the server's, and grows when the template changes."""
    was = _template_generation(old)
    changed = new["spec"]["template"] != old["spec"]["template"]
    _set_template_generation(new, was + 1 if changed else was)


def _prepare_status(new: Object, old: Object) -> None:
    status_only(new, old)
    _set_template_generation(new, _template_generation(old))


def _template_generation(daemonset: Object) -> int:
    value = (daemonset["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(value) if value.isdigit() else 0


def _set_template_generation(daemonset: Object, number: int) -> None:
    annotations = daemonset["metadata"].get("annotations") or {}
    daemonset["metadata"]["annotations"] = {**annotations, TEMPLATE_GENERATION: str(number)}


def _status(key: str, name: str, about: str = "") -> Column:
    return Column(name, at(f"status.{key}", 0), "integer", about=f"apps.v1.DaemonSetStatus.{key}")


COLUMNS = (
    NAME,
    _status("desiredNumberScheduled", "Desired"),
    _status("currentNumberScheduled", "Current"),
    _status("numberReady", "Ready"),
    _status("updatedNumberScheduled", "Up-to-date"),
    _status("numberAvailable", "Available"),
    Column(
        "Node Selector",
        cell(lambda obj: label_text((obj["spec"]["template"].get("spec") or {}).get("nodeSelector"))),
        about="core.v1.PodSpec.nodeSelector",
    ),
    AGE,
    *container_columns("spec.template.spec"),
    Column("Selector", selector_cell, priority=1, about="apps.v1.DaemonSetSpec.selector"),
)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "spec", "template", named=False)


OWN = Own(
    "apps",
    "DaemonSet",
    pod_spec=("spec", "template", "spec"),
    default=_default,
    hidden_annotations=(TEMPLATE_GENERATION,),
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    rules=rules.daemonset,
    update_rules=rules.daemonset_update,
    warnings=_warnings,
    columns=COLUMNS,
    subresources={"status": SubresourceOwn(_prepare_status, rules.daemonset_status)},
)
