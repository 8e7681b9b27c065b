"""The priority levels and flow schemas that every cluster has, as objects."""

from __future__ import annotations

import copy

from heeler.apiserver.loops.flow_schemas import GROUP, dangling
from heeler.kinds.flowcontrol import defaults
from heeler.objects.value import Object

API_VERSION = f"{GROUP}/v1"
MANAGER = "api-priority-and-fairness-config-producer-v1"
_ANNOTATIONS = {"apf.kubernetes.io/autoupdate-spec": "true"}


def objects(now: str) -> list[Object]:
    """Levels and schemas; `now` is the time of their conditions (RFC 3339)."""
    out = [_object("PriorityLevelConfiguration", name, spec) for name, spec in defaults.levels().items()]
    for name, spec in defaults.schemas().items():
        level = spec["priorityLevelConfiguration"]["name"]
        out.append({**_object("FlowSchema", name, spec), "status": {"conditions": [dangling(level, True, now)]}})
    return out


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": dict(_ANNOTATIONS)}
    return {"kind": kind, "apiVersion": API_VERSION, "metadata": metadata, "spec": copy.deepcopy(spec)}
