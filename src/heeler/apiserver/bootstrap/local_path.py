"""What the local provisioner needs from a cluster's first moment: the default StorageClass, and its controller's rights.

A class that somebody deleted or changed stays as it is until the next start.
"""

from __future__ import annotations

from heeler.apiserver.bootstrap.roles import EVENTS, rule
from heeler.objects.value import Object
from heeler.workloads import local_path
from heeler.workloads.volumes import IS_DEFAULT

_GROUP = "rbac.authorization.k8s.io"
ROLE = "heeler:local-path-provisioner"


def objects() -> list[Object]:
    return [
        {
            "kind": "StorageClass",
            "apiVersion": "storage.k8s.io/v1",
            "metadata": {"name": "local-path", "annotations": {IS_DEFAULT[0]: "true"}},
            "provisioner": local_path.PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        {
            "kind": "ClusterRole",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": ROLE},
            "rules": [
                rule("create delete get list patch watch | core | persistentvolumes"),
                rule("get list patch watch | core | persistentvolumeclaims"),
                rule("get list watch | core | nodes"),
                rule("get list watch | storage.k8s.io | storageclasses"),
                rule(EVENTS),
            ],
        },
        {
            "kind": "ClusterRoleBinding",
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {"name": ROLE},
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": local_path.CONTROLLER_ACCOUNT, "namespace": "kube-system"}],
        },
    ]
