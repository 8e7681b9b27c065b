"""What the published OpenAPI document does not say of a field: is it written when empty, does a zero count as given?

Three hand-kept tables over the machine-made schema; names are `<type's short name>.<field>` where the short name lacks
the leading `io.k8s.api.`, and `*` as a type stands for every type. Rules that hold for all types stand in `presence()`.
Source: recorded answers of kube-apiserver 1.37 and the API reference, https://kubernetes.io/docs/reference/kubernetes-api/.
"""

from __future__ import annotations

from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Structs embedded by value: filled in and written even if empty. (Every object's metadata, spec and status are too.)
EMBEDDED = _words(
    """
    apps.v1.DeploymentSpec.strategy apps.v1.DaemonSetSpec.updateStrategy apps.v1.StatefulSetSpec.updateStrategy
    apps.v1.ReplicaSetSpec.template core.v1.PodTemplate.template core.v1.PersistentVolumeClaimTemplate.spec
    core.v1.Container.resources core.v1.EphemeralContainer.resources core.v1.PersistentVolumeClaimSpec.resources
    core.v1.ContainerStatus.state core.v1.ContainerStatus.lastState core.v1.NodeStatus.daemonEndpoints
    core.v1.NodeStatus.nodeInfo core.v1.NodeDaemonEndpoints.kubeletEndpoint core.v1.ServiceStatus.loadBalancer
    core.v1.Event.source networking.v1.IngressStatus.loadBalancer networking.v1.IngressServiceBackend.port
    networking.v1.NetworkPolicySpec.podSelector events.v1.Event.regarding events.v1.Event.deprecatedSource
    discovery.v1.Endpoint.conditions resource.v1.ResourceClaimSpec.devices resource.v1.AllocationResult.devices
    authentication.v1.TokenReviewStatus.user authentication.v1.SelfSubjectReviewStatus.userInfo
    apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus.acceptedNames
    """
)

#: Other fields written even if empty: zero, "", null for lists, maps and times.
WRITTEN = _words(
    """
    core.v1.TypedLocalObjectReference.apiGroup core.v1.TypedObjectReference.apiGroup
    apps.v1.ControllerRevision.revision apps.v1.StatefulSetSpec.serviceName apps.v1.StatefulSetOrdinals.start
    apps.v1.StatefulSetStatus.availableReplicas apps.v1.DaemonSetCondition.type apps.v1.DaemonSetCondition.status
    apps.v1.DeploymentCondition.type apps.v1.DeploymentCondition.status apps.v1.ReplicaSetCondition.type
    apps.v1.ReplicaSetCondition.status apps.v1.StatefulSetCondition.type apps.v1.StatefulSetCondition.status
    authentication.v1.TokenRequestSpec.boundObjectRef autoscaling.v2.HorizontalPodAutoscalerStatus.currentMetrics
    core.v1.Event.reportingComponent core.v1.Event.reportingInstance core.v1.ProjectedVolumeSource.sources
    core.v1.ResourceFieldSelector.divisor core.v1.ServicePort.targetPort
    core.v1.ServiceAccountTokenProjection.path policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed
    policy.v1.PodDisruptionBudgetStatus.currentHealthy policy.v1.PodDisruptionBudgetStatus.desiredHealthy
    policy.v1.PodDisruptionBudgetStatus.expectedPods rbac.v1.Role.rules rbac.v1.ClusterRole.rules
    resource.v1.DeviceClaim.requests scheduling.v1.PriorityClass.value storage.v1.CSINodeDriver.topologyKeys
    discovery.v1.EndpointSlice.ports discovery.v1.EndpointSlice.endpoints
    apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus.conditions
    apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus.storedVersions
    """
)

#: Required, and yet left out when empty.
OMITTED = _words(
    """
    admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec.validationActions
    """
)

#: Required structs that are pointers nevertheless: written as null when absent.
NULLABLE = _words(
    """
    apps.v1.DeploymentSpec.selector apps.v1.ReplicaSetSpec.selector apps.v1.DaemonSetSpec.selector
    apps.v1.StatefulSetSpec.selector
    """
)

#: Optional numbers and booleans that are no pointers: a given zero is dropped again.
PLAIN_NUMBERS = _words(
    """
    *.observedGeneration *.generation *.minReadySeconds *.readOnly *.partition *.hostPort *.stdin *.stdinOnce
    *.tty *.sizeBytes *.signal *.count *.deprecatedCount *.unschedulable *.hostNetwork *.hostPID *.hostIPC
    *.initialDelaySeconds *.timeoutSeconds *.periodSeconds *.successThreshold *.failureThreshold *.sslEnabled
    *.chapAuthDiscovery *.chapAuthSession *.nodePort *.healthCheckNodePort *.publishNotReadyAddresses
    *.matchingPrecedence *.queues *.handSize *.queueLengthLimit *.clusterScope *.number *.globalDefault *.paused
    *.insecureSkipTLSVerify *.exclusiveMaximum *.exclusiveMinimum *.uniqueItems *.nullable
    *.x-kubernetes-embedded-resource *.x-kubernetes-int-or-string *.deprecated *.preserveUnknownFields *.code
    *.retryAfterSeconds *.authenticated *.denied *.start *.fullyLabeledReplicas *.readyReplicas
    *.availableReplicas *.updatedReplicas *.unavailableReplicas *.currentReplicas *.updatedNumberScheduled
    *.numberAvailable *.numberUnavailable *.active *.succeeded *.failed apps.v1.DeploymentStatus.replicas
    autoscaling.v1.ScaleSpec.replicas
    apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceColumnDefinition.priority
    """
)

#: Pointers whose name or type the rules for plain numbers above would catch.
POINTER_NUMBERS = _words(
    """
    autoscaling.v1.HorizontalPodAutoscalerStatus.observedGeneration
    autoscaling.v2.HorizontalPodAutoscalerStatus.observedGeneration
    apps.v1.RollingUpdateStatefulSetStrategy.partition core.v1.AzureDiskVolumeSource.readOnly
    core.v1.CSIVolumeSource.readOnly core.v1.ClientIPConfig.timeoutSeconds storage.v1.VolumeNodeResources.count
    admissionregistration.v1.MutatingWebhook.timeoutSeconds
    admissionregistration.v1.ValidatingWebhook.timeoutSeconds
    autoscaling.v2.HorizontalPodAutoscalerCondition.observedGeneration
    """
)

#: Optional texts that are pointers: a given "" is kept.
POINTER_TEXTS = _words(
    """
    *.ipMode *.appProtocol *.failurePolicy *.matchPolicy *.reinvocationPolicy *.scope *.url *.timeZone
    *.completionMode *.podReplacementPolicy *.managedBy *.failedIndexes *.succeededIndexes *.runtimeClassName
    *.preemptionPolicy *.hostnameOverride *.procMount *.localhostProfile *.gmsaCredentialSpecName
    *.gmsaCredentialSpec *.runAsUserName *.recursiveReadOnly *.mountPropagation *.nodeAffinityPolicy
    *.nodeTaintsPolicy *.ingressClassName *.selectPolicy *.fsGroupPolicy *.fsGroupChangePolicy
    *.supplementalGroupsPolicy *.seLinuxChangePolicy *.initiatorName *.endpointsNamespace *.secretNamespace
    *.cachingMode *.parameterNotFoundAction *.deprecationWarning *.labelSelectorPath *.x-kubernetes-list-type
    *.x-kubernetes-map-type *.propagationPolicy *.unhealthyPodEvictionPolicy *.volumeMode
    *.volumeAttributesClassName *.currentVolumeAttributesClassName *.ipFamilyPolicy *.loadBalancerClass
    *.internalTrafficPolicy *.trafficDistribution *.stopSignal *.volumeBindingMode *.reclaimPolicy
    *.resourceClaimName *.resourceClaimTemplateName *.persistentVolumeName *.optionalOldSelf
    *.extendedResourceName *.matchAttribute *.distinctAttribute *.shareID *.holderIdentity *.strategy
    *.preferredHolder networking.v1.HTTPIngressPath.pathType
    core.v1.HostPathVolumeSource.type core.v1.GRPCAction.service
    core.v1.EndpointAddress.nodeName core.v1.TypedLocalObjectReference.apiGroup
    core.v1.TypedObjectReference.apiGroup core.v1.TypedObjectReference.namespace
    core.v1.PersistentVolumeClaimSpec.storageClassName core.v1.Container.restartPolicy
    core.v1.EphemeralContainer.restartPolicy core.v1.LocalVolumeSource.fsType core.v1.AzureDiskVolumeSource.fsType
    core.v1.CSIVolumeSource.fsType core.v1.PodDNSConfigOption.value core.v1.ClusterTrustBundleProjection.name
    core.v1.ClusterTrustBundleProjection.signerName core.v1.PortStatus.error networking.v1.IngressPortStatus.error
    networking.v1.NetworkPolicyPort.protocol networking.v1.IngressClassParametersReference.namespace
    networking.v1.IngressClassParametersReference.apiGroup discovery.v1.EndpointPort.name
    discovery.v1.EndpointPort.protocol discovery.v1.Endpoint.hostname discovery.v1.Endpoint.nodeName
    discovery.v1.Endpoint.zone admissionregistration.v1.ServiceReference.path
    admissionregistration.v1.Validation.reason apimachinery.pkg.apis.meta.v1.Preconditions.uid
    apimachinery.pkg.apis.meta.v1.Preconditions.resourceVersion
    apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference.path
    apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule.reason resource.v1.Device.nodeName
    resource.v1.DeviceAttribute.string resource.v1.DeviceAttribute.version resource.v1.DeviceTaintSelector.driver
    resource.v1.DeviceTaintSelector.pool resource.v1.DeviceTaintSelector.device
    resource.v1.ResourceSliceSpec.nodeName core.v1.AzureDiskVolumeSource.kind core.v1.GRPCAction.mode
    core.v1.HTTPGetAction.protocol
    batch.v1.PodFailurePolicyOnExitCodesRequirement.containerName core.v1.PodSchedulingGroup.podGroupName
    core.v1.ResourceHealth.message resource.v1.NodeAllocatableMapping.capacityKey
    resource.v1.ResourceSliceSpec.partitionTypeAttribute storage.v1.StorageHealthCondition.accessMode
    apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps.$ref
    """
)

#: Texts that are none, whose name the table above would catch.
PLAIN_TEXTS = _words(
    """
    admissionregistration.v1.MutatingAdmissionPolicySpec.reinvocationPolicy
    apiextensions-apiserver.pkg.apis.apiextensions.v1.ExternalDocumentation.url
    """
)

#: Optional times that are pointers, and so are left out when absent; the other optional times are written as null.
POINTER_TIMES = _words(
    """
    startTime completionTime lastScheduleTime lastSuccessfulTime notBefore beginRefreshAt notAfter acquireTime
    renewTime deletionTimestamp timeAdded lastPhaseTransitionTime lastScaleTime allocationTimestamp
    creationTimestamp
    """
)

#: Further times left out when absent.
OMITTED_TIMES = _words(
    """
    apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry.time storage.v1.StorageHealthCondition.lastTransitionTime
    core.v1.PodVolumeHealth.lastTransitionTime core.v1.VolumeHealthStatus.lastTransitionTime
    """
)

#: Defaults of list-map keys that an item may leave out.
KEY_DEFAULTS: dict[str, dict[str, object]] = {
    "core.v1.PodSpec.imagePullSecrets": {"name": ""},
    "core.v1.ServiceAccount.imagePullSecrets": {"name": ""},
    "core.v1.Container.ports": {"protocol": "TCP"},
    "core.v1.EphemeralContainer.ports": {"protocol": "TCP"},
    "core.v1.ServiceSpec.ports": {"protocol": "TCP"},
}


#: Lists and maps where an empty one, given, is not the same as none (it is refused, or stops a default).
KEPT_EMPTY = _words(
    """
    autoscaling.v2.HPAScalingRules.policies core.v1.PersistentVolumeSpec.capacity
    """
)


def short_name(openapi_name: str) -> str:
    """The name as the tables above have it."""
    return openapi_name.removeprefix("io.k8s.api.").removeprefix("io.k8s.")


def presence(owner: str, name: str, fact: dict[str, Any], is_object: bool) -> tuple[bool, bool]:
    """`(always, pointer)` of field `name` of type `owner` (short name); `fact` is its row of the schema.

    `is_object`: the owner is an API object or a template of one, whose metadata, spec and status are embedded.
    """
    path, shape = f"{owner}.{name}", fact["t"]
    if isinstance(shape, str) and shape.startswith("#"):
        if path in NULLABLE:
            return True, True
        embedded = bool(fact.get("r")) or path in EMBEDDED or (is_object and name in ("metadata", "spec", "status"))
        return embedded or path in WRITTEN, not embedded
    if (fact.get("r") and path not in OMITTED) or path in WRITTEN:
        return True, shape == "string" and path in POINTER_TEXTS
    if shape in ("int32", "int64", "bool", "float"):
        plain = (path in PLAIN_NUMBERS or f"*.{name}" in PLAIN_NUMBERS) and path not in POINTER_NUMBERS
        return False, not plain
    if shape == "string":
        return False, (path in POINTER_TEXTS or f"*.{name}" in POINTER_TEXTS) and path not in PLAIN_TEXTS
    if shape in ("time", "microtime"):
        return name not in POINTER_TIMES and path not in OMITTED_TIMES, False
    return False, shape in ("quantity", "intorstring", "any") or path in KEPT_EMPTY
