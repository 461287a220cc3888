"""What resource quotas must be like.

Upstream: ValidateResourceQuota in pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import NOT_NEGATIVE, invalid, items, required, unsupported

OBJECTS = (
    *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"),
    *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
)
COMPUTE = (
    *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"),
    *("limits.cpu", "limits.memory", "limits.ephemeral-storage"),
)
STANDARD = (*OBJECTS, *COMPUTE, "requests.storage")
OPPOSITE = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
SCOPES = (*OPPOSITE[0], *OPPOSITE[1], "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def resource_quota(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from amounts(spec.get("hard"), "spec.hard")
    scopes = spec.get("scopes") or []
    for each in scopes:
        if each not in SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        elif any(not fits(each, name) for name in spec.get("hard") or ()):
            yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    if any(one in scopes and other in scopes for one, other in OPPOSITE):
        yield invalid("spec.scopes", scopes, "conflicting scopes")
    path = "spec.scopeSelector.matchExpressions"
    for at, each in items((spec.get("scopeSelector") or {}).get("matchExpressions"), path):
        yield from _requirement(each, at)


def _requirement(given: dict, path: str) -> Iterator[Cause]:
    scope, operator, values = given.get("scopeName", ""), given.get("operator", ""), given.get("values") or []
    if scope not in SCOPES:
        yield invalid(f"{path}.scopeName", scope, "unsupported scope")
    elif scope not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
        told = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
        told += "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
        yield invalid(f"{path}.operator", operator, f"{told}ResourceQuotaScopeCrossNamespacePodAffinity")
    if operator not in OPERATORS:
        yield unsupported(f"{path}.operator", operator, OPERATORS)
    elif operator in ("In", "NotIn") and not values:
        yield required(
            f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        )
    elif operator in ("Exists", "DoesNotExist") and values:
        yield invalid(
            f"{path}.values", values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        )


def fits(scope: str, name: str) -> bool:
    """Tell whether a scope can narrow what is counted under a name."""
    if scope == "BestEffort":
        return name == "pods"
    return name == "pods" or name in COMPUTE or name.startswith(("requests.", "limits.", "hugepages-"))


def status(given: dict) -> Iterator[Cause]:
    for field in ("hard", "used"):
        yield from amounts(given.get(field), f"status.{field}")


def amounts(given: dict | None, path: str) -> Iterator[Cause]:
    for name, amount in sorted((given or {}).items()):
        at = f"{path}[{name}]"
        yield from names.check(names.qualified_name, at, name)
        if "/" not in name and name not in STANDARD and not name.startswith(("requests.", "hugepages-", "limits.")):
            yield invalid(at, name, "must be a standard resource for quota")
        value = quantity.parse(amount)
        if value < 0:
            yield invalid(at, amount, NOT_NEGATIVE)
        if (name in OBJECTS or name.startswith("count/")) and value != value.to_integral_value():
            yield invalid(at, amount, "must be an integer")
