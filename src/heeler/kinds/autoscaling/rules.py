"""What is checked of a HorizontalPodAutoscaler (in its v2 form)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heeler.kinds.meta.checks import needed, not_negative, numbered
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.resource_rules import container_resource_name
from heeler.objects import names
from heeler.objects.faults import Fault, forbidden, invalid, not_supported, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

SOURCES = ("ContainerResource", "External", "Object", "Pods", "Resource")
MAX_WINDOW_SECONDS = 3600
MAX_PERIOD_SECONDS = 1800


def rules(scaler: Object) -> Iterator[Fault]:
    spec = scaler["spec"]
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if least is not None and least < 0:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 0")
    if least is not None and most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef", scale_target=True)
    yield from _metrics(spec.get("metrics"), least, "spec.metrics")
    behavior = spec.get("behavior")
    if behavior is not None:
        for key in ("scaleUp", "scaleDown"):
            if behavior.get(key) is not None:
                yield from _scaling(behavior[key], f"spec.behavior.{key}")
    if not most:
        yield required("spec.maxReplicas")
    elif most < 0:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to 1")


def _reference(row: Object, path: str, scale_target: bool = False) -> Iterator[Fault]:
    for key in ("kind", "name"):
        value = row.get(key, "")
        if not value:
            yield required(f"{path}.{key}")
        else:
            yield from each(f"{path}.{key}", value, names.path_segment(value))
    version = row.get("apiVersion", "")
    if version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    elif scale_target and "/" not in version and row.get("kind") != "ReplicationController":
        yield invalid(f"{path}.apiVersion", version, "apiVersion must specify API group")


def _metrics(rows: list[Object] | None, least: int | None, path: str) -> Iterator[Fault]:
    outside = False
    for at, row in numbered(rows):
        yield from _metric(row, f"{path}[{at}]")
        outside = outside or row.get("type") in ("Object", "External")
    if least == 0 and not outside:
        yield forbidden(path, "must specify at least one Object or External metric to support scaling to zero replicas")


def _metric(row: Object, path: str) -> Iterator[Fault]:
    kind = row.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in SOURCES:
        yield not_supported(f"{path}.type", kind, SOURCES)
    keys = {source: source[:1].lower() + source[1:] for source in ("Object", "Pods", "Resource", "External")}
    keys["ContainerResource"] = "containerResource"
    given = [source for source, key in keys.items() if row.get(key) is not None]
    for source in given:
        yield from _CHECKS[source](row[keys[source]], f"{path}.{keys[source]}")
    if kind in keys and kind not in given:
        yield required(f"{path}.{keys[kind]}", "must populate information for the given metric source")
    if len(given) > 1:
        for source in sorted(given):
            if source != kind:
                yield forbidden(f"{path}.{keys[source]}", "must populate the given metric source only")


def _target(target: Object, path: str) -> Iterator[Fault]:
    kind = target.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in ("AverageValue", "Utilization", "Value"):
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for key in ("value", "averageValue"):
        if target.get(key) is not None and parse(target[key]).nano <= 0:
            yield invalid(f"{path}.{key}", target[key], "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        yield invalid(f"{path}.averageUtilization", utilization, "must be greater than 0")


def _name(metric: Object, path: str) -> Iterator[Fault]:
    name = metric.get("name", "")
    if not name:
        yield required(f"{path}.name", "must specify a metric name")
    else:
        yield from each(f"{path}.name", name, names.path_segment(name))


def _object(row: Object, path: str) -> Iterator[Fault]:
    yield from _reference(row.get("describedObject") or {}, f"{path}.describedObject")
    yield from _name(row.get("metric") or {}, f"{path}.metric")
    target = row.get("target") or {}
    yield from _target(target, f"{path}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external(row: Object, path: str) -> Iterator[Fault]:
    yield from _name(row.get("metric") or {}, f"{path}.metric")
    target = row.get("target") or {}
    yield from _target(target, f"{path}.target")
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        yield required(f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target")
    if value is not None and average is not None:
        yield forbidden(f"{path}.target.value", "may not set both a target value for metric and a per-pod target")


def _pods(row: Object, path: str) -> Iterator[Fault]:
    yield from _name(row.get("metric") or {}, f"{path}.metric")
    target = row.get("target") or {}
    yield from _target(target, f"{path}.target")
    average = target.get("averageValue")
    if average is None or parse(average).nano <= 0:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _resource(row: Object, path: str) -> Iterator[Fault]:
    yield from needed(row.get("name"), f"{path}.name", "must specify a resource name")
    yield from _usage(row.get("target") or {}, f"{path}.target")


def _usage(target: Object, path: str) -> Iterator[Fault]:
    yield from _target(target, path)
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        yield required(
            f"{path}.averageUtilization",
            "must set either a target raw value or a target utilization",
        )
    if utilization is not None and average is not None:
        yield forbidden(f"{path}.averageValue", "may not set both a target raw value and a target utilization")


def _container_resource(row: Object, path: str) -> Iterator[Fault]:
    name = row.get("name", "")
    yield from needed(name, f"{path}.name", "must specify a resource name")
    if name:
        yield from container_resource_name(name, f"{path}.name")
    container = row.get("container", "")
    if not container:
        yield required(f"{path}.container", "must specify a container")
    else:
        yield from each(f"{path}.container", container, names.label(container))
    yield from _usage(row.get("target") or {}, f"{path}.target")


_CHECKS: dict[str, Any] = {
    "Object": _object,
    "Pods": _pods,
    "Resource": _resource,
    "External": _external,
    "ContainerResource": _container_resource,
}


def _scaling(rule: Object, path: str) -> Iterator[Fault]:
    window = rule.get("stabilizationWindowSeconds")
    if window is not None:
        if window < 0:
            yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
        if window > MAX_WINDOW_SECONDS:
            yield invalid(
                f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {MAX_WINDOW_SECONDS}"
            )
    select = rule.get("selectPolicy")
    if select is not None and select not in ("Disabled", "Max", "Min"):
        yield not_supported(f"{path}.selectPolicy", select, ("Disabled", "Max", "Min"))
    if not rule.get("policies"):
        yield required(f"{path}.policies", "must specify at least one Policy")
    for at, policy in numbered(rule.get("policies")):
        here = f"{path}.policies[{at}]"
        if policy.get("type") not in ("Percent", "Pods"):
            yield not_supported(f"{here}.type", policy.get("type", ""), ("Percent", "Pods"))
        for key in ("value", "periodSeconds"):
            if policy.get(key, 0) <= 0:
                yield invalid(f"{here}.{key}", policy.get(key, 0), "must be greater than zero")
        if policy.get("periodSeconds", 0) > MAX_PERIOD_SECONDS:
            yield invalid(
                f"{here}.periodSeconds",
                policy["periodSeconds"],
                f"must be less than or equal to {MAX_PERIOD_SECONDS}",
            )
    tolerance = rule.get("tolerance")
    if tolerance is not None and parse(tolerance).nano < 0:
        yield invalid(f"{path}.tolerance", tolerance, "must be greater or equal to zero")


def status_rules(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    for key in ("currentReplicas", "desiredReplicas"):
        yield from not_negative(status.get(key), f"status.{key}")
