"""Headings of table columns that no field description gives: the client package has none for these fields.

They are what a server sends to the letter. Keys are as in `Column.about`.
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "apps.v1.DaemonSetSpec.selector": (
        "A label query over pods that are managed by the daemon set. Must match in order to be "
        "controlled. It must match the pod template's labels. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
    ),
    "apps.v1.DeploymentSpec.selector": (
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones "
        "affected by this deployment. It must match the pod template's labels."
    ),
    "apps.v1.ReplicaSetSpec.selector": (
        "Selector is a label query over pods that should match the replica count. Label keys and values "
        "that must match in order to be controlled by this replica set. It must match the pod template's"
        " labels. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
    ),
    "autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef": (
        "scaleTargetRef points to the target resource to scale, and is used to the pods for which "
        "metrics should be collected, as well as to actually change the replica count."
    ),
    "batch.v1.JobSpec.selector": (
        "A label query over pods that should match the pod count. Normally, the system sets this field "
        "for you. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
    ),
    "certificates.v1.CertificateSigningRequest#signer": (
        "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`."
        " If empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n    "
        '"kubernetes.io/kube-apiserver-client-kubelet".\n 2. If it\'s a kubelet serving certificate, it is'
        ' assigned\n    "kubernetes.io/kubelet-serving".\n 3. Otherwise, it is assigned '
        '"kubernetes.io/legacy-unknown".\nDistribution of trust for signers happens out of band. You can '
        "select on this field using `spec.signerName`."
    ),
    "core.v1.Event.involvedObject": ("The object that this event is about."),
    "core.v1.Event.source": ("The component reporting this event. Should be a short machine understandable string."),
    "flowcontrol.v1.FlowSchemaSpec.distinguisherMethod": (
        "`distinguisherMethod` defines how to compute the flow distinguisher for requests that match "
        "this schema. `nil` specifies that the distinguisher is disabled and thus will always be the "
        "empty string."
    ),
    "networking.v1.NetworkPolicySpec.podSelector": (
        "podSelector selects the pods to which this NetworkPolicy object applies. The array of rules is "
        "applied to any pods selected by this field. An empty selector matches all pods in the policy's "
        "namespace. Multiple network policies can select the same set of pods. In this case, the ingress"
        " rules for each are combined additively. This field is optional. If it is not specified, it "
        "defaults to an empty selector."
    ),
    "rbac.v1.RoleBinding.roleRef": (
        "roleRef can reference a Role in the current namespace or a ClusterRole in the global namespace."
        " If the RoleRef cannot be resolved, the Authorizer must return an error."
    ),
    "core.v1.PersistentVolumeSpec.claimRef": (
        "claimRef is part of a bi-directional binding between PersistentVolume and "
        "PersistentVolumeClaim. Expected to be non-nil when bound. claim.VolumeName is the authoritative"
        " bind between PV and PVC. More info: "
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding"
    ),
}
