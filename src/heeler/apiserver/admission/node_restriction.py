"""NodeRestriction: a node's agent writes its own node and the pods on it, and nothing of another's.

Runs among the plugins that change drafts, as upstream's does: a refusal comes before validation. Source:
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from heeler.apiserver.authorize.node import MIRROR, claims_of, node_of, references
from heeler.apiserver.authorize.rbac import Attributes
from heeler.objects.faults import quote
from heeler.objects.status import StatusError, forbidden, not_found
from heeler.objects.value import Object
from heeler.workloads import local_path

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.apiserver.request import Context

#: Labels of the reserved domains that an agent may set on its node.
OWN_LABELS = frozenset(
    (
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
_RESERVED = ("kubernetes.io", "k8s.io")
_OWN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED = "node-restriction.kubernetes.io"
#: What a node may ask certificates for by itself.
_NODE_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")


async def admit(write: Write) -> None:
    node = node_of(write.context.user)
    if node is None or write.operation == "CONNECT":
        return
    why = _refusal(write, node) if node else f"could not determine node from user {quote(write.context.user.name)}"
    if why:
        raise write.refused(why)


def _refusal(write: Write, node: str) -> str:
    match write.kind.group, write.kind.plural:
        case "", "pods":
            return _pod(write, node)
        case "", "nodes":
            return _node(write, node)
        case "", "persistentvolumeclaims":
            return _claim(write, node)
        case "", "persistentvolumes":
            let_go = write.old is not None and write.new is not None and local_path.released(write.old, write.new)
            return "" if let_go else f"node {quote(node)} may only take the finalizer {local_path.FINALIZER} away"
        case "coordination.k8s.io", "leases":
            if write.context.info.namespace != "kube-node-lease":
                return 'can only access leases in the "kube-node-lease" system namespace'
            same = write.name == node
            return "" if same else "can only access node lease with the same name as the requesting node"
        case "storage.k8s.io", "csinodes":
            same = write.name == node
            return "" if same else "can only access CSINode with the same name as the requesting node"
        case "resource.k8s.io", "resourceslices":
            own = all((o.get("spec") or {}).get("nodeName") == node for o in (write.old, write.new) if o is not None)
            return "" if own else "can only create ResourceSlice with the same NodeName as the requesting node"
        case "certificates.k8s.io", "certificatesigningrequests":
            return _request(write)
    return ""


def _pod(write: Write, node: str) -> str:
    match write.subresource:
        case "":
            return _whole_pod(write, node)
        case "status":
            return _pod_status(write, node)
        case "eviction":
            info = write.context.info
            own = _bound(write.context.server.lookup("", "pods", info.namespace, info.name)) == node
            return "" if own else f"node {node} can only evict pods with spec.nodeName set to itself"
    return f"unexpected pod subresource {quote(write.subresource)}, only 'status' and 'eviction' are allowed"


def _bound(pod: Object | None) -> str:
    return str(((pod or {}).get("spec") or {}).get("nodeName") or "")


def _whole_pod(write: Write, node: str) -> str:
    if write.operation == "DELETE":
        own = _bound(write.old) == node
        return "" if own else f"node {quote(node)} can only delete pods with spec.nodeName set to itself"
    if write.operation != "CREATE" or write.new is None:
        what = quote(write.operation)
        return f"unexpected operation {what}, node {quote(node)} can only create and delete mirror pods"
    pod = write.new
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        return f"pod does not have {quote(MIRROR)} annotation, node {quote(node)} can only create mirror pods"
    if _bound(pod) != node:
        return f"node {quote(node)} can only create pods with spec.nodeName set to itself"
    why = _owner(write, pod, node)
    if why:
        return why
    referenced = next(_referenced(pod), "")
    return f"node {quote(node)} can not create pods that reference {referenced}" if referenced else ""


def _owner(write: Write, pod: Object, node: str) -> str:
    """A mirror pod goes with its node, and nothing else may depend on it."""
    owners, who = pod["metadata"].get("ownerReferences") or [], f"node {quote(node)}"
    if len(owners) > 1:
        return f"{who} can only create pods with a single owner reference set to itself"
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return f"{who} can only create pods with an owner reference set to itself"
    if not owner.get("controller"):
        return f"{who} can only create pods with a controller owner reference set to itself"
    if owner.get("blockOwnerDeletion"):
        return f"{who} must not set blockOwnerDeletion on an owner reference"
    found = write.context.server.lookup("", "nodes", "", node)
    if found is None:
        raise not_found("nodes", "", node)
    uid = found["metadata"]["uid"]
    if owner.get("uid") != uid:
        return f"node {node} UID mismatch: expected {owner.get('uid', '')} got {uid}"
    return ""


def _referenced(pod: Object) -> Iterator[str]:
    """The kinds of API objects that a pod needs."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        yield "serviceaccounts"
    for resource in ("secrets", "configmaps"):
        if references(spec, resource):
            yield resource
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            for field, resource in _PROJECTED.items():
                if source.get(field) is not None:
                    yield f"{resource} (via projected volumes)"
        for field, resource in _VOLUMES.items():
            if volume.get(field) is not None:
                yield resource
    if spec.get("resourceClaims"):
        yield "resourceclaims"


_PROJECTED = {
    "serviceAccountToken": "serviceaccounts",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
    # ones without a name too, which name nothing a kubelet could read but are references all the same
    "secret": "secrets",
    "configMap": "configmaps",
}
_VOLUMES = {
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims",
    "secret": "secrets",
    "configMap": "configmaps",
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
}


def _pod_status(write: Write, node: str) -> str:
    if write.operation != "UPDATE" or write.old is None or write.new is None:
        return f"unexpected operation {quote(write.operation)}"
    if _bound(write.old) != node:
        return f"node {quote(node)} can only update pod status for pods with spec.nodeName set to itself"
    if (write.old["metadata"].get("labels") or {}) != (write.new["metadata"].get("labels") or {}):
        return f"node {quote(node)} cannot update labels through pod status"
    old, new = write.old.get("status") or {}, write.new.get("status") or {}
    if (old.get("resourceClaimStatuses") or []) != (new.get("resourceClaimStatuses") or []):
        return f"node {quote(node)} cannot update resource claim statuses"
    if (old.get("extendedResourceClaimStatus") or {}) != (new.get("extendedResourceClaimStatus") or {}):
        return f"node {quote(node)} cannot update extended resource claim status"
    return ""


def _node(write: Write, node: str) -> str:
    name, new = write.name, write.new or {}
    labels = (new.get("metadata") or {}).get("labels") or {}
    if write.operation == "CREATE":
        if (new.get("spec") or {}).get("configSource") is not None:
            return f"node {quote(node)} is not allowed to create pods with a non-nil configSource"
        refused = forbidden_labels(labels, {})
        if refused:
            return f"is not allowed to set the following labels: {', '.join(refused)}"
    if name != node:
        return f"node {quote(node)} is not allowed to modify node {quote(name)}"
    return _node_update(write.old, new, node) if write.operation == "UPDATE" and write.old is not None else ""


def _node_update(old: Object, new: Object, node: str) -> str:
    """What a node may not change of itself: it would draw pods, or escape from what an administrator said."""
    before, after, who = old.get("spec") or {}, new.get("spec") or {}, f"node {quote(node)}"
    source = after.get("configSource")
    if source is not None and source != before.get("configSource"):
        return f"{who} is not allowed to update configSource to a new non-nil configSource"
    if (before.get("taints") or []) != (after.get("taints") or []):
        return f"{who} is not allowed to modify taints"
    if (old["metadata"].get("ownerReferences") or []) != (new["metadata"].get("ownerReferences") or []):
        return f"{who} is not allowed to modify ownerReferences"
    refused = forbidden_labels(new["metadata"].get("labels") or {}, old["metadata"].get("labels") or {})
    return f"is not allowed to modify labels: {', '.join(refused)}" if refused else ""


def forbidden_labels(labels: Object, old: Object) -> list[str]:
    """Labels that are added, changed or removed and that an agent may not touch."""
    changed = (key for key in {*labels, *old} if labels.get(key) != old.get(key) or (key in labels) != (key in old))
    return sorted(key for key in changed if _may_not_set(key))


def _may_not_set(label: str) -> bool:
    domain = label.rpartition("/")[0] if "/" in label else ""
    if _within(domain, (_RESTRICTED,)):
        return True
    return _within(domain, _RESERVED) and label not in OWN_LABELS and not _within(domain, _OWN_DOMAINS)


def _within(domain: str, domains: tuple[str, ...]) -> bool:
    return any(domain == one or domain.endswith(f".{one}") for one in domains)


def _claim(write: Write, node: str) -> str:
    if write.subresource != "status":
        return "may only update PVC status"
    if write.operation != "UPDATE" or write.old is None or write.new is None:
        return f"unexpected operation {quote(write.operation)}"
    if _without_size(write.old) != _without_size(write.new):
        return f"node {quote(node)} is not allowed to update fields other than status.quantity and status.conditions"
    return ""


def _without_size(claim: Object) -> Object:
    """A claim without what a node says of a volume that grew, and without the server's own bookkeeping."""
    own = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")
    status = {k: v for k, v in (claim.get("status") or {}).items() if k not in own}
    metadata = {k: v for k, v in claim["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**claim, "metadata": metadata, "status": status}


def _request(write: Write) -> str:
    """A certificate that a node asks for is its own."""
    spec = (write.new or {}).get("spec") or {}
    if write.operation != "CREATE" or spec.get("signerName") not in _NODE_SIGNERS:
        return ""
    from heeler.apiserver.admission.certificate_requests import subject

    try:
        name = subject(spec).common_name
    except ValueError as error:
        return f"unable to parse csr: {error}"
    user = write.context.user.name
    return "" if name == user else f"can only create a node CSR with CN={user}"


async def check_token(context: Context, spec: Object) -> None:
    """A node asks for tokens of its pods' service accounts only, each bound to the pod. Raises 403, 404."""
    node = node_of(context.user)
    if node is None:
        return
    info = context.info

    def refused(why: str) -> StatusError:
        return forbidden("serviceaccounts", "", info.name, why)

    reference = spec.get("boundObjectRef") or {}
    named = reference.get("apiVersion") == "v1" and reference.get("kind") == "Pod" and reference.get("name")
    if not named:
        raise refused("node requested token not bound to a pod")
    uid = reference.get("uid")
    if not uid:
        raise refused("node requested token with a pod binding without a uid")
    pod = await context.server.lookup_fresh("", "pods", info.namespace, reference["name"])
    if pod is None:
        raise not_found("pods", "", reference["name"])
    if pod["metadata"]["uid"] != uid:
        raise refused(
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
    if _bound(pod) != node:
        raise refused("node requested token bound to a pod scheduled on a different node")
    await _check_audience(context, spec, pod)


async def _check_audience(context: Context, spec: Object, pod: Object) -> None:
    """The audience must be one that the pod's volumes ask for, unless the node was given the right to it."""
    audiences = spec.get("audiences") or []
    if len(audiences) > 1:
        raise forbidden("serviceaccounts", "", context.info.name, "node may only request 0 or 1 audiences")
    audience = audiences[0] if audiences else ""
    if audience in _audiences(context, pod):
        return
    info = context.info
    asked = Attributes("request-serviceaccounts-token-audience", "", "v1", audience, "", info.namespace, info.name)
    if await context.server.authorizer.allows(context.user, asked) is None:
        why = f"audience {quote(audience)} not found in pod spec volume"
        raise forbidden("serviceaccounts", "", info.name, why)


def _audiences(context: Context, pod: Object) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("serviceAccountToken") is not None:
                yield source["serviceAccountToken"].get("audience") or ""
    for driver in _drivers(context, pod):
        found = context.server.lookup("storage.k8s.io", "csidrivers", "", driver) or {}
        for request in (found.get("spec") or {}).get("tokenRequests") or ():
            yield request.get("audience") or ""


def _drivers(context: Context, pod: Object) -> Iterator[str]:
    """The drivers of the pod's volumes: its own, and those of its claims."""
    for volume in pod["spec"].get("volumes") or ():
        if "csi" in volume:
            yield volume["csi"].get("driver", "")
    server, namespace = context.server, pod["metadata"]["namespace"]
    for name in claims_of(pod):
        claim = server.lookup("", "persistentvolumeclaims", namespace, name) or {}
        volume = server.lookup("", "persistentvolumes", "", (claim.get("spec") or {}).get("volumeName") or "") or {}
        driver = ((volume.get("spec") or {}).get("csi") or {}).get("driver")
        if driver:
            yield driver
