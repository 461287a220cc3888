"""Keeps a role from saying, and a binding from giving, more than its author may do himself.

Stands for the policy-based storages of roles and bindings, which are no admission plugins upstream but act as one.

Upstream: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go
"""

from __future__ import annotations

from labkit.glassbox import errors
from labkit.glassbox.apiserver.auth import MASTERS
from labkit.glassbox.apiserver.authorization import Attributes, escalation
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources.rbac import GROUP

EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]


def guard_roles(request: Request, obj: dict, api: Api, old: dict | None = None) -> None:
    """Refuse a role or binding that gives what its author has not. Raises ApiError 403 or 404."""
    if request.resource.group != GROUP or MASTERS in request.user.groups:
        return
    if old and all(obj.get(field) == old.get(field) for field in ("rules", "aggregationRule", "subjects", "roleRef")):
        return
    check = _binding if "roleRef" in obj else _role
    check(request, obj, api)


def _role(request: Request, obj: dict, api: Api) -> None:
    route, decide = request.route, api.authorizer.decide
    name = obj["metadata"].get("name", "")
    if decide(request.user, Attributes("escalate", GROUP, route.plural, "", route.namespace, name)).allowed:
        return
    everything = [] if obj.get("aggregationRule") is None else EVERYTHING
    if escalation.refusal(request.user, api.authorizer.roles.grants(request.user, ""), everything):
        raise _refused(request, obj, "must have cluster-admin privileges to use the aggregationRule")
    _hold(request, obj, api, obj.get("rules") or [])


def _binding(request: Request, obj: dict, api: Api) -> None:
    reference, namespace = obj.get("roleRef") or {}, request.route.namespace
    bound = f"{reference.get('kind', '').lower()}s"
    asked = Attributes("bind", GROUP, bound, "", namespace, reference.get("name", ""))
    if api.authorizer.decide(request.user, asked).allowed or reference.get("kind") not in ("Role", "ClusterRole"):
        return  # a role of no known kind is refused by validation
    rules = api.authorizer.roles.rules_of(reference, namespace)
    if rules is None:
        raise errors.not_found(request.resource.plural, reference["name"], GROUP)
    _hold(request, obj, api, rules)


def _hold(request: Request, obj: dict, api: Api, rules: list[dict]) -> None:
    held = api.authorizer.roles.grants(request.user, request.route.namespace)
    if why := escalation.refusal(request.user, held, rules):
        raise _refused(request, obj, why)


def _refused(request: Request, obj: dict, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource.plural, obj["metadata"].get("name", ""), why, GROUP)
