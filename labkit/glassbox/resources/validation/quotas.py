"""What resource quotas must be like.

Upstream: ValidateResourceQuota in pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import invalid, required
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.resource_amounts import COMPUTE, OBJECTS, amount_of, resource_name

STANDARD = (*OBJECTS, *COMPUTE, "requests.storage")
OPPOSITE = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
SCOPES = (*OPPOSITE[0], *OPPOSITE[1], "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass")
UNFIT = "unsupported scope applied to resource"
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def resource_quota(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from amounts(spec.get("hard"), "spec.hard")
    scopes = spec.get("scopes") or []
    counted = sorted(name for name in spec.get("hard") or () if is_standard(name))
    for each in scopes:
        if each not in SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        yield from (invalid("spec.scopes", scopes, UNFIT) for name in counted if not fits(each, name))
    yield from _opposites(scopes, scopes)
    selector, path = spec.get("scopeSelector") or {}, "spec.scopeSelector.matchExpressions"
    terms = selector.get("matchExpressions") or []
    for each in terms:
        unfit = [name for name in counted if not fits(each.get("scopeName", ""), name)]
        yield from _requirement(each, path, [invalid(path, struct("ScopeSelector", selector), UNFIT) for _ in unfit])
    yield from _opposites([each.get("scopeName") for each in terms], scopes or None)


def _opposites(found: list, shown: list | None) -> Iterator[Cause]:
    for one, other in OPPOSITE:
        if one in found and other in found:
            yield invalid("spec.scopes", shown, "conflicting scopes")


def _requirement(given: dict, path: str, unfit: list[Cause]) -> Iterator[Cause]:
    """Check one term; upstream's paths do not say which."""
    scope, operator, values = given.get("scopeName", ""), given.get("operator", ""), given.get("values") or []
    if scope not in SCOPES:
        yield invalid(f"{path}.scopeName", scope, "unsupported scope")
    yield from unfit
    if scope in SCOPES and scope not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
        told = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
        told += "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
        yield invalid(f"{path}.operator", operator, f"{told}ResourceQuotaScopeCrossNamespacePodAffinity")
    if operator not in OPERATORS:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
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
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return scope not in SCOPES or name == "pods" or (name in COMPUTE and not name.endswith("ephemeral-storage"))


def status(given: dict) -> Iterator[Cause]:
    for field in ("hard", "used"):
        yield from amounts(given.get(field), f"status.{field}")


def amounts(given: dict | None, path: str) -> Iterator[Cause]:
    for name, amount in sorted((given or {}).items()):
        at = f"{path}[{name}]"
        yield from resource_name(name, at, for_containers=False)
        if "/" not in name and not is_standard(name):
            yield invalid(at, name, "must be a standard resource for quota")
        yield from amount_of(name, amount, at)


def is_standard(name: str) -> bool:
    return name in STANDARD or name.startswith(("hugepages-", "requests.hugepages-"))
