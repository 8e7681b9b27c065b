"""What a node's agent may do: only what concerns its own node and the pods on it.

Source: https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from __future__ import annotations

from typing import Protocol

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.objects.value import Object

NODES = "system:nodes"
_READ = ("get", "list", "watch")


class PodSource(Protocol):
    def pods_on(self, node: str) -> list[Object]:
        """The pods bound to a node."""
        ...

    def claim(self, namespace: str, name: str) -> Object | None: ...


class NodeAuthorizer:
    """Decides for users `system:node:NAME` in the group `system:nodes`; has no opinion on others."""

    def __init__(self, source: PodSource) -> None:
        self._source = source

    def allows(self, user: User, asked: Attributes) -> str | None:
        """The reason why it is allowed, or None."""
        if NODES not in user.groups or not user.name.startswith("system:node:") or not asked.is_resource:
            return None
        node = user.name.removeprefix("system:node:")
        return f'Node authorizer: allowed for node "{node}"' if self._allowed(node, asked) else None

    def _allowed(self, node: str, asked: Attributes) -> bool:
        group, resource, verb = asked.group, asked.resource, asked.verb
        if (group, resource) in _OPEN:
            return verb in _READ
        if (group, resource) == ("", "nodes"):
            return verb == "create" or (asked.name in ("", node) and verb in (*_READ, "update", "patch"))
        if (group, resource) == ("", "pods"):
            return verb in (*_READ, "create", "update", "patch", "delete")
        if (group, resource) == ("", "events") or (group, resource) == ("events.k8s.io", "events"):
            return verb in ("create", "update", "patch")
        if (group, resource) == ("coordination.k8s.io", "leases"):
            mine = asked.namespace == "kube-node-lease" and asked.name in ("", node)
            return mine and verb in ("create", "get", "update", "patch", "delete", "list", "watch")
        if (group, resource) == ("certificates.k8s.io", "certificatesigningrequests"):
            return verb in ("create", "get", "list", "watch")
        if group in ("authentication.k8s.io", "authorization.k8s.io"):
            return verb == "create" and resource in (
                "tokenreviews",
                "subjectaccessreviews",
                "localsubjectaccessreviews",
            )
        if (group, resource) == ("storage.k8s.io", "csinodes"):
            return asked.name in ("", node)
        return self._by_reference(node, asked)

    def _by_reference(self, node: str, asked: Attributes) -> bool:
        """Objects that a pod on the node names."""
        if asked.group or not asked.name:
            return False
        if asked.resource in ("secrets", "configmaps") and asked.verb in _READ:
            return any(
                asked.namespace == p["metadata"]["namespace"] and asked.name in _references(p["spec"], asked.resource)
                for p in self._source.pods_on(node)
            )
        if asked.resource == "serviceaccounts":
            allowed = asked.verb == "create" if asked.subresource == "token" else asked.verb == "get"
            return allowed and any(
                asked.namespace == p["metadata"]["namespace"]
                and asked.name == (p["spec"].get("serviceAccountName") or "default")
                for p in self._source.pods_on(node)
            )
        if asked.resource == "persistentvolumeclaims" and asked.verb == "get":
            return any(
                asked.namespace == p["metadata"]["namespace"]
                and any(
                    (v.get("persistentVolumeClaim") or {}).get("claimName") == asked.name
                    for v in p["spec"].get("volumes") or ()
                )
                for p in self._source.pods_on(node)
            )
        if asked.resource == "persistentvolumes" and asked.verb == "get":
            return self._volume_used(node, asked.name)
        return False

    def _volume_used(self, node: str, volume: str) -> bool:
        for pod in self._source.pods_on(node):
            for v in pod["spec"].get("volumes") or ():
                name = (v.get("persistentVolumeClaim") or {}).get("claimName")
                claim = self._source.claim(pod["metadata"]["namespace"], name) if name else None
                if claim and (claim.get("spec") or {}).get("volumeName") == volume:
                    return True
        return False


_OPEN = {
    ("", "services"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
    ("node.k8s.io", "runtimeclasses"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "volumeattachments"),
    ("networking.k8s.io", "networkpolicies"),
}


def _references(spec: Object, resource: str) -> set[str]:
    """Names of the secrets or config maps that a pod's spec mentions anywhere a kubelet needs them."""
    names: set[str] = set()
    secret = resource == "secrets"
    if secret:
        names.update(r.get("name", "") for r in spec.get("imagePullSecrets") or ())
    for part in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(part) or ():
            for entry in container.get("envFrom") or ():
                names.add((entry.get("secretRef" if secret else "configMapRef") or {}).get("name", ""))
            for entry in container.get("env") or ():
                source = entry.get("valueFrom") or {}
                names.add((source.get("secretKeyRef" if secret else "configMapKeyRef") or {}).get("name", ""))
    for volume in spec.get("volumes") or ():
        if secret:
            names.add((volume.get("secret") or {}).get("secretName", ""))
        else:
            names.add((volume.get("configMap") or {}).get("name", ""))
        for source in (volume.get("projected") or {}).get("sources") or ():
            names.add((source.get("secret" if secret else "configMap") or {}).get("name", ""))
        for driver in ("csi", "cephfs", "rbd", "iscsi", "flexVolume", "scaleIO", "storageos", "azureFile"):
            if secret and driver in volume:
                reference = volume[driver].get("secretRef") or volume[driver].get("nodePublishSecretRef") or {}
                names.add(reference.get("name", "") or volume[driver].get("secretName", ""))
    names.discard("")
    return names
