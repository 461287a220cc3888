"""What a node may do: see to itself and to the pods that are bound to it, and read what these pods name.

A node is a user `system:node:NAME` of the group system:nodes. It reads a Secret, a ConfigMap or a claim, or asks for a
token of a service account, only while a pod of its own names it; a volume, while it is bound to such a claim. What is
the same for every node follows from the rules of the role system:node. What a node may write into an object is
NodeRestriction's part (admission/node_restriction.py).

Upstream: plugin/pkg/auth/authorizer/node/{node_authorizer,graph}.go, pkg/auth/nodeidentifier/default.go
"""

from __future__ import annotations

import orjson

from labkit.glassbox import objects
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization.attributes import Attributes, Decision
from labkit.glassbox.apiserver.authorization.rbac import allows
from labkit.glassbox.apiserver.objects_at_rest import key, prefix
from labkit.glassbox.pod_references import references
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.rbac import CLUSTER_ROLES
from labkit.glassbox.store import Store

NODES, PREFIX = "system:nodes", "system:node:"
LEASES = "kube-node-lease"
MOST_NAMESPACES = 128  # of which it is remembered what pods name
YES, NO = Decision(True), Decision(False)
READ = ("get", "list", "watch")
LEASE_VERBS = ("get", "create", "update", "patch", "delete")


def node_name(user: User) -> str:
    """Return the node that the user is, "" for anybody else."""
    return user.name.removeprefix(PREFIX) if NODES in user.groups and user.name.startswith(PREFIX) else ""


class NodeAuthorizer:
    """Answers nodes; of anybody else it has no opinion."""

    def __init__(self, store: Store):
        self.store = store
        # namespace → key of a pod → (revision, its node, what it names); read again where the revision has moved on
        self.pods: dict[str, dict[str, tuple[int, str, frozenset]]] = {}

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Return whether a node may do that."""
        node = node_name(user)
        if not node:
            return NO
        special = SPECIAL.get((asked.group, asked.resource))
        return special(self, node, asked) if special else self._by_rules(asked)

    def _by_rules(self, asked: Attributes) -> Decision:
        row = self.store.get(key(CLUSTER_ROLES, "", "system:node"))
        rules = orjson.loads(row.value)["rules"] if row else ()
        return YES if any(allows(rule, asked) for rule in rules or ()) else NO

    # --- objects that pods name

    def _read_named(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in READ:
            return Decision(False, "can only read resources of this type")
        if asked.subresource:
            return Decision(False, "cannot read subresource")
        if not asked.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, asked)

    def _read_claim(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource == "status":
            if asked.verb not in ("update", "patch"):
                return Decision(False, "can only get/update/patch this type")
            return self._related(node, asked)
        return self._get(node, asked)

    def _get(self, node: str, asked: Attributes) -> Decision:
        if asked.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if asked.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, asked)

    def _token(self, node: str, asked: Attributes) -> Decision:
        if asked.verb != "create" or not asked.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if asked.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, asked)

    def _related(self, node: str, asked: Attributes) -> Decision:
        if not asked.name:
            return Decision(False, "No Object name found")
        if self.is_related(node, asked.resource, asked.namespace, asked.name):
            return YES
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def is_related(self, node: str, resource: str, namespace: str, name: str) -> bool:
        """Tell whether a pod on the node is the object, or names it."""
        if resource == "persistentvolumes":
            row = self.store.get(key(REGISTRY.find(resource), "", name))
            claim = objects.dig(orjson.loads(row.value), "spec.claimRef") if row else None
            bound = (claim.get("namespace", ""), claim.get("name", "")) if claim else ("", "")
            return bool(claim) and self.is_related(node, "persistentvolumeclaims", *bound)
        return any(there == node and (resource, name) in named for _, there, named in self._pods(namespace))

    def _pods(self, namespace: str) -> list[tuple[int, str, frozenset]]:
        known, now = self.pods.get(namespace, {}), {}
        for row in self.store.rows(prefix(REGISTRY.find("pods"), namespace))[0]:
            held = known.get(row.key)
            if held is None or held[0] != row.revision:
                pod = orjson.loads(row.value)
                named = frozenset((*references(pod), ("pods", objects.name(pod))))
                held = (row.revision, pod["spec"].get("nodeName", ""), named)
            now[row.key] = held
        if len(self.pods) >= MOST_NAMESPACES:
            self.pods = {}  # most of them are gone
        self.pods[namespace] = now
        return list(now.values())

    # --- the node itself, and its pods

    def _node(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource:
            return YES if asked.subresource == "status" and asked.verb in ("update", "patch") else NO
        if asked.verb in ("create", "update", "patch"):
            return YES  # NodeRestriction sees to it that it is its own
        if asked.verb not in READ:
            return NO
        if asked.name == node:
            return YES
        what = f"'{asked.name}'" if asked.name else "all nodes"
        return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")

    def _pod(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource:
            allowed = {"status": ("update", "patch"), "eviction": ("create",)}
            return YES if asked.verb in allowed.get(asked.subresource, ()) else NO
        if asked.verb in ("create", "delete"):
            return YES
        if asked.verb == "get":
            return self._get(node, asked)
        if asked.verb not in READ:
            return NO
        if ("spec.nodeName", node) in asked.fields:
            return YES
        if asked.name:
            return self._related(node, asked)
        return Decision(False, "can only list/watch pods with spec.nodeName field selector")

    def _lease(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in LEASE_VERBS:
            return Decision(False, "can only get, create, update, patch, or delete a node lease")
        if asked.namespace != LEASES:
            return Decision(False, f'can only access leases in the "{LEASES}" system namespace')
        if asked.verb != "create" and asked.name != node:
            return Decision(False, "can only access node lease with the same name as the requesting node")
        return YES

    def _csi_node(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in LEASE_VERBS:
            return Decision(False, "can only get, create, update, patch, or delete a CSINode")
        if asked.verb != "create" and asked.name != node:
            return Decision(False, "can only access CSINode with the same name as the requesting node")
        return YES


SPECIAL = {
    ("", "secrets"): NodeAuthorizer._read_named,
    ("", "configmaps"): NodeAuthorizer._read_named,
    ("", "persistentvolumeclaims"): NodeAuthorizer._read_claim,
    ("", "persistentvolumes"): NodeAuthorizer._get,
    ("", "serviceaccounts"): NodeAuthorizer._token,
    ("", "nodes"): NodeAuthorizer._node,
    ("", "pods"): NodeAuthorizer._pod,
    ("coordination.k8s.io", "leases"): NodeAuthorizer._lease,
    ("storage.k8s.io", "csinodes"): NodeAuthorizer._csi_node,
}
