"""What the API server fills in: a table a definition, and the few rules that look at more than one field.

A default is applied where its object is present: a Deployment's template gets a pod's defaults, and a port gets its
protocol wherever there is a port.

Upstream: pkg/apis/core/v1/defaults.go, pkg/apis/apps/v1/defaults.go
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

from labkit.glassbox.apiserver.definitions import definitions, reference, type_of
from labkit.glassbox.resources import Resource

CORE, APPS, EVENTS = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.api.events.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
READABLE = 0o644

TABLE: dict[str, dict[str, Any]] = {
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
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    },
    CORE + "Node": {"spec": {}, "status": {}},
    CORE + "NodeStatus": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}},
    CORE + "NodeSystemInfo": dict.fromkeys(
        (
            "machineID",
            "systemUUID",
            "bootID",
            "kernelVersion",
            "osImage",
            "containerRuntimeVersion",
            "kubeletVersion",
            "kubeProxyVersion",
            "operatingSystem",
            "architecture",
        ),
        "",
    ),
    CORE + "NodeCondition": {"lastHeartbeatTime": None, "lastTransitionTime": None},
    CORE + "PodCondition": {"lastProbeTime": None, "lastTransitionTime": None},
    CORE + "ContainerStatus": {"state": {}, "lastState": {}},
    APPS + "DeploymentCondition": {"lastUpdateTime": None, "lastTransitionTime": None},
    APPS + "ReplicaSetCondition": {"lastTransitionTime": None},
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
    return reference(schema.get("additionalProperties") or {}), "map"


@cache
def has_defaults(name: str) -> bool:
    """Tell whether a definition, or one that it contains, has defaults."""
    seen, todo = set(), [name]
    while todo:
        each = todo.pop()
        if each in TABLE or each in RULES:
            return True
        seen.add(each)
        schemas = definitions().get(each, {}).get("properties", {}).values()
        todo += [inner for schema in schemas if (inner := _inner(schema)[0]) and inner not in seen]
    return False


# -- rules


def container(obj: dict) -> None:
    if "imagePullPolicy" not in obj and obj.get("image"):
        obj["imagePullPolicy"] = "Always" if tag_of(obj["image"]) == "latest" else "IfNotPresent"


def tag_of(image: str) -> str:
    """Return an image's tag: latest if it names neither tag nor digest."""
    if "@" in image:
        return ""
    return image.rpartition("/")[2].partition(":")[2] or "latest"


def volume(obj: dict) -> None:
    if set(obj) <= {"name"}:
        obj["emptyDir"] = {}


def pod_spec(obj: dict) -> None:
    if obj.get("hostNetwork"):
        for each in [*obj.get("containers", ()), *obj.get("initContainers", ())]:
            for port in each.get("ports", ()):
                port.setdefault("hostPort", port.get("containerPort"))


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


def strategy(obj: dict) -> None:
    if obj.get("type", "RollingUpdate") == "RollingUpdate":
        obj.setdefault("rollingUpdate", {})


def service(obj: dict) -> None:
    spec = obj.setdefault("spec", {})
    kind = spec.get("type", "ClusterIP")
    for port in spec.get("ports", ()):
        port.setdefault("targetPort", port.get("port"))
    if spec.get("sessionAffinity") == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")


RULES: dict[str, Callable[[dict], None]] = {
    CORE + "Container": container,
    CORE + "EphemeralContainerCommon": container,
    CORE + "Volume": volume,
    CORE + "PodSpec": pod_spec,
    CORE + "Pod": pod,
    CORE + "Service": service,
    APPS + "DeploymentStrategy": strategy,
}
