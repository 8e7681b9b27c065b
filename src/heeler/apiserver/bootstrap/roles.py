"""The default roles and bindings of a cluster: what was recorded, and by hand what the recordings lack.

A rule is one line: verbs | groups | resources, each separated by blanks ("core" is the core group; a resource with a name
is written resource=name); a URL rule has the URLs after "urls". Source:
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson

from heeler.apiserver.authorize.rbac import GROUP
from heeler.objects.value import Object

READ, WATCH = "get list watch", "list watch"
EVENTS = "create patch update | core events.k8s.io | events"

CLUSTER_ROLES: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("* | * | *", "* | urls | *"),
    "system:discovery": (
        "get | urls | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
    ),
    "system:service-account-issuer-discovery": (
        "get | urls | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
    ),
    "system:cluster-trust-bundle-discovery": (f"{READ} | certificates.k8s.io | clustertrustbundles",),
    "system:aggregate-to-admin": (
        "create | authorization.k8s.io | localsubjectaccessreviews",
        "create delete deletecollection get list patch update watch | rbac.authorization.k8s.io | rolebindings roles",
    ),
    "system:aggregate-to-view": (
        f"{READ} | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
        f"{READ} | core | bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
        " resourcequotas resourcequotas/status",
        f"{READ} | core | namespaces",
        f"{READ} | core events.k8s.io | events",
        f"{READ} | discovery.k8s.io | endpointslices",
        f"{READ} | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
        "deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale "
        "statefulsets/status",
        f"{READ} | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status",
        f"{READ} | batch | cronjobs cronjobs/status jobs jobs/status",
        f"{READ} | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status "
        "ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
        "replicationcontrollers/scale",
        f"{READ} | policy | poddisruptionbudgets poddisruptionbudgets/status",
        f"{READ} | networking.k8s.io | ingresses ingresses/status networkpolicies",
        f"{READ} | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates",
    ),
    "system:kube-dns": (f"{WATCH} | core | endpoints services",),
    "system:kube-aggregator": (f"{READ} | core | endpoints services",),
    "system:heapster": (
        f"{READ} | core | events namespaces nodes pods",
        f"{READ} | extensions | deployments",
    ),
    "system:persistent-volume-provisioner": (
        "create delete get list watch | core | persistentvolumes",
        "get list update watch | core | persistentvolumeclaims",
        f"{READ} | storage.k8s.io | storageclasses",
        "watch | core | events",
        EVENTS,
    ),
    "system:certificates.k8s.io:legacy-unknown-approver": (
        "approve | certificates.k8s.io | signers=kubernetes.io/legacy-unknown",
    ),
    "system:certificates.k8s.io:kubelet-serving-approver": (
        "approve | certificates.k8s.io | signers=kubernetes.io/kubelet-serving",
    ),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": (
        "approve | certificates.k8s.io | signers=kubernetes.io/kube-apiserver-client-kubelet",
    ),
    "system:node": (
        "create | authentication.k8s.io | tokenreviews",
        "create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews",
        f"{READ} | core | services",
        "create get list watch | core | nodes",
        "patch update | core | nodes/status",
        "patch update | core | nodes",
        EVENTS,
        f"{READ} | core | pods",
        "create delete | core | pods",
        "patch update | core | pods/status",
        "create | core | pods/eviction",
        f"{READ} | core | configmaps secrets",
        "get | core | persistentvolumeclaims persistentvolumes",
        "get | core | endpoints",
        "create get list watch | certificates.k8s.io | certificatesigningrequests",
        "create delete get patch update | coordination.k8s.io | leases",
        "get | storage.k8s.io | volumeattachments",
        "create | core | serviceaccounts/token",
        "get patch update | core | persistentvolumeclaims/status",
        f"{READ} | storage.k8s.io | csidrivers",
        "create delete get patch update | storage.k8s.io | csinodes",
        f"{READ} | node.k8s.io | runtimeclasses",
        "get | resource.k8s.io | resourceclaims",
        "deletecollection | resource.k8s.io | resourceslices",
        f"{READ} | certificates.k8s.io | clustertrustbundles",
        "get | core | serviceaccounts",
        "create get list watch | certificates.k8s.io | podcertificaterequests",
    ),
    "system:controller:certificate-controller": (
        "delete get list watch | certificates.k8s.io | certificatesigningrequests",
        "update | certificates.k8s.io | certificatesigningrequests/approval certificatesigningrequests/status",
        "approve | certificates.k8s.io | signers=kubernetes.io/kube-apiserver-client-kubelet",
        "sign | certificates.k8s.io | signers=kubernetes.io/kube-apiserver-client "
        "signers=kubernetes.io/kube-apiserver-client-kubelet signers=kubernetes.io/kubelet-serving "
        "signers=kubernetes.io/legacy-unknown",
        "create | authorization.k8s.io | subjectaccessreviews",
        EVENTS,
    ),
    "system:controller:daemon-set-controller": (
        f"{READ} | apps extensions | daemonsets",
        "update | apps extensions | daemonsets/status",
        "update | apps extensions | daemonsets/finalizers",
        f"{WATCH} | core | nodes",
        "create delete list patch watch | core | pods",
        "create | core | pods/binding",
        "create delete get list patch update watch | apps | controllerrevisions",
        EVENTS,
    ),
    "system:controller:deployment-controller": (
        "get list update watch | apps extensions | deployments",
        "update | apps extensions | deployments/status",
        "update | apps extensions | deployments/finalizers",
        "create delete get list patch update watch | apps extensions | replicasets",
        "get list update watch | core | pods",
        EVENTS,
    ),
    "system:controller:device-taint-eviction-controller": (
        "delete get list watch | core | pods",
        "patch update | core | pods/status",
        f"{READ} | resource.k8s.io | resourceclaims",
        f"{READ} | resource.k8s.io | resourceslices",
        f"{READ} | resource.k8s.io | deviceclasses",
        EVENTS,
        "patch update | resource.k8s.io | devicetaintrules/status",
        f"{READ} | resource.k8s.io | devicetaintrules",
    ),
    "system:controller:endpoint-controller": (
        f"{READ} | core | pods services",
        "create delete get list update watch | core | endpoints",
        "create | core | endpoints/restricted",
        EVENTS,
    ),
    "system:controller:endpointslicemirroring-controller": (
        f"{READ} | core | endpoints services",
        "update | core | services/finalizers",
        "update | core | endpoints/finalizers",
        "create delete get list update watch | discovery.k8s.io | endpointslices",
        EVENTS,
    ),
    "system:controller:ephemeral-volume-controller": (
        "get list watch | core | pods",
        "update | core | pods/finalizers",
        "create get list watch | core | persistentvolumeclaims",
        EVENTS,
    ),
    "system:controller:generic-garbage-collector": ("delete get list patch update watch | * | *", EVENTS),
    "system:controller:job-controller": (
        "get list patch update watch | batch | jobs",
        "update | batch | jobs/status",
        "update | batch | jobs/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "system:controller:kube-apiserver-serving-clustertrustbundle-publisher": (
        "attest | certificates.k8s.io | signers=kubernetes.io/kube-apiserver-serving",
        "create delete list update watch | certificates.k8s.io | clustertrustbundles",
        EVENTS,
    ),
    "system:controller:node-controller": (
        "delete get list patch update watch | core | nodes",
        "patch update | core | nodes/status",
        "patch update | core | pods/status",
        "delete get list watch | core | pods",
        f"{READ} | coordination.k8s.io | leases",
        EVENTS,
    ),
    "system:controller:podcertificaterequestcleaner": (
        "delete get list watch | certificates.k8s.io | podcertificaterequests",
    ),
    "system:controller:replicaset-controller": (
        "get list update watch | apps extensions | replicasets",
        "update | apps extensions | replicasets/status",
        "update | apps extensions | replicasets/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "system:controller:replication-controller": (
        "get list update watch | core | replicationcontrollers",
        "update | core | replicationcontrollers/status",
        "update | core | replicationcontrollers/finalizers",
        "create delete list patch watch | core | pods",
        EVENTS,
    ),
    "system:controller:root-ca-cert-publisher": (
        "create update | core | configmaps",
        EVENTS,
    ),
    "system:controller:selinux-warning-controller": (
        EVENTS,
        f"{READ} | core | persistentvolumes",
        f"{READ} | core | persistentvolumeclaims",
        f"{READ} | core | pods",
        f"{READ} | storage.k8s.io | csidrivers",
    ),
    "system:controller:service-controller": (
        f"{READ} | core | services",
        "patch update | core | services/status",
        f"{WATCH} | core | nodes",
        EVENTS,
    ),
    "system:controller:storage-version-migrator-controller": (
        "list patch | * | *",
        "get | apiextensions.k8s.io | customresourcedefinitions",
        "patch | apiextensions.k8s.io | customresourcedefinitions/status",
        "update | storagemigration.k8s.io | storageversionmigrations/status",
    ),
    "system:controller:ttl-after-finished-controller": ("delete get list watch | batch | jobs", EVENTS),
    "system:controller:ttl-controller": ("list patch update watch | core | nodes", EVENTS),
    "system:controller:volumeattributesclass-protection-controller": (
        f"{READ} | core | persistentvolumeclaims",
        f"{READ} | core | persistentvolumes",
        "get list update watch | storage.k8s.io | volumeattributesclasses",
        EVENTS,
    ),
}

#: Cluster roles that are put together of others by their labels.
AGGREGATED: dict[str, tuple[str, dict[str, str]]] = {
    "view": (
        "rbac.authorization.k8s.io/aggregate-to-view",
        {"rbac.authorization.k8s.io/aggregate-to-edit": "true"},
    ),
}
LABELS: dict[str, dict[str, str]] = {
    "system:aggregate-to-admin": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"},
    "system:aggregate-to-view": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
}

#: At the server's start rules and subjects that are missing are put back.
AUTOUPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
#: Bindings to a role of the same name: (subject kind, name).
BINDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": (("Group", "system:masters"),),
    "system:discovery": (("Group", "system:authenticated"),),
    "system:basic-user": (("Group", "system:authenticated"),),
    "system:cluster-trust-bundle-discovery": (("Group", "system:serviceaccounts"),),
    "system:public-info-viewer": (("Group", "system:authenticated"), ("Group", "system:unauthenticated")),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:kube-dns": (("ServiceAccount", "kube-system/kube-dns"),),
    "system:kube-scheduler": (("User", "system:kube-scheduler"),),
    "system:volume-scheduler": (("User", "system:kube-scheduler"),),
}
ROLES: dict[str, tuple[str, ...]] = {
    "kube-public/system:controller:bootstrap-signer": (
        f"{READ} | core | configmaps",
        "update | core | configmaps=cluster-info",
        EVENTS,
    ),
    "kube-system/system:controller:bootstrap-signer": (f"{READ} | core | secrets",),
}
ROLE_BINDINGS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "kube-system/system::extension-apiserver-authentication-reader": (
        "extension-apiserver-authentication-reader",
        (("User", "system:kube-controller-manager"), ("User", "system:kube-scheduler")),
    ),
    "kube-system/system:controller:bootstrap-signer": (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "kube-system/bootstrap-signer"),),
    ),
    "kube-public/system:controller:bootstrap-signer": (
        "system:controller:bootstrap-signer",
        (("ServiceAccount", "kube-system/bootstrap-signer"),),
    ),
}


def rule(line: str) -> Object:
    """`verbs | groups | resources` as a policy rule."""
    verbs, groups, things = (part.split() for part in line.split("|"))
    if groups == ["urls"]:
        return {"nonResourceURLs": things, "verbs": verbs}
    out: Object = {
        "apiGroups": ["" if g == "core" else g for g in groups],
        "resources": list(dict.fromkeys(t.partition("=")[0] for t in things)),
        "verbs": verbs,
    }
    names = [t.partition("=")[2] for t in things if "=" in t]
    if names:
        out["resourceNames"] = names
    return out


def _subject(kind: str, name: str) -> Object:
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def _object(kind: str, key: str, content: Object) -> Object:
    namespace, _, name = key.rpartition("/") if kind in ("Role", "RoleBinding") else ("", "", key)
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults", **content.pop("labels", {})}
    metadata["annotations"] = dict(AUTOUPDATE)
    return {"kind": kind, "apiVersion": f"{GROUP}/v1", "metadata": metadata, **content}


def _reference(kind: str, name: str) -> Object:
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def default_objects() -> list[Object]:
    """All default roles and bindings."""
    recorded: Any = orjson.loads(files("heeler.apiserver.bootstrap").joinpath("recorded.json").read_bytes())
    out = [_object(kind, key, dict(content)) for kind, entries in recorded.items() for key, content in entries.items()]
    for name, lines in CLUSTER_ROLES.items():
        content: Object = {"rules": [rule(line) for line in lines]}
        if name in LABELS:
            content["labels"] = LABELS[name]
        out.append(_object("ClusterRole", name, content))
    for name, (label, labels) in AGGREGATED.items():
        selectors = [{"matchLabels": {label: "true"}}]
        content = {"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": [], "labels": labels}
        out.append(_object("ClusterRole", name, content))
    for name, subjects in BINDINGS.items():
        out.append(_binding("ClusterRoleBinding", name, _reference("ClusterRole", name), subjects))
    for name in CLUSTER_ROLES:
        if name.startswith("system:controller:"):
            account = (("ServiceAccount", "kube-system/" + name.removeprefix("system:controller:")),)
            out.append(_binding("ClusterRoleBinding", name, _reference("ClusterRole", name), account))
    for key, lines in ROLES.items():
        out.append(_object("Role", key, {"rules": [rule(line) for line in lines]}))
    for key, (role, subjects) in ROLE_BINDINGS.items():
        out.append(_binding("RoleBinding", key, _reference("Role", role), subjects))
    return out


def _binding(kind: str, key: str, reference: Object, subjects: tuple[tuple[str, str], ...]) -> Object:
    return _object(kind, key, {"roleRef": reference, "subjects": [_subject(*s) for s in subjects]})
