"""What an object takes of a ResourceQuota: the arithmetic that admission and the quota controller share.

An amount is counted under names: `pods` and `count/pods` for a pod, `requests.cpu` and `cpu` for what it asks for. Sums
are kept as quantities in the form in which they were asked for ("64Mi").

Invariants: a pod that has ended takes nothing but its place among count/pods; what no quota names is not counted.
Left out: device claims, hugepages, the scope VolumeAttributesClass.

Upstream: pkg/quota/v1/evaluator/core, staging/src/k8s.io/apiserver/pkg/quota/v1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from labkit.glassbox import objects, pod_requests, quantity
from labkit.glassbox.resources import REGISTRY, Resource
from labkit.glassbox.resources.pod import qos_class

Amounts = dict[str, str]  # name → quantity

OBJECTS = ("replicationcontrollers", "resourcequotas", "secrets", "configmaps", "services", "persistentvolumeclaims")
COMPUTE = ("cpu", "memory", "ephemeral-storage")
OF_CLASS = ".storageclass.storage.k8s.io/"


def usage(resource: Resource, obj: dict) -> Amounts:
    """Return what an object takes, under each name that it may be counted by."""
    taken = {f"count/{resource.group_plural}": "1"}
    if resource.group:
        return taken
    if resource.plural in OBJECTS:
        taken[resource.plural] = "1"
    special = {"pods": of_pod, "services": of_service, "persistentvolumeclaims": of_claim}.get(resource.plural)
    return {**taken, **(special(obj) if special else {})}


def of_pod(pod: dict) -> Amounts:
    """Return what a pod takes while it has not ended."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    taken = {"pods": "1"}
    for name, amount in pod_total(pod, "requests").items():
        taken[f"requests.{name}"] = amount
        if name in COMPUTE:
            taken[name] = amount
    return taken | {f"limits.{name}": amount for name, amount in pod_total(pod, "limits").items() if name in COMPUTE}


def pod_total(pod: dict, field: str) -> Amounts:
    """Return what a pod requests, or may have, as quantities."""
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"], pod["spec"]]
    asked = [(each.get("resources") or {}).get(field) or {} for each in containers]
    totals = {}
    for name, amount in pod_requests.requests(pod, field=field).items():
        like = next((each[name] for each in asked if name in each), "")
        totals[name] = quantity.written(Decimal(amount) / (1000 if name == "cpu" else 1), like)
    return totals


def of_service(service: dict) -> Amounts:
    """Return the ports that a service takes of the nodes, and whether it wants a balancer."""
    spec = service.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or []
    nodeports = len(ports) if kind in ("NodePort", "LoadBalancer") else 0
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        nodeports = sum(bool(each.get("nodePort")) for each in ports)
    return {"services.nodeports": str(nodeports), "services.loadbalancers": str(int(kind == "LoadBalancer"))}


def of_claim(claim: dict) -> Amounts:
    """Return the storage that a claim asks for, also by its class."""
    wanted = objects.dig(claim, "spec.resources.requests.storage", "0")
    taken = {"requests.storage": wanted}
    if name := objects.dig(claim, "spec.storageClassName"):
        taken |= {f"{name}{OF_CLASS}requests.storage": wanted, f"{name}{OF_CLASS}persistentvolumeclaims": "1"}
    return taken


def counted(name: str) -> Resource | None:
    """Return the kind of which a name counts something."""
    if name.startswith("count/"):
        return _find(name.removeprefix("count/"))
    if name.endswith("persistentvolumeclaims") or name.endswith("requests.storage"):
        return _find("persistentvolumeclaims")
    if name.startswith("services."):
        return _find("services")
    return _find(name) if name in OBJECTS else _find("pods")


def _find(group_plural: str) -> Resource | None:
    try:
        return REGISTRY.find(group_plural)
    except KeyError:
        return None


# --- which objects a quota is about


def applies(quota: dict, resource: Resource, obj: dict) -> bool:
    """Tell whether the quota's scopes let it count the object: they narrow down pods alone."""
    return resource.plural != "pods" or bool(resource.group) or all(in_scope(each, obj) for each in scopes(quota))


def scopes(quota: dict) -> Iterator[dict]:
    """Yield the quota's scopes as terms of a selector."""
    spec = quota.get("spec") or {}
    yield from ({"scopeName": each, "operator": "Exists"} for each in spec.get("scopes") or ())
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def in_scope(term: dict, pod: dict) -> bool:
    """Tell whether a pod is within one scope."""
    spec, scope = pod["spec"], term["scopeName"]
    if scope == "PriorityClass":
        return _matches(term, spec.get("priorityClassName") or "")
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (qos_class(pod) == "BestEffort") == (scope == "BestEffort")
    return scope == "CrossNamespacePodAffinity" and any(map(_crosses, _affinity_terms(spec)))


def _matches(term: dict, name: str) -> bool:
    operator, values = term["operator"], term.get("values") or ()
    if operator in ("Exists", "DoesNotExist"):
        return bool(name) == (operator == "Exists")
    return (name in values) == (operator == "In")


def _crosses(term: dict) -> bool:
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None


def _affinity_terms(spec: dict) -> Iterator[dict]:
    for kind in ("podAffinity", "podAntiAffinity"):
        given = (spec.get("affinity") or {}).get(kind) or {}
        yield from given.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        weighted = given.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        yield from (each["podAffinityTerm"] for each in weighted)


# --- sums


def only(amounts: Amounts, names: Iterable[str]) -> Amounts:
    """Return the amounts of these names."""
    return {name: amounts[name] for name in names if name in amounts}


def more(new: Amounts, old: Amounts) -> Amounts:
    """Return by how much each amount grows; what does not grow is left out."""
    grown = {}
    for name, amount in new.items():
        difference = quantity.parse(amount) - quantity.parse(old.get(name, "0"))
        if difference > 0:
            grown[name] = quantity.written(difference, amount)
    return grown


def added(one: Amounts, other: Amounts) -> Amounts:
    """Return one plus what the other has under the same names."""
    return {name: quantity.total((amount, other.get(name, "0"))) for name, amount in one.items()}
