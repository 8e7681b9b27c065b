"""Where the hand-written part of each kind stands: a module under `heeler.kinds`, or the record itself."""

from __future__ import annotations

from heeler.kinds.kind import Own
from heeler.kinds.printing import AGE, NAME

PLAIN: dict[tuple[str, str], Own | str] = {
    ("", "Pod"): "core.pod",
    ("", "Namespace"): "core.namespace",
    ("", "Service"): "core.service",
    ("", "Secret"): "core.secret",
    ("", "ConfigMap"): "core.configmap",
    ("", "Node"): "core.node",
    ("", "ServiceAccount"): Own("", "ServiceAccount", columns=(NAME, AGE)),
    ("apps", "Deployment"): "apps.deployment",
    ("apps", "ReplicaSet"): "apps.replicaset",
}
