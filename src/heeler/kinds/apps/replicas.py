"""What Deployment, ReplicaSet, StatefulSet and DaemonSet share: field labels, cells of replica counts."""

from __future__ import annotations

from heeler.kinds.printing import selector_text
from heeler.objects.value import Object


def selector_cell(obj: Object, now: float) -> str:
    return selector_text((obj.get("spec") or {}).get("selector"))


def status_replicas(obj: Object) -> str:
    return str((obj.get("status") or {}).get("replicas", 0))
