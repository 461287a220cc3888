"""Who may do what: the filter behind authentication.

A request becomes Attributes, upstream's words for what is asked. The authorizers are asked in turn and the first that
says yes decides; a refusal says who may not do what, and why where an authorizer has told.

Invariants: members of system:masters may do everything, whatever the roles say; without a yes the answer is no; a
decision is remembered until a role, a binding or what a node has to do with an object changes.
Left out: webhook authorizers.

Upstream: staging/src/k8s.io/apiserver/pkg/{authorization/union,endpoints/handlers/responsewriters/errors.go}
"""

from __future__ import annotations

from labkit.glassbox import errors
from labkit.glassbox.apiserver.auth import MASTERS, User
from labkit.glassbox.apiserver.authorization.attributes import Attributes, Decision
from labkit.glassbox.apiserver.authorization.node import NodeAuthorizer
from labkit.glassbox.apiserver.authorization.rbac import RoleAuthorizer
from labkit.glassbox.store import Store

__all__ = ["Attributes", "Authorizer", "Decision", "forbidden"]


class Authorizer:
    """Node, then RBAC."""

    def __init__(self, store: Store):
        self.node, self.roles = NodeAuthorizer(store), RoleAuthorizer(store)

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Return whether the user may do that."""
        if MASTERS in user.groups:
            return Decision(True)
        of_node = self.node.decide(user, asked)
        if of_node.allowed:
            return of_node
        by_roles = self.roles.decide(user, asked)
        if by_roles.allowed or not of_node.reason:
            return by_roles
        return Decision(False, "\n".join(filter(None, (of_node.reason, by_roles.reason))))

    def require(self, user: User, asked: Attributes) -> None:
        """Raise ApiError 403 unless the user may do that."""
        decision = self.decide(user, asked)
        if not decision.allowed:
            raise forbidden(user, asked, decision.reason)


def forbidden(user: User, asked: Attributes, reason: str = "") -> errors.ApiError:
    """Return the refusal, in upstream's words."""
    why = f": {reason}" if reason else ""
    if asked.path is not None:
        told = f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"{why}'
        return errors.ApiError(403, "Forbidden", told, {})
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    what = f'cannot {asked.verb} resource "{asked.combined}" in API group "{asked.group}" {where}'
    return errors.forbidden(asked.resource, asked.name, f'User "{user.name}" {what}{why}', asked.group)
