"""Which groups and versions come first in discovery: what their APIServices say.

The numbers are those of kube-apiserver; a higher one comes first.
"""

from __future__ import annotations

from typing import NamedTuple


class Priority(NamedTuple):
    """`groupPriorityMinimum` and `versionPriority`."""

    group: int
    version: int


#: Of every version of a CustomResourceDefinition.
CUSTOM = Priority(1000, 100)
#: Of what other programs mostly serve, and of built-in groups that the table lacks.
OTHER = Priority(100, 100)
_GROUPS = {
    "": 18000,
    "apiregistration.k8s.io": 20000,  # has no APIService: it stands before all others
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "storagemigration.k8s.io": 15800,
}
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("resource.k8s.io", "v1"): 21,
}
#: v1, and what comes before a version is stable.
_STABLE, _BEFORE = 15, 9


def built_in(group: str, version: str) -> Priority:
    if group not in _GROUPS:
        return OTHER
    usual = _STABLE if "alpha" not in version and "beta" not in version else _BEFORE
    return Priority(_GROUPS[group], _VERSIONS.get((group, version), usual))
