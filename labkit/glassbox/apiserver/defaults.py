"""What the API server fills in: a table a definition, and the few rules that look at more than one field.

A default is applied where its object is present: a Deployment's template gets a pod's defaults, and a port gets its
protocol wherever there is a port.

Upstream: pkg/apis/{core,apps,batch}/v1/defaults.go, pkg/apis/autoscaling/v2/defaults.go
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from labkit.glassbox import objects, quantity, quota
from labkit.glassbox.apiserver.definitions import definitions, reference, type_of
from labkit.glassbox.resources import Resource, hpa_v1

CORE, APPS, EVENTS = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.api.events.v1."
BATCH, SCALING, SCALING_V1 = "io.k8s.api.batch.v1.", "io.k8s.api.autoscaling.v2.", "io.k8s.api.autoscaling.v1."
DISCOVERY, NETWORKING = "io.k8s.api.discovery.v1.", "io.k8s.api.networking.v1."
RBAC, STORAGE, FLOW = "io.k8s.api.rbac.v1.", "io.k8s.api.storage.v1.", "io.k8s.api.flowcontrol.v1."
DEVICES = "io.k8s.api.resource.v1."
HOOKS = "io.k8s.api.admissionregistration.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
READABLE = 0o644
WEBHOOK: dict[str, Any] = {
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "timeoutSeconds": 10,
}

TABLE: dict[str, dict[str, Any]] = {
    DEVICES + "ExactDeviceRequest": {"allocationMode": "ExactCount"},
    DEVICES + "DeviceSubRequest": {"allocationMode": "ExactCount"},
    DEVICES + "DeviceToleration": {"operator": "Equal"},
    CORE + "PodSpec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    },
    CORE + "Container": {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    },
    CORE + "EphemeralContainer": {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    },
    CORE + "ContainerPort": {"protocol": "TCP"},
    CORE + "Probe": {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
    CORE + "HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    CORE + "GRPCAction": {"service": ""},
    CORE + "ObjectFieldSelector": {"apiVersion": "v1"},
    CORE + "ResourceFieldSelector": {"divisor": "0"},
    CORE + "SecretVolumeSource": {"defaultMode": READABLE},
    CORE + "ConfigMapVolumeSource": {"defaultMode": READABLE},
    CORE + "DownwardAPIVolumeSource": {"defaultMode": READABLE},
    CORE + "ProjectedVolumeSource": {"defaultMode": READABLE},
    CORE + "ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    CORE + "HostPathVolumeSource": {"type": ""},
    CORE + "PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    CORE + "Secret": {"type": "Opaque"},
    CORE + "ServiceSpec": {"sessionAffinity": "None", "type": "ClusterIP"},
    CORE + "ServicePort": {"protocol": "TCP"},
    CORE + "NamespaceStatus": {"phase": "Active"},
    APPS + "DeploymentSpec": {
        "replicas": 1,
        "strategy": {},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    },
    APPS + "DeploymentStrategy": {"type": "RollingUpdate"},
    APPS + "RollingUpdateDeployment": {"maxUnavailable": "25%", "maxSurge": "25%"},
    APPS + "ReplicaSetSpec": {"replicas": 1},
    APPS + "StatefulSetSpec": {
        "replicas": 1,
        "serviceName": "",
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {},
        "revisionHistoryLimit": 10,
        "persistentVolumeClaimRetentionPolicy": {},
    },
    APPS + "StatefulSetUpdateStrategy": {"type": "RollingUpdate"},
    APPS + "RollingUpdateStatefulSetStrategy": {"partition": 0},
    APPS + "StatefulSetPersistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    APPS + "DaemonSetSpec": {"updateStrategy": {}, "revisionHistoryLimit": 10},
    APPS + "DaemonSetUpdateStrategy": {"type": "RollingUpdate"},
    APPS + "RollingUpdateDaemonSet": {"maxUnavailable": 1, "maxSurge": 0},
    BATCH + "CronJobSpec": {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    },
    SCALING + "HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    SCALING_V1 + "HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    CORE + "ReplicationControllerSpec": {"replicas": 1},
    CORE + "PersistentVolumeSpec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
    CORE + "PersistentVolumeClaimStatus": {"phase": "Pending"},
    CORE + "PersistentVolumeStatus": {"phase": "Pending"},
    CORE + "EndpointPort": {"protocol": "TCP"},
    DISCOVERY + "EndpointPort": {"name": "", "protocol": "TCP"},
    NETWORKING + "NetworkPolicyPort": {"protocol": "TCP"},
    NETWORKING + "IngressClassParametersReference": {"scope": "Cluster"},
    STORAGE + "StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    "io.k8s.api.scheduling.v1.PriorityClass": {"preemptionPolicy": "PreemptLowerPriority", "value": 0},
    STORAGE + "CSIDriverSpec": {
        "attachRequired": True,
        "podInfoOnMount": False,
        "volumeLifecycleModes": ["Persistent"],
        "storageCapacity": False,
        "fsGroupPolicy": "ReadWriteOnceWithFSType",
        "requiresRepublish": False,
        "seLinuxMount": False,
    },
    FLOW + "LimitedPriorityLevelConfiguration": {"nominalConcurrencyShares": 30, "lendablePercent": 0},
    FLOW + "ExemptPriorityLevelConfiguration": {"nominalConcurrencyShares": 0, "lendablePercent": 0},
    HOOKS + "RuleWithOperations": {"scope": "*"},
    HOOKS + "NamedRuleWithOperations": {"scope": "*"},
    HOOKS + "MatchResources": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}},
    HOOKS + "ValidatingAdmissionPolicySpec": {"failurePolicy": "Fail"},
    HOOKS + "MutatingAdmissionPolicySpec": {"failurePolicy": "Fail"},
    HOOKS + "ServiceReference": {"port": 443},
    HOOKS + "ValidatingWebhook": WEBHOOK,
    HOOKS + "MutatingWebhook": {**WEBHOOK, "reinvocationPolicy": "Never"},
}

# What Go writes even where nobody has set it: times that are held by value become null, texts without omitempty "".
WRITTEN_UNSET: dict[str, dict[str, Any]] = {
    CORE + "Event": {
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    EVENTS + "Event": {
        "eventTime": None,
        "regarding": {},
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    },
    CORE + "ResourceQuota": {"spec": {}, "status": {}},
    CORE + "LimitRange": {"spec": {}},
    CORE + "Node": {"spec": {}, "status": {}},
    CORE + "NodeStatus": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
    CORE + "NodeSystemInfo": dict.fromkeys(
        (
            *("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"),
            *("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
        ),
        "",
    ),
    CORE + "NodeCondition": {"lastHeartbeatTime": None, "lastTransitionTime": None},
    CORE + "PodCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    CORE + "ContainerStatus": {"state": {}, "lastState": {}},
    APPS + "DeploymentCondition": {"lastUpdateTime": None, "lastTransitionTime": None},
    APPS + "ReplicaSetCondition": {"lastTransitionTime": None},
    APPS + "StatefulSetCondition": {"lastTransitionTime": None},
    APPS + "DaemonSetCondition": {"lastTransitionTime": None},
    APPS + "StatefulSetStatus": {"replicas": 0, "availableReplicas": 0},
    CORE + "ReplicationControllerCondition": {"lastTransitionTime": None},
    CORE + "PersistentVolumeClaim": {"status": {}},
    CORE + "PersistentVolumeClaimTemplate": {"metadata": {}},
    CORE + "PersistentVolumeClaimCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    CORE + "PodTemplateSpec": {"metadata": {}, "spec": {}},
    BATCH + "JobTemplateSpec": {"metadata": {}, "spec": {}},
    BATCH + "JobSpec": {"template": {}},
    BATCH + "JobCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    SCALING + "HorizontalPodAutoscalerCondition": {"lastTransitionTime": None},
    SCALING + "HorizontalPodAutoscalerStatus": {"desiredReplicas": 0, "currentMetrics": None},
    SCALING_V1 + "HorizontalPodAutoscalerStatus": {"currentReplicas": 0, "desiredReplicas": 0},
    RBAC + "Role": {"rules": None},
    RBAC + "ClusterRole": {"rules": None},
    RBAC + "RoleBinding": {"roleRef": {}},
    RBAC + "ClusterRoleBinding": {"roleRef": {}},
    RBAC + "RoleRef": {"apiGroup": "", "kind": "", "name": ""},
    RBAC + "Subject": {"kind": "", "name": ""},
    DISCOVERY + "EndpointSlice": {"endpoints": None, "ports": None},
    DISCOVERY + "Endpoint": {"conditions": {}},
    STORAGE + "VolumeAttachmentStatus": {"attached": False},
    "io.k8s.api.certificates.v1.CertificateSigningRequestCondition": {
        "lastUpdateTime": None,
        "lastTransitionTime": None,
    },
    DEVICES + "DeviceClass": {"spec": {}},
    DEVICES + "ResourceClaim": {"spec": {}},
    DEVICES + "ResourceClaimSpec": {"devices": {}},
    DEVICES + "ResourceClaimTemplate": {"spec": {}},
    DEVICES + "ResourceClaimTemplateSpec": {"metadata": {}, "spec": {}},
    META + "Condition": {"lastTransitionTime": None, "reason": "", "message": ""},
}
TABLE |= WRITTEN_UNSET


def apply_defaults(resource: Resource, obj: dict) -> None:
    """Fill in what the client left out."""
    fill(resource.definition, obj)


def fill(name: str, obj: dict) -> None:
    """Fill in one object of a definition, then the objects in it."""
    for field, value in TABLE.get(name, {}).items():
        if field not in obj:
            obj[field] = copy.deepcopy(value)
    if rule := RULES.get(name):
        rule(obj)
    for field in amounts(name):
        if obj.get(field):
            obj[field] = {key: quantity.in_thousandths(value) for key, value in obj[field].items()}
    for field, (inner, shape) in nested(name).items():
        if obj.get(field) is not None:
            for item in _items(obj[field], shape):
                fill(inner, item)


def _items(value: Any, shape: str) -> list[dict]:
    if shape == "list":
        return value
    return list(value.values()) if shape == "map" else [value]


@cache
def nested(name: str) -> dict[str, tuple[str, str]]:
    """Return field → (definition, "one", "list" or "map") for the fields below which something has a default."""
    found = {}
    for field, schema in definitions().get(name, {}).get("properties", {}).items():
        inner, shape = _inner(schema)
        if inner and has_defaults(inner):
            found[field] = (inner, shape)
    return found


def _inner(schema: dict) -> tuple[str | None, str]:
    if name := reference(schema):
        return name, "one"
    if type_of(schema) == "array":
        return reference(schema["items"]), "list"
    extra = schema.get("additionalProperties")  # of a custom resource it may be true
    return reference(extra) if isinstance(extra, dict) else None, "map"


@cache
def has_defaults(name: str) -> bool:
    """Tell whether a definition, or one that it contains, has defaults."""
    seen, todo = set(), [name]
    while todo:
        each = todo.pop()
        if each in TABLE or each in RULES or amounts(each):
            return True
        seen.add(each)
        schemas = definitions().get(each, {}).get("properties", {}).values()
        todo += [inner for schema in schemas if (inner := _inner(schema)[0]) and inner not in seen]
    return False


@cache
def amounts(name: str) -> tuple[str, ...]:
    """Return the fields of a definition of the core group that name amounts of resources."""
    properties = definitions().get(name, {}).get("properties", {}) if name.startswith(CORE) else {}
    return tuple(field for field, schema in properties.items() if _inner(schema) == (QUANTITY, "map"))


# -- rules


def container(obj: dict) -> None:
    if "imagePullPolicy" not in obj:
        obj["imagePullPolicy"] = "Always" if tag_of(obj.get("image", "")) == "latest" else "IfNotPresent"


def tag_of(image: str) -> str:
    """Return an image's tag: latest if it names neither tag nor digest, "" if it is no image's name."""
    name, _, tag = image.rpartition("/")[2].partition(":")
    return "" if "@" in image or not re.fullmatch("[a-z0-9._-]+", name) else tag or "latest"


def volume(obj: dict) -> None:
    if set(obj) <= {"name"}:
        obj["emptyDir"] = {}
    if (image := obj.get("image")) is not None and "pullPolicy" not in image:
        image["pullPolicy"] = "Always" if tag_of(image.get("reference", "")) == "latest" else "IfNotPresent"


def pod_spec(obj: dict) -> None:
    if account := obj.get("serviceAccountName") or obj.get("serviceAccount"):  # the old name is kept beside the new one
        obj["serviceAccountName"] = obj["serviceAccount"] = account
    obj.pop("schedulingGroup", None)


def pod(obj: dict) -> None:
    """A pod itself, unlike a template: what it limits and does not request, it requests."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    spec.setdefault("enableServiceLinks", True)
    for each in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
        resources = each.get("resources", {})
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
        for port in each.get("ports", ()) if spec.get("hostNetwork") else ():
            port.setdefault("hostPort", port.get("containerPort"))
    whole = spec.get("resources") or {}
    of_containers = {"spec": {"containers": [], **spec, "resources": {}, "overhead": {}}}
    if whole.get("limits") or whole.get("requests"):
        had = quota.pod_total(of_containers, "limits")
        known = {**(whole.get("limits") or {}), **(whole.get("requests") or {})}
        pages = {name: had[name] for name in had if name.startswith("hugepages-") and name not in known}
        whole.update({"limits": {**(whole.get("limits") or {}), **pages}} if pages else {})
    if whole.get("limits"):
        asked = quota.pod_total(of_containers, "requests")
        asked = {name: asked[name] for name in ("cpu", "memory") if name in asked}
        whole["requests"] = {**whole["limits"], **asked, **(whole.get("requests") or {})}


def dropping(*fields: str) -> Callable[[dict], None]:
    """Return a rule that leaves out what the server does not know yet."""

    def drop(obj: dict) -> None:
        for field in fields:
            obj.pop(field, None)

    return drop


def strategy(obj: dict) -> None:
    if obj.get("type", "RollingUpdate") == "RollingUpdate":
        obj.setdefault("rollingUpdate", {})


def service(obj: dict) -> None:
    spec = obj.setdefault("spec", {})
    kind = spec.get("type", "ClusterIP")
    for port in spec.get("ports", ()):
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)  # 0, or "", is what Go writes of none
    affinity, by_client = spec.get("sessionAffinity") or "None", {"clientIP": {"timeoutSeconds": 10800}}
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP" and objects.dig(spec, "sessionAffinityConfig.clientIP.timeoutSeconds") is None:
        spec["sessionAffinityConfig"] = by_client
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for each in objects.dig(obj, "status.loadBalancer.ingress") or ():
            if each.get("ip"):
                each.setdefault("ipMode", "VIP")
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        for_itself = spec.get("clusterIP") == "None" and not spec.get("selector")  # who fills it may have both families
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if for_itself else "SingleStack")
        both = for_itself and spec["ipFamilyPolicy"] != "SingleStack"
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if both else ["IPv4"])


def node_status(obj: dict) -> None:
    if obj.get("capacity"):
        obj.setdefault("allocatable", dict(obj["capacity"]))


def devices(obj: dict) -> None:
    if obj["allocationMode"] == "ExactCount":
        obj["count"] = obj.get("count") or 1


def statefulset(obj: dict) -> None:
    for each in obj.get("volumeClaimTemplates", ()):
        each.setdefault("kind", "PersistentVolumeClaim")
        each.setdefault("apiVersion", "v1")


def job(obj: dict) -> None:
    """A job itself, unlike a cron job's template: one pod, unless more are asked for."""
    spec = obj.setdefault("spec", {})
    if spec.get("parallelism") is None:
        spec.setdefault("completions", 1)
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1)
    spec.setdefault("manualSelector", False)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed")


def precedence(obj: dict) -> None:
    obj["matchingPrecedence"] = obj.get("matchingPrecedence") or 1000


def queues(obj: dict) -> None:
    for field, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
        obj[field] = obj.get(field) or value


def condition_pattern(obj: dict) -> None:
    obj["status"] = obj.get("status") or "True"


def autoscaler(obj: dict) -> None:
    if not obj.get("metrics"):
        obj["metrics"] = copy.deepcopy(hpa_v1.DEFAULT_METRICS)
    if obj.get("behavior") is not None:
        obj["behavior"] = {
            way: {**copy.deepcopy(rules), **(obj["behavior"].get(way) or {})} for way, rules in SCALING_RULES.items()
        }


def network_policy(obj: dict) -> None:
    spec = obj.get("spec")
    if isinstance(spec, dict) and not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


_DOUBLE = {"type": "Percent", "value": 100, "periodSeconds": 15}
SCALING_RULES: dict[str, dict] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, _DOUBLE],
    },
    "scaleDown": {"selectPolicy": "Max", "policies": [_DOUBLE]},
}
RULES: dict[str, Callable[[dict], None]] = {
    CORE + "Container": container,
    CORE + "EphemeralContainer": container,
    CORE + "Volume": volume,
    CORE + "PodSpec": pod_spec,
    # what is behind feature gates that are closed in 1.36
    CORE + "Lifecycle": dropping("stopSignal"),
    CORE + "VolumeProjection": dropping("clusterTrustBundle", "podCertificate"),
    DEVICES + "Device": dropping("nodeAllocatableResourceMappings"),
    DEVICES + "DeviceAttribute": dropping("ints", "bools", "strings", "versions"),
    CORE + "Pod": pod,
    CORE + "Service": service,
    CORE + "NodeStatus": node_status,
    APPS + "DeploymentStrategy": strategy,
    APPS + "StatefulSetUpdateStrategy": strategy,
    APPS + "DaemonSetUpdateStrategy": strategy,
    APPS + "StatefulSetSpec": statefulset,
    DEVICES + "ExactDeviceRequest": devices,
    DEVICES + "DeviceSubRequest": devices,
    FLOW + "FlowSchemaSpec": precedence,
    FLOW + "QueuingConfiguration": queues,
    BATCH + "Job": job,
    BATCH + "PodFailurePolicyOnPodConditionsPattern": condition_pattern,
    SCALING + "HorizontalPodAutoscalerSpec": autoscaler,
    NETWORKING + "NetworkPolicy": network_policy,
}
