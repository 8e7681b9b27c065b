"""What a node's agent may do: only what concerns its own node and the pods on it.

Objects that the node has to do with are named by its pods; a mirror pod names none, since the node itself makes it. The
rest of the agent's rights is a table. What a node may then write is narrowed by admission (`node_restriction`). Source:
https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import User
from heeler.objects.value import Object
from heeler.workloads import local_path

NODES, PREFIX = "system:nodes", "system:node:"
MIRROR = "kubernetes.io/config.mirror"
_READ = ("get", "list", "watch")


class ObjectSource(Protocol):
    def pods_on(self, node: str) -> list[Object]:
        """The pods bound to a node."""
        ...

    def find(self, group: str, plural: str, namespace: str, name: str) -> Object | None: ...


class Opinion(NamedTuple):
    """`why` is the reason of a yes, or what a refusal says (perhaps nothing)."""

    allowed: bool
    why: str


NONE = Opinion(False, "")
YES = Opinion(True, "")


def node_of(user: User) -> str | None:
    """The node whose agent the user is ("" for one without a name), or None for everybody else."""
    if NODES not in user.groups or not user.name.startswith(PREFIX):
        return None
    return user.name.removeprefix(PREFIX)


def _no(why: str) -> Opinion:
    return Opinion(False, why)


class NodeAuthorizer:
    """Decides for users `system:node:NAME` in the group `system:nodes`; has no opinion on others."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    def opinion(self, user: User, asked: Attributes) -> Opinion:
        node = node_of(user)
        if node is None or not asked.is_resource:
            return NONE
        if not node:
            return _no(f'unknown node for user "{user.name}"')
        rule = _SUBDIVIDED.get((asked.group, asked.resource))
        found = rule(self, node, asked) if rule else _by_table(asked)
        return Opinion(True, f'Node authorizer: allowed for node "{node}"') if found.allowed else found

    def _node(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource == "status":
            return YES if asked.verb in ("update", "patch") else NONE
        if asked.subresource:
            return NONE
        if asked.verb in _READ and asked.name != node:
            what = f"'{asked.name}'" if asked.name else "all nodes"
            return _no(f"node '{node}' cannot read {what}, only its own Node object")
        return YES if asked.verb in (*_READ, "create", "update", "patch") else NONE

    def _pod(self, node: str, asked: Attributes) -> Opinion:
        match asked.subresource, asked.verb:
            case "", "get":
                return self._related(node, asked, lambda: self._on(node, asked))
            case "", "list" | "watch":
                if ("spec.nodeName", node) in asked.fields:
                    return YES
                return _no("can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return YES
        return NONE

    def _on(self, node: str, asked: Attributes) -> bool:
        pods = self._source.pods_on(node)
        return any(asked.namespace == p["metadata"]["namespace"] and asked.name == p["metadata"]["name"] for p in pods)

    def _read(self, node: str, asked: Attributes) -> Opinion:
        """Secrets and config maps."""
        if asked.verb not in _READ:
            return _no("can only read resources of this type")
        if asked.subresource:
            return _no("cannot read subresource")
        if not asked.namespace:
            return _no("can only read namespaced object of this type")
        return self._related(node, asked, lambda: self._mentioned(node, asked))

    def _mentioned(self, node: str, asked: Attributes) -> bool:
        for pod in self._pods(node, asked.namespace):
            if asked.name in references(pod["spec"], asked.resource):
                return True
        if asked.resource != "secrets":
            return False
        return any((asked.namespace, asked.name) in _volume_secrets(v) for v in self._volumes(node))

    def _claim(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource == "status":
            if asked.verb not in ("get", "update", "patch"):
                return _no("can only get/update/patch this type")
            return self._related(node, asked, lambda: self._claims(node, asked))
        return self._get(node, asked, lambda: self._claims(node, asked))

    def _claims(self, node: str, asked: Attributes) -> bool:
        return any(asked.name in claims_of(pod) for pod in self._pods(node, asked.namespace))

    def _volume(self, node: str, asked: Attributes) -> Opinion:
        """Those that the node's pods use; those that stand on it by the local provisioner it sees and lets go of."""
        if asked.verb in ("list", "watch") and not asked.subresource and (local_path.NODE_LABEL, node) in asked.labels:
            return YES
        if asked.verb in ("update", "patch") and not asked.subresource:
            return self._related(node, asked, lambda: self._stands_on(node, asked.name))
        return self._get(node, asked, lambda: any(v["metadata"]["name"] == asked.name for v in self._volumes(node)))

    def _stands_on(self, node: str, name: str) -> bool:
        found = self._source.find("", "persistentvolumes", "", name)
        return found is not None and local_path.to_be_removed(found, node)

    def _attachment(self, node: str, asked: Attributes) -> Opinion:
        return self._get(node, asked, lambda: self._names_node(node, asked))

    def _names_node(self, node: str, asked: Attributes) -> bool:
        found = self._source.find(asked.group, asked.resource, asked.namespace, asked.name)
        return found is not None and (found.get("spec") or {}).get("nodeName") == node

    def _resource_claim(self, node: str, asked: Attributes) -> Opinion:
        def related() -> bool:
            return any(asked.name in _resource_claims(pod) for pod in self._pods(node, asked.namespace))

        return self._get(node, asked, related)

    def _account(self, node: str, asked: Attributes) -> Opinion:
        if asked.verb == "get" and not asked.subresource:
            return self._related(node, asked, lambda: self._runs_as(node, asked))
        if (asked.verb, asked.subresource) != ("create", "token"):
            return _no("can only get individual service accounts and create tokens for them")
        return self._related(node, asked, lambda: self._runs_as(node, asked))

    def _runs_as(self, node: str, asked: Attributes) -> bool:
        pods = self._pods(node, asked.namespace)
        return any(asked.name == (p["spec"].get("serviceAccountName") or "default") for p in pods)

    def _lease(self, node: str, asked: Attributes) -> Opinion:
        if asked.verb not in ("get", "create", "update", "patch", "delete") or asked.subresource:
            return _no("can only get, create, update, patch, or delete a node lease")
        if asked.namespace != "kube-node-lease":
            return _no('can only access leases in the "kube-node-lease" system namespace')
        if asked.verb != "create" and asked.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return YES

    def _csi_node(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource:
            return _no("cannot authorize CSINode subresources")
        if asked.verb not in ("get", "create", "update", "patch", "delete"):
            return _no("can only get, create, update, patch, or delete a CSINode")
        if asked.verb != "create" and asked.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return YES

    def _slice(self, node: str, asked: Attributes) -> Opinion:
        if asked.subresource:
            return _no("cannot authorize ResourceSlice subresources")
        match asked.verb:
            case "create":  # of which node is for admission to see
                return YES
            case "get" | "update" | "patch" | "delete":
                return self._related(node, asked, lambda: self._names_node(node, asked))
            case "list" | "watch" | "deletecollection":
                if ("spec.nodeName", node) in asked.fields:
                    return YES
                return _no("can only list/watch/deletecollection resourceslices with spec.nodeName field selector")
        return NONE

    def _get(self, node: str, asked: Attributes, related: Callable[[], bool]) -> Opinion:
        if asked.verb != "get":
            return _no("can only get individual resources of this type")
        if asked.subresource:
            return _no("cannot get subresource")
        return self._related(node, asked, related)

    def _related(self, node: str, asked: Attributes, related: Callable[[], bool]) -> Opinion:
        if not asked.name:
            return _no("No Object name found")
        return YES if related() else _no(f"no relationship found between node '{node}' and this object")

    def _pods(self, node: str, namespace: str | None = None) -> Iterator[Object]:
        """The pods whose references count: a node could write what it likes into a mirror pod."""
        for pod in self._source.pods_on(node):
            metadata = pod["metadata"]
            if MIRROR not in (metadata.get("annotations") or {}) and namespace in (None, metadata["namespace"]):
                yield pod

    def _volumes(self, node: str) -> Iterator[Object]:
        """The persistent volumes that the node's pods use."""
        for pod in self._pods(node):
            namespace = pod["metadata"]["namespace"]
            for name in claims_of(pod):
                claim = self._source.find("", "persistentvolumeclaims", namespace, name) or {}
                volume = (claim.get("spec") or {}).get("volumeName")
                found = self._source.find("", "persistentvolumes", "", volume) if volume else None
                if found is not None:
                    yield found


#: Kinds where it depends on the object.
_SUBDIVIDED: dict[tuple[str, str], Callable[[NodeAuthorizer, str, Attributes], Opinion]] = {
    ("", "nodes"): NodeAuthorizer._node,
    ("", "pods"): NodeAuthorizer._pod,
    ("", "secrets"): NodeAuthorizer._read,
    ("", "configmaps"): NodeAuthorizer._read,
    ("", "persistentvolumeclaims"): NodeAuthorizer._claim,
    ("", "persistentvolumes"): NodeAuthorizer._volume,
    ("", "serviceaccounts"): NodeAuthorizer._account,
    ("coordination.k8s.io", "leases"): NodeAuthorizer._lease,
    ("resource.k8s.io", "resourceclaims"): NodeAuthorizer._resource_claim,
    ("resource.k8s.io", "resourceslices"): NodeAuthorizer._slice,
    ("storage.k8s.io", "csinodes"): NodeAuthorizer._csi_node,
    ("storage.k8s.io", "volumeattachments"): NodeAuthorizer._attachment,
}

#: The rest: (group, resource with its subresource) -> verbs, for all objects alike.
_TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "services"): _READ,
    ("", "endpoints"): ("get",),
    ("", "events"): ("create", "update", "patch"),
    ("events.k8s.io", "events"): ("create", "update", "patch"),
    ("authentication.k8s.io", "tokenreviews"): ("create",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
    ("authorization.k8s.io", "localsubjectaccessreviews"): ("create",),
    ("certificates.k8s.io", "certificatesigningrequests"): ("create", *_READ),
    ("certificates.k8s.io", "clustertrustbundles"): _READ,
    ("discovery.k8s.io", "endpointslices"): _READ,
    ("node.k8s.io", "runtimeclasses"): _READ,
    ("storage.k8s.io", "csidrivers"): _READ,
}


def _by_table(asked: Attributes) -> Opinion:
    return YES if asked.verb in _TABLE.get((asked.group, asked.full_resource), ()) else NONE


def claims_of(pod: Object) -> Iterator[str]:
    """Names of the persistent volume claims of a pod, generated ones too."""
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"].get("claimName", "")
        elif "ephemeral" in volume:
            yield f"{pod['metadata'].get('name', '')}-{volume['name']}"


def _resource_claims(pod: Object) -> Iterator[str]:
    """Names of the resource claims of a pod; generated ones stand in its status."""
    status = pod.get("status") or {}
    for claim in (*(pod["spec"].get("resourceClaims") or ()), *(status.get("resourceClaimStatuses") or ())):
        if claim.get("resourceClaimName"):
            yield claim["resourceClaimName"]
    extended = (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    if extended:
        yield extended


#: Fields of volume sources that name a secret.
_SECRET_FIELDS = (
    "secretRef",
    "controllerPublishSecretRef",
    "nodeStageSecretRef",
    "nodePublishSecretRef",
    "controllerExpandSecretRef",
    "nodeExpandSecretRef",
)
_DRIVERS = ("csi", "cephfs", "cinder", "rbd", "iscsi", "flexVolume", "scaleIO", "storageos", "azureFile")


def _volume_secrets(volume: Object) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the secrets of a persistent volume; the claim's namespace where none is said."""
    spec = volume.get("spec") or {}
    default = (spec.get("claimRef") or {}).get("namespace", "")
    for driver in _DRIVERS:
        source = spec.get(driver) or {}
        for field in _SECRET_FIELDS:
            reference = source.get(field) or {}
            if reference.get("name"):
                yield reference.get("namespace") or default, reference["name"]
        if source.get("secretName"):
            yield source.get("secretNamespace") or default, source["secretName"]


def references(spec: Object, resource: str) -> set[str]:
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
        for driver in _DRIVERS if secret else ():
            source = volume.get(driver) or {}
            names.update((source.get(field) or {}).get("name", "") for field in _SECRET_FIELDS)
            names.add(source.get("secretName", ""))
    names.discard("")
    return names
