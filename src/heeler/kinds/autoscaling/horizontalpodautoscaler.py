"""HorizontalPodAutoscaler, autoscaling/v2 (stored) and v1.

What v1 cannot say is kept in annotations, so that a v1 reader and writer loses nothing.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from heeler.kinds.autoscaling import rules
from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, NONE, UNKNOWN, UNSET, at, cell, text_at
from heeler.objects.value import Object

V1, V2 = "autoscaling/v1", "autoscaling/v2"
METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
DEFAULT_CPU_PERCENT = 80


def _default(scaler: Object, version: str) -> None:
    spec = scaler["spec"]
    spec.setdefault("minReplicas", 1)
    if version == "v1":
        if "targetCPUUtilizationPercentage" not in spec and not _has_cpu_metric(scaler):
            spec["targetCPUUtilizationPercentage"] = DEFAULT_CPU_PERCENT
        return
    if not spec.get("metrics"):
        spec["metrics"] = [_cpu(DEFAULT_CPU_PERCENT)]
    behavior = spec.get("behavior")
    if behavior is not None:
        _default_rules(behavior, "scaleUp", _UP)
        _default_rules(behavior, "scaleDown", _DOWN)


def _has_cpu_metric(scaler: Object) -> bool:
    """A v1 object that carries metrics in its annotation needs no default."""
    return METRICS in (scaler["metadata"].get("annotations") or {})


def _cpu(percent: int) -> Object:
    return {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}},
    }


_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN: Object = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _default_rules(behavior: Object, key: str, default: Object) -> None:
    """What a rule lacks of the default is filled in."""
    rules = behavior.setdefault(key, {})
    for name, value in default.items():
        if name not in rules:
            rules[name] = copy.deepcopy(value)


# Conversion.


def convert(scaler: Object, source: str, target: str) -> Object:
    out = copy.deepcopy(scaler)
    out["apiVersion"] = target
    if target == V2:
        _to_v2(out)
    else:
        _to_v1(out)
    return out


def _is_cpu(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and (resource.get("target") or {}).get("averageUtilization") is not None
    )


def _load(annotations: Object, key: str) -> Any:
    text = annotations.get(key)
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _to_v2(out: Object) -> None:
    spec, status = out["spec"], out.get("status", {})
    annotations = dict(out["metadata"].get("annotations") or {})
    metrics = [_metric_v2(row, "target") for row in _load(annotations, METRICS) or ()]
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        metrics = [m for m in metrics if not _is_cpu(m)]
        metrics.insert(0, _cpu(percent))
    if metrics:
        spec["metrics"] = metrics
    behavior = _load(annotations, BEHAVIOR)
    if behavior is not None:
        spec["behavior"] = {
            {"ScaleUp": "scaleUp", "ScaleDown": "scaleDown"}.get(key, key): {
                name[:1].lower() + name[1:]: value for name, value in rules.items()
            }
            for key, rules in behavior.items()
        }
    current = [_metric_v2(row, "current") for row in _load(annotations, CURRENT) or ()]
    percent = status.pop("currentCPUUtilizationPercentage", None)
    if percent is not None:
        current = [m for m in current if not _is_current_cpu(m)]
        row = {"name": "cpu", "current": {"averageUtilization": percent}}
        current.insert(0, {"type": "Resource", "resource": row})
    status["currentMetrics"] = current or None
    conditions = _load(annotations, CONDITIONS)
    if conditions:
        status["conditions"] = conditions
    if status.get("currentReplicas") == 0:
        del status["currentReplicas"]
    out["status"] = status
    for key in (METRICS, CURRENT, CONDITIONS, BEHAVIOR):
        annotations.pop(key, None)
    _set_annotations(out, annotations)


def _is_current_cpu(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and (resource.get("current") or {}).get("averageUtilization") is not None
    )


def _to_v1(out: Object) -> None:
    spec, status = out["spec"], out.get("status", {})
    annotations = dict(out["metadata"].get("annotations") or {})
    for key in (METRICS, CURRENT, CONDITIONS, BEHAVIOR):
        annotations.pop(key, None)
    metrics = spec.pop("metrics", None) or []
    others = []
    for metric in metrics:
        if _is_cpu(metric) and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
        else:
            others.append(_metric_v1(metric, "target"))
    if others:
        annotations[METRICS] = orjson.dumps(others).decode()
    behavior = spec.pop("behavior", None)
    if behavior is not None:
        annotations[BEHAVIOR] = orjson.dumps(_behavior_v1(behavior)).decode()
    others = []
    for metric in status.pop("currentMetrics", None) or ():
        if _is_current_cpu(metric) and "currentCPUUtilizationPercentage" not in status:
            status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
        else:
            others.append(_metric_v1(metric, "current"))
    if others:
        annotations[CURRENT] = orjson.dumps(others).decode()
    conditions = status.pop("conditions", None)
    if conditions:
        annotations[CONDITIONS] = orjson.dumps(conditions).decode()
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    out["status"] = status
    _set_annotations(out, annotations)


def _behavior_v1(behavior: Object) -> Object:
    names = (
        ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
        ("SelectPolicy", "selectPolicy"),
        ("Policies", "policies"),
        ("Tolerance", "tolerance"),
    )

    def rules(given: Object | None) -> Any:
        if given is None:
            return None
        out: Object = {}
        for go, name in names:
            value = given.get(name)
            if name == "policies" and value is not None:
                value = [
                    {"Type": p.get("type"), "Value": p.get("value"), "PeriodSeconds": p.get("periodSeconds")}
                    for p in value
                ]
            out[go] = value
        return out

    return {"ScaleUp": rules(behavior.get("scaleUp")), "ScaleDown": rules(behavior.get("scaleDown"))}


_PREFIX = {"target": "target", "current": "current"}


def _metric_v1(metric: Object, part: str) -> Object:
    """A metric in the older form that the annotation carries."""
    kind = metric.get("type", "")
    key = kind[:1].lower() + kind[1:]
    row = metric.get(key) or {}
    values = row.get(part) or {}
    out: Object = {}
    if kind in ("Resource", "ContainerResource"):
        out["name"] = row.get("name")
        if values.get("averageUtilization") is not None:
            out[f"{part}AverageUtilization"] = values["averageUtilization"]
        if values.get("averageValue") is not None:
            out[f"{part}AverageValue"] = values["averageValue"]
        if kind == "ContainerResource":
            out["container"] = row.get("container")
    else:
        named = row.get("metric") or {}
        if kind == "Object":
            out["target"] = row.get("describedObject") or {}
        out["metricName"] = named.get("name")
        if values.get("value") is not None:
            out[f"{part}Value"] = values["value"]
        if values.get("averageValue") is not None:
            average = {"Object": "averageValue", "Pods": f"{part}AverageValue", "External": f"{part}AverageValue"}
            out[average[kind]] = values["averageValue"]
        if named.get("selector") is not None:
            out["metricSelector" if kind == "External" else "selector"] = named["selector"]
    return {"type": kind, key: out}


def _metric_v2(metric: Object, part: str) -> Object:
    """The newer form of a metric that an annotation carries."""
    kind = metric.get("type", "")
    key = kind[:1].lower() + kind[1:]
    row = metric.get(key) or {}
    values: Object = {}
    if row.get(f"{part}AverageUtilization") is not None:
        values["averageUtilization"] = row[f"{part}AverageUtilization"]
    average = row.get(f"{part}AverageValue", row.get("averageValue"))
    if average is not None:
        values["averageValue"] = average
    if row.get(f"{part}Value") is not None:
        values["value"] = row[f"{part}Value"]
    if part == "target":
        kinds = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}
        values["type"] = next((name for field, name in kinds.items() if field in values), "Value")
    out: Object = {part: values}
    if kind in ("Resource", "ContainerResource"):
        out["name"] = row.get("name")
        if kind == "ContainerResource":
            out["container"] = row.get("container")
    else:
        selector = row.get("metricSelector", row.get("selector"))
        out["metric"] = {"name": row.get("metricName"), **({"selector": selector} if selector is not None else {})}
        if kind == "Object":
            out["describedObject"] = row.get("target") or {}
    return {"type": kind, key: out}


def _set_annotations(out: Object, annotations: Object) -> None:
    if annotations:
        out["metadata"]["annotations"] = annotations
    else:
        out["metadata"].pop("annotations", None)


def _prepare_create(scaler: Object) -> None:
    scaler["status"] = {"desiredReplicas": 0, "currentMetrics": None}


# The table.


def _target(spec: Object, status: Object | None) -> str:
    kind = spec.get("type", "")
    key = kind[:1].lower() + kind[1:]
    row, target = spec.get(key) or {}, (spec.get(key) or {}).get("target") or {}
    current = ((status or {}).get(key) or {}).get("current") or {}
    if kind in ("Resource", "ContainerResource"):
        prefix = f"{row.get('name', '')}: "
        if target.get("averageValue") is not None:
            return f"{prefix}{current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        now = f"{current['averageUtilization']}%" if current.get("averageUtilization") is not None else UNKNOWN
        wanted = f"{target['averageUtilization']}%" if target.get("averageUtilization") is not None else "<auto>"
        return f"{prefix}{now}/{wanted}"
    if kind == "Pods":
        return f"{current.get('averageValue', UNKNOWN)}/{target.get('averageValue', '')}"
    if kind in ("Object", "External"):
        if target.get("averageValue") is not None:
            return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']} (avg)"
        return f"{current.get('value', UNKNOWN)}/{target.get('value', '')}"
    return "<unknown type>"


def _targets(scaler: Object) -> str:
    metrics = scaler["spec"].get("metrics") or ()
    if not metrics:
        return NONE
    current = (scaler.get("status") or {}).get("currentMetrics") or ()
    rows = [_target(metric, current[i] if i < len(current) else None) for i, metric in enumerate(metrics)]
    text = ", ".join(rows[:2])
    return f"{text} + {len(rows) - 2} more..." if len(rows) > 2 else text


def _reference(scaler: Object) -> str:
    target = scaler["spec"].get("scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


_SPEC = "autoscaling.v2.HorizontalPodAutoscalerSpec"

COLUMNS = (
    NAME,
    Column("Reference", cell(_reference), about=f"{_SPEC}.scaleTargetRef"),
    Column("Targets", cell(_targets), about=f"{_SPEC}.metrics"),
    Column("MinPods", text_at("spec.minReplicas", UNSET), about=f"{_SPEC}.minReplicas"),
    Column("MaxPods", at("spec.maxReplicas", 0), about=f"{_SPEC}.maxReplicas"),
    Column(
        "Replicas",
        at("status.currentReplicas", 0),
        about="autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas",
    ),
    AGE,
)

OWN = Own(
    "autoscaling",
    "HorizontalPodAutoscaler",
    rules=rules.rules,
    default=_default,
    convert=convert,
    status=True,
    generation=True,
    prepare_create=_prepare_create,
    columns=COLUMNS,
    subresources={"status": SubresourceOwn(status_only, rules.status_rules)},
)
