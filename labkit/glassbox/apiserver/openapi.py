"""The OpenAPI v3 documents that kubectl reads: for explain, for validation, for merging on the client's side.

A group version's document has the definitions of the kinds that are served there and all that these refer to, and the
paths with the operations on them (`openapi_paths`).

Upstream: k8s.io/kube-openapi
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson

from labkit.glassbox.apiserver.definitions import REFERENCE, definition, definitions, reference
from labkit.glassbox.apiserver.openapi_pages import pages, resource_lists
from labkit.glassbox.apiserver.openapi_paths import COMPONENTS, paths_of, referred
from labkit.glassbox.resources import REGISTRY, Resource

# The values that a field may have: upstream publishes them, the definitions that we read leave them out.
CORE, APPS, BATCH = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1.", "io.k8s.api.batch.v1."
RECLAIM = ("Delete", "Recycle", "Retain")
ENUMS: dict[tuple[str, str], tuple[str, ...]] = {
    (APPS + "DeploymentStrategy", "type"): ("Recreate", "RollingUpdate"),
    (APPS + "StatefulSetSpec", "podManagementPolicy"): ("OrderedReady", "Parallel"),
    (APPS + "StatefulSetUpdateStrategy", "type"): ("OnDelete", "RollingUpdate"),
    (APPS + "DaemonSetUpdateStrategy", "type"): ("OnDelete", "RollingUpdate"),
    (BATCH + "CronJobSpec", "concurrencyPolicy"): ("Allow", "Forbid", "Replace"),
    (BATCH + "JobSpec", "completionMode"): ("Indexed", "NonIndexed"),
    (BATCH + "JobSpec", "podReplacementPolicy"): ("Failed", "TerminatingOrFailed"),
    (BATCH + "PodFailurePolicyRule", "action"): ("Count", "FailIndex", "FailJob", "Ignore"),
    (BATCH + "PodFailurePolicyOnExitCodesRequirement", "operator"): ("In", "NotIn"),
    ("io.k8s.api.networking.v1.HTTPIngressPath", "pathType"): ("Exact", "ImplementationSpecific", "Prefix"),
    ("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy"): ("AlwaysAllow", "IfHealthyBudget"),
    ("io.k8s.api.storage.v1.StorageClass", "reclaimPolicy"): RECLAIM,
    ("io.k8s.api.storage.v1.StorageClass", "volumeBindingMode"): ("Immediate", "WaitForFirstConsumer"),
    (CORE + "PersistentVolumeSpec", "persistentVolumeReclaimPolicy"): RECLAIM,
    (CORE + "PersistentVolumeStatus", "phase"): ("Available", "Bound", "Failed", "Pending", "Released"),
    (CORE + "PersistentVolumeClaimStatus", "phase"): ("Bound", "Lost", "Pending"),
    (CORE + "Container", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    (CORE + "Container", "terminationMessagePolicy"): ("FallbackToLogsOnError", "File"),
    (CORE + "ContainerPort", "protocol"): ("SCTP", "TCP", "UDP"),
    (CORE + "PodSpec", "restartPolicy"): ("Always", "Never", "OnFailure"),
    (CORE + "PodSpec", "dnsPolicy"): ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    (CORE + "PodSpec", "preemptionPolicy"): ("Never", "PreemptLowerPriority"),
    (CORE + "PodStatus", "phase"): ("Failed", "Pending", "Running", "Succeeded", "Unknown"),
    (CORE + "PodStatus", "qosClass"): ("BestEffort", "Burstable", "Guaranteed"),
    (CORE + "HTTPGetAction", "scheme"): ("HTTP", "HTTPS"),
    (CORE + "Toleration", "effect"): ("NoExecute", "NoSchedule", "PreferNoSchedule"),
    (CORE + "Toleration", "operator"): ("Equal", "Exists", "Gt", "Lt"),
    (CORE + "Taint", "effect"): ("NoExecute", "NoSchedule", "PreferNoSchedule"),
    (CORE + "NodeSelectorRequirement", "operator"): ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"),
    (CORE + "TopologySpreadConstraint", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
    (CORE + "NamespaceStatus", "phase"): ("Active", "Terminating"),
    (CORE + "ServicePort", "protocol"): ("SCTP", "TCP", "UDP"),
    (CORE + "ServiceSpec", "type"): ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
    (CORE + "ServiceSpec", "sessionAffinity"): ("ClientIP", "None"),
    (CORE + "ServiceSpec", "externalTrafficPolicy"): ("Cluster", "Local"),
    (CORE + "ServiceSpec", "internalTrafficPolicy"): ("Cluster", "Local"),
}


def openapi_v3_index() -> dict:
    """Return where the documents are, each with a hash of what it says."""
    paths = {}
    for path in sorted({*pages(), *(group_version(each) for each in REGISTRY.all())}):
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={openapi_v3_hash(path)}"}
    return {"paths": paths}


def openapi_v3_hash(path: str) -> str:
    """Return what stands for a document's content. Raises KeyError."""
    return hashlib.sha256(orjson.dumps(openapi_v3(path))).hexdigest()[:32].upper()


def group_version(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


@cache
def openapi_v3(path: str) -> dict:
    """Return a document: of a group version ("api/v1", "apis/GROUP/VERSION"), or of a page. Raises KeyError."""
    served = [each for each in REGISTRY.all() if group_version(each) == path]
    found = [*resource_lists(served), *([pages()[path]] if path in pages() or not served else [])]
    names = closure([name for each in served for name in referred(each)] + [page.answer for page in found])
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": {page.path: page.item for page in found}
        | {at: item for each in served for at, item in paths_of(each).items()},
        "components": {"schemas": {name: component(name) for name in sorted(names)}},
    }


REGISTRY.listeners.append(openapi_v3.cache_clear)


def closure(names: list[str]) -> set[str]:
    """Return the definitions with those names and all that they refer to."""
    found: set[str] = set()
    todo = [name for name in names if name in definitions()]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [each for each in references(definition(name)) if each not in found]
    return found


def references(schema: Any) -> list[str]:
    """Return all definitions that a schema refers to, at any depth."""
    if isinstance(schema, list):
        return [name for each in schema for name in references(each)]
    if not isinstance(schema, dict):
        return []
    own = [name] if (name := reference(schema)) else []
    return own + [name for each in schema.values() for name in references(each)]


def component(name: str) -> dict:
    """Return a definition as OpenAPI v3 has it."""
    schema = to_v3(definition(name))
    for field in ("apiVersion", "kind"):
        schema.get("properties", {}).get(field, {}).pop("enum", None)  # our source's addition
    for (owner, field), values in ENUMS.items():
        if owner == name:
            schema["properties"][field]["enum"] = list(values)
    return schema


def to_v3(schema: Any) -> Any:
    """Return a JSON schema as OpenAPI 3.0 writes it: one type, references in allOf beside a description."""
    if isinstance(schema, list):
        return [to_v3(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(target := schema.get("$ref"), str):
        link = {"$ref": target.replace(REFERENCE, COMPONENTS)}
        rest = {key: to_v3(value) for key, value in schema.items() if key != "$ref"}
        return {**rest, "allOf": [link], "default": {}} if rest else link
    result = {key: to_v3(value) for key, value in schema.items() if key != "type"}
    if "type" in schema:
        types = schema["type"]  # may hold "null"; under properties it is a field called "type"
        result["type"] = next(each for each in types if each != "null") if isinstance(types, list) else to_v3(types)
    return result
