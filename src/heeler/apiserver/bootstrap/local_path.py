"""What the local provisioner needs from a cluster's first moment: the default StorageClass, and its controller's rights.

A class that somebody deleted or changed stays as it is until the next start.
"""

from __future__ import annotations

from heeler.apiserver.bootstrap.own import role
from heeler.objects.value import Object
from heeler.workloads import local_path
from heeler.workloads.volumes import IS_DEFAULT

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
        *role(
            ROLE,
            local_path.CONTROLLER_ACCOUNT,
            (
                "create delete get list patch watch | core | persistentvolumes",
                "get list patch watch | core | persistentvolumeclaims",
                "get list watch | core | nodes",
                "get list watch | storage.k8s.io | storageclasses",
            ),
        ),
    ]
