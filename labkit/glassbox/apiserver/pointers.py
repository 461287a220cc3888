"""Which optional fields Go writes though they are empty: those that are pointers, or that do not say omitempty.

By rule a number or a boolean is a pointer and a text is none; here is what departs from it: a field's name, or the
struct and the name where others of that name are different.

Upstream: staging/src/k8s.io/{api,apimachinery,apiextensions-apiserver}/**/types*.go, v1.36
"""

from __future__ import annotations

# Numbers and booleans that are left out at 0 or false.
_BY_VALUE = """
    CustomResourceColumnDefinition.priority DeploymentStatus.replicas Probe.timeoutSeconds ScaleSpec.replicas active
    authenticated availableReplicas chapAuthDiscovery chapAuthSession clusterScope count currentReplicas denied
    deprecated deprecatedCount exclusiveMaximum exclusiveMinimum failed failureThreshold fullyLabeledReplicas generation
    globalDefault healthCheckNodePort hostIPC hostNetwork hostPID hostPort initialDelaySeconds insecureSkipTLSVerify
    minReadySeconds nodePort nullable number numberAvailable numberUnavailable observedGeneration partition paused
    periodSeconds preserveUnknownFields publishNotReadyAddresses readOnly readyReplicas signal sizeBytes sslEnabled
    stdin stdinOnce succeeded successThreshold tty unavailableReplicas uniqueItems unschedulable
    updatedNumberScheduled updatedReplicas x-kubernetes-embedded-resource x-kubernetes-int-or-string
"""
# Texts that are written when they are empty, and the numbers that are pointers though others of their name are none.
_KEPT_EMPTY = """
    $ref appProtocol AzureDiskVolumeSource.fsType AzureDiskVolumeSource.kind AzureDiskVolumeSource.readOnly cachingMode
    ClusterTrustBundleProjection.name ClusterTrustBundleProjection.signerName completionMode Container.restartPolicy
    CSIVolumeSource.fsType CSIVolumeSource.readOnly currentVolumeAttributesClassName default deprecationWarning
    DeviceAttribute.version Device.nodeName
    distinctAttribute Endpoint.hostname Endpoint.nodeName EndpointAddress.nodeName
    endpointsNamespace EphemeralContainer.restartPolicy example extendedResourceName failedIndexes failurePolicy
    fsGroupChangePolicy fsGroupPolicy gmsaCredentialSpec gmsaCredentialSpecName holderIdentity
    HorizontalPodAutoscalerStatus.observedGeneration hostnameOverride HostPathVolumeSource.type ingressClassName
    IngressClassParametersReference.apiGroup IngressClassParametersReference.namespace IngressPortStatus.error
    initiatorName internalTrafficPolicy ipFamilyPolicy ipMode labelSelectorPath loadBalancerClass localhostProfile
    LocalVolumeSource.fsType managedBy matchAttribute matchPolicy maxSurge maxUnavailable minAvailable mountPropagation
    MutatingWebhook.reinvocationPolicy NetworkPolicyPort.port NetworkPolicyPort.protocol nodeAffinityPolicy
    NodeRuntimeHandler.name nodeTaintsPolicy parameterNotFoundAction PersistentVolumeClaimSpec.storageClassName
    persistentVolumeName PodDNSConfigOption.value PodFailurePolicyOnExitCodesRequirement.containerName
    PodFailurePolicyOnPodConditionsPattern.status podGroupName podReplacementPolicy PortStatus.error preemptionPolicy
    preferredHolder procMount reclaimPolicy recursiveReadOnly reportingComponent reportingInstance resourceClaimName
    resourceClaimTemplateName ResourceHealth.message ResourceSliceSpec.nodeName RoleRef.apiGroup
    RollingUpdateStatefulSetStrategy.partition runAsUserName runtimeClassName scope secretNamespace selectPolicy
    seLinuxChangePolicy service serviceName ServiceReference.path shareID StatefulSetStatus.availableReplicas stopSignal
    strategy string succeededIndexes supplementalGroupsPolicy timeZone TokenRequestStatus.token trafficDistribution
    TypedLocalObjectReference.apiGroup TypedObjectReference.apiGroup TypedObjectReference.namespace
    unhealthyPodEvictionPolicy Validation.reason ValidationRule.reason volumeAttributesClassName volumeBindingMode
    volumeMode VolumeNodeResources.count WebhookClientConfig.url x-kubernetes-list-type x-kubernetes-map-type zone
"""
BY_VALUE, KEPT_EMPTY = frozenset(_BY_VALUE.split()), frozenset(_KEPT_EMPTY.split())


def is_written_empty(struct: str, field: str, *, text: bool) -> bool:
    """Tell whether Go writes an optional field, a text or else a number or a boolean, that has its zero value."""
    names = (f"{struct}.{field}", field)
    return not KEPT_EMPTY.isdisjoint(names) or (not text and BY_VALUE.isdisjoint(names))
