"""Role, ClusterRole and their bindings: what may be done, and who may do it.

A Role counts in its namespace; a ClusterRole wherever a binding says, in one namespace or in all. Nothing is ever
denied by a rule: what no rule allows is refused.

Upstream: pkg/registry/rbac/{role,rolebinding,clusterrole,clusterrolebinding}/strategy.go, pkg/apis/rbac/v1/defaults.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, PLAIN
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import internal_struct, names, rbac

GROUP = "rbac.authorization.k8s.io"


class RoleStrategy(Strategy):
    allow_create_on_update = True
    name_rule = staticmethod(names.path_segment)

    def __init__(self, faults: Callable[[dict], Iterable[Cause]]):
        self.faults = faults


class BindingStrategy(RoleStrategy):
    """What is bound never changes: who may see to subjects is not thereby given the rights of another role."""

    def default(self, obj: dict) -> None:
        for each in [obj.get("roleRef") or {}, *(obj.get("subjects") or [])]:
            if each.get("kind") != "ServiceAccount" and not each.get("apiGroup"):
                each["apiGroup"] = GROUP

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from super().change_faults(obj, old)
        yield from internal_struct.unchanged(
            "roleRef", obj["roleRef"], old["roleRef"], "RoleRef", "cannot change roleRef"
        )


def subjects(kind: str) -> Callable[[dict, float], str]:
    """Return a cell function that lists a binding's subjects of one kind."""

    def cell(binding: dict, now: float) -> str:
        found = [each for each in binding.get("subjects") or [] if each["kind"] == kind]
        named = [f"{each.get('namespace', '')}/" if kind == "ServiceAccount" else "" for each in found]
        return ", ".join(prefix + each["name"] for prefix, each in zip(named, found, strict=True))

    return cell


def _binding_columns(kind: str, bound: str) -> tuple[Column, ...]:
    told = f"RoleRef can {bound} in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return"
    role = Column(
        "Role", lambda obj, now: f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}", description=f"{told} an error."
    )
    listed = [
        Column(f"{of}s", subjects(of), description=f"{of}s in the {kind}", priority=1)
        for of in ("User", "Group", "ServiceAccount")
    ]
    return (NAME, role, AGE, *listed)


def _kind(kind: str, strategy: Strategy, columns: tuple[Column, ...]) -> Resource:
    return Resource(
        group=GROUP,
        kind=kind,
        plural=f"{kind.lower()}s",
        namespaced=not kind.startswith("Cluster"),
        strategy=strategy,
        columns=columns,
    )


ROLES = _kind("Role", RoleStrategy(rbac.role), PLAIN)
CLUSTER_ROLES = _kind("ClusterRole", RoleStrategy(rbac.cluster_role), PLAIN)
ROLE_BINDINGS = _kind(
    "RoleBinding",
    BindingStrategy(rbac.role_binding),
    _binding_columns("roleBinding", "reference a Role in the current namespace or a ClusterRole"),
)
CLUSTER_ROLE_BINDINGS = _kind(
    "ClusterRoleBinding",
    BindingStrategy(rbac.cluster_role_binding),
    _binding_columns("clusterRoleBinding", "only reference a ClusterRole"),
)
