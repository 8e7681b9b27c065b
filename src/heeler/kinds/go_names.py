"""Names that error messages of strict decoding show and that OpenAPI lacks: named texts and maps, embedded structs.

Hand-kept facts. Keys are `<short type>.<field>` or `*.<field>` as in `presence.py`; names are without their package,
which is the version of the type that has the field.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The named text (or its element's, for lists and maps) of a field.
TEXTS: dict[str, str] = {
    "core.v1.PodSpec.restartPolicy": "RestartPolicy",
    "core.v1.Container.restartPolicy": "ContainerRestartPolicy",
    "core.v1.EphemeralContainer.restartPolicy": "ContainerRestartPolicy",
    "core.v1.EmptyDirVolumeSource.medium": "StorageMedium",
    "core.v1.HostPathVolumeSource.type": "HostPathType",
    "core.v1.HTTPGetAction.scheme": "URIScheme",
    "core.v1.ServiceSpec.type": "ServiceType",
    "core.v1.ServiceSpec.sessionAffinity": "ServiceAffinity",
    "core.v1.ServiceSpec.externalTrafficPolicy": "ServiceExternalTrafficPolicy",
    "core.v1.ServiceSpec.internalTrafficPolicy": "ServiceInternalTrafficPolicy",
    "core.v1.ServiceSpec.ipFamilies": "IPFamily",
    "core.v1.ServiceSpec.ipFamilyPolicy": "IPFamilyPolicy",
    "core.v1.LoadBalancerIngress.ipMode": "LoadBalancerIPMode",
    "core.v1.Secret.type": "SecretType",
    "core.v1.Taint.effect": "TaintEffect",
    "core.v1.Toleration.effect": "TaintEffect",
    "core.v1.Toleration.operator": "TolerationOperator",
    "core.v1.NodeSelectorRequirement.operator": "NodeSelectorOperator",
    "core.v1.ScopedResourceSelectorRequirement.operator": "ScopeSelectorOperator",
    "core.v1.ScopedResourceSelectorRequirement.scopeName": "ResourceQuotaScope",
    "core.v1.ResourceQuotaSpec.scopes": "ResourceQuotaScope",
    "core.v1.LimitRangeItem.type": "LimitType",
    "core.v1.NamespaceSpec.finalizers": "FinalizerName",
    "core.v1.NamespaceStatus.phase": "NamespacePhase",
    "core.v1.PodStatus.phase": "PodPhase",
    "core.v1.PodStatus.qosClass": "PodQOSClass",
    "core.v1.PersistentVolumeStatus.phase": "PersistentVolumePhase",
    "core.v1.PersistentVolumeClaimStatus.phase": "PersistentVolumeClaimPhase",
    "core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy": "PersistentVolumeReclaimPolicy",
    "core.v1.PersistentVolumeSpec.accessModes": "PersistentVolumeAccessMode",
    "core.v1.PersistentVolumeClaimSpec.accessModes": "PersistentVolumeAccessMode",
    "core.v1.PersistentVolumeClaimStatus.accessModes": "PersistentVolumeAccessMode",
    "core.v1.Capabilities.add": "Capability",
    "core.v1.Capabilities.drop": "Capability",
    "core.v1.SeccompProfile.type": "SeccompProfileType",
    "core.v1.AppArmorProfile.type": "AppArmorProfileType",
    "core.v1.SecurityContext.procMount": "ProcMountType",
    "core.v1.PodSecurityContext.fsGroupChangePolicy": "PodFSGroupChangePolicy",
    "core.v1.PodSecurityContext.supplementalGroupsPolicy": "SupplementalGroupsPolicy",
    "core.v1.PodSecurityContext.seLinuxChangePolicy": "PodSELinuxChangePolicy",
    "core.v1.TopologySpreadConstraint.whenUnsatisfiable": "UnsatisfiableConstraintAction",
    "core.v1.TopologySpreadConstraint.nodeAffinityPolicy": "NodeInclusionPolicy",
    "core.v1.TopologySpreadConstraint.nodeTaintsPolicy": "NodeInclusionPolicy",
    "core.v1.ContainerResizePolicy.resourceName": "ResourceName",
    "core.v1.ContainerResizePolicy.restartPolicy": "ResourceResizeRestartPolicy",
    "core.v1.PodReadinessGate.conditionType": "PodConditionType",
    "core.v1.PodCondition.type": "PodConditionType",
    "core.v1.NodeCondition.type": "NodeConditionType",
    "core.v1.NodeAddress.type": "NodeAddressType",
    "core.v1.PodOS.name": "OSName",
    "core.v1.VolumeMount.recursiveReadOnly": "RecursiveReadOnlyMode",
    "core.v1.VolumeMount.mountPropagation": "MountPropagationMode",
    "core.v1.ObjectReference.uid": "types.UID",
    "core.v1.EndpointPort.protocol": "Protocol",
    "core.v1.AzureDiskVolumeSource.cachingMode": "AzureDataDiskCachingMode",
    "core.v1.AzureDiskVolumeSource.kind": "AzureDataDiskKind",
    "core.v1.Lifecycle.stopSignal": "Signal",
    "core.v1.ContainerRestartRule.action": "ContainerRestartRuleAction",
    "core.v1.NamespaceCondition.type": "NamespaceConditionType",
    "core.v1.PersistentVolumeClaimCondition.type": "PersistentVolumeClaimConditionType",
    "core.v1.ReplicationControllerCondition.type": "ReplicationControllerConditionType",
    "core.v1.ContainerRestartRuleOnExitCodes.operator": "ContainerRestartRuleOnExitCodesOperator",
    "core.v1.NodeStatus.phase": "NodePhase",
    "apps.v1.DaemonSetCondition.type": "DaemonSetConditionType",
    "apps.v1.DeploymentCondition.type": "DeploymentConditionType",
    "apps.v1.ReplicaSetCondition.type": "ReplicaSetConditionType",
    "apps.v1.StatefulSetCondition.type": "StatefulSetConditionType",
    "autoscaling.v2.HorizontalPodAutoscalerCondition.type": "HorizontalPodAutoscalerConditionType",
    "autoscaling.v2.HorizontalPodAutoscalerCondition.status": "v1.ConditionStatus",
    "autoscaling.v2.MetricStatus.type": "MetricSourceType",
    "batch.v1.JobCondition.type": "JobConditionType",
    "batch.v1.PodFailurePolicyOnPodConditionsPattern.type": "PodConditionType",
    "batch.v1.PodFailurePolicyOnPodConditionsPattern.status": "ConditionStatus",
    "certificates.v1.CertificateSigningRequestCondition.type": "RequestConditionType",
    "flowcontrol.v1.FlowSchemaCondition.type": "FlowSchemaConditionType",
    "flowcontrol.v1.PriorityLevelConfigurationCondition.type": "PriorityLevelConfigurationConditionType",
    "resource.v1.DeviceSubRequest.allocationMode": "DeviceAllocationMode",
    "resource.v1.ExactDeviceRequest.allocationMode": "DeviceAllocationMode",
    "resource.v1.DeviceTaint.effect": "DeviceTaintEffect",
    "resource.v1.DeviceToleration.effect": "DeviceTaintEffect",
    "resource.v1.DeviceToleration.operator": "DeviceTolerationOperator",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec.scope": "ResourceScope",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion.strategy": "ConversionStrategyType",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition.type": (
        "CustomResourceDefinitionConditionType"
    ),
    "kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition.type": "APIServiceConditionType",
    "networking.v1.IngressClassParametersReference.scope": "",
    "authentication.v1.UserInfo.uid": "",
    "authorization.v1.SubjectAccessReviewSpec.uid": "",
    "certificates.v1.CertificateSigningRequestSpec.uid": "",
    "*.podUID": "types.UID",
    "*.nodeUID": "types.UID",
    "*.serviceAccountUID": "types.UID",
    "*.dnsPolicy": "DNSPolicy",
    "*.imagePullPolicy": "PullPolicy",
    "*.pullPolicy": "PullPolicy",
    "*.protocol": "Protocol",
    "*.terminationMessagePolicy": "TerminationMessagePolicy",
    "*.volumeMode": "PersistentVolumeMode",
    "*.preemptionPolicy": "PreemptionPolicy",
    "*.podManagementPolicy": "PodManagementPolicyType",
    "*.completionMode": "CompletionMode",
    "*.podReplacementPolicy": "PodReplacementPolicy",
    "*.concurrencyPolicy": "ConcurrencyPolicy",
    "*.failurePolicy": "FailurePolicyType",
    "*.matchPolicy": "MatchPolicyType",
    "*.reinvocationPolicy": "ReinvocationPolicyType",
    "*.sideEffects": "SideEffectClass",
    "*.operations": "OperationType",
    "*.scope": "ScopeType",
    "*.pathType": "PathType",
    "*.policyTypes": "PolicyType",
    "*.validationActions": "ValidationAction",
    "*.volumeLifecycleModes": "VolumeLifecycleMode",
    "*.fsGroupPolicy": "FSGroupPolicy",
    "*.reclaimPolicy": "PersistentVolumeReclaimPolicy",
    "*.volumeBindingMode": "VolumeBindingMode",
    "*.addressType": "AddressType",
    "*.usages": "KeyUsage",
    "*.unhealthyPodEvictionPolicy": "UnhealthyPodEvictionPolicyType",
    "*.selectPolicy": "ScalingPolicySelect",
    "*.parameterNotFoundAction": "ParameterNotFoundActionType",
    "*.patchType": "PatchType",
    "*.uid": "types.UID",
    "*.strategy": "CoordinatedLeaseStrategy",
    "apps.v1.DeploymentStrategy.type": "DeploymentStrategyType",
    "apps.v1.DaemonSetUpdateStrategy.type": "DaemonSetUpdateStrategyType",
    "apps.v1.StatefulSetUpdateStrategy.type": "StatefulSetUpdateStrategyType",
    "autoscaling.v2.MetricSpec.type": "MetricSourceType",
    "autoscaling.v2.MetricTarget.type": "MetricTargetType",
    "autoscaling.v2.HPAScalingPolicy.type": "HPAScalingPolicyType",
    "batch.v1.PodFailurePolicyRule.action": "PodFailurePolicyAction",
    "batch.v1.PodFailurePolicyOnExitCodesRequirement.operator": "PodFailurePolicyOnExitCodesOperator",
    "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement.operator": "LabelSelectorOperator",
    "apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry.operation": "ManagedFieldsOperationType",
    "flowcontrol.v1.Subject.kind": "SubjectKind",
    "flowcontrol.v1.FlowDistinguisherMethod.type": "FlowDistinguisherMethodType",
    "flowcontrol.v1.LimitResponse.type": "LimitResponseType",
    "flowcontrol.v1.PriorityLevelConfigurationSpec.type": "PriorityLevelEnablement",
}

#: Fields whose map of quantities is the named type ResourceList.
RESOURCE_LISTS = _words(
    """
    limits requests hard used overhead max min default defaultRequest maxLimitRequestRatio allocatable
    allocatedResources podFixed
    """
) | {
    "core.v1.NodeStatus.capacity",
    "core.v1.PersistentVolumeSpec.capacity",
    "core.v1.PersistentVolumeClaimStatus.capacity",
}

_NAME = {"name": "LocalObjectReference"}
_DEVICE = {"opaque": "DeviceConfiguration"}
_RULE = dict.fromkeys(("apiGroups", "apiVersions", "resources", "scope"), "Rule")

#: Embedded struct by field; "*" stands for all fields but those in the second table.
EMBEDDED: dict[str, dict[str, str]] = {
    "core.v1.Volume": {"*": "VolumeSource"},
    "core.v1.PersistentVolumeSpec": dict.fromkeys(
        (
            *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume"),
            *("flocker", "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs"),
            *("photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
        ),
        "PersistentVolumeSource",
    ),
    "core.v1.Probe": dict.fromkeys(("exec", "httpGet", "tcpSocket", "grpc"), "ProbeHandler"),
    "core.v1.EphemeralContainer": {"*": "EphemeralContainerCommon"},
    "core.v1.ConfigMapEnvSource": _NAME,
    "core.v1.ConfigMapKeySelector": _NAME,
    "core.v1.ConfigMapProjection": _NAME,
    "core.v1.ConfigMapVolumeSource": _NAME,
    "core.v1.SecretEnvSource": _NAME,
    "core.v1.SecretKeySelector": _NAME,
    "core.v1.SecretProjection": _NAME,
    "networking.v1.IngressRule": {"http": "IngressRuleValue"},
    "resource.v1.DeviceClaimConfiguration": _DEVICE,
    "resource.v1.DeviceAllocationConfiguration": _DEVICE,
    "resource.v1.DeviceClassConfiguration": _DEVICE,
    "admissionregistration.v1.RuleWithOperations": _RULE,
    "admissionregistration.v1.NamedRuleWithOperations": {
        "operations": "RuleWithOperations",
        **dict.fromkeys(_RULE, "RuleWithOperations.Rule"),
    },
}
NOT_EMBEDDED = frozenset({"core.v1.Volume.name", "core.v1.EphemeralContainer.targetContainerName"})


def text_name(owner: str, field: str) -> str:
    """The named text type of a field, e.g. "Protocol"; "" for a plain string."""
    found = TEXTS.get(f"{owner}.{field}")
    if found is None and field == "status" and owner.endswith("Condition"):
        return "ConditionStatus"
    return TEXTS.get(f"*.{field}", "") if found is None else found


def map_name(owner: str, field: str) -> str:
    """The named type of a map of quantities."""
    return "ResourceList" if field in RESOURCE_LISTS or f"{owner}.{field}" in RESOURCE_LISTS else ""


def embedded_in(owner: str, field: str) -> str:
    """The embedded struct that a field comes from; "" for a field of the struct's own."""
    table = EMBEDDED.get(owner)
    if table is None or f"{owner}.{field}" in NOT_EMBEDDED:
        return ""
    return table.get(field) or table.get("*", "")
