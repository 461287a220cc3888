"""Fills ClusterRoles that are made of others: `view` is whatever carries the label aggregate-to-view.

So who adds a kind adds one labelled role, and everybody who may view may view it.

Upstream: pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller
from labkit.glassbox.selectors import from_label_selector

ROLES = "clusterroles"


class ClusterRoleAggregationController(Controller):
    """The key is a ClusterRole with an aggregation rule; each change of any role concerns all of them."""

    name = "clusterrole-aggregation-controller"

    @property
    def watches(self):
        return {ROLES: lambda role: [objects.key(each) for each in self.cache[ROLES].list() if is_aggregate(each)]}

    def reconcile(self, key: str) -> None:
        role = self.cache[ROLES].get(key)
        if role is None or not is_aggregate(role):
            return
        rules = aggregated(role, self.cache[ROLES].list())
        if rules != (role.get("rules") or []):
            self.api.update(ROLES, {**role, "rules": rules})


def is_aggregate(role: dict) -> bool:
    return bool(role.get("aggregationRule"))


def aggregated(role: dict, roles: list[dict]) -> list[dict]:
    """Return the rules of all roles that are selected, in the order of their names, each once."""
    selectors = [from_label_selector(each) for each in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    rules: list[dict] = []
    for each in sorted(roles, key=objects.name):
        if each is not role and any(selector.matches(objects.labels(each)) for selector in selectors):
            rules += [rule for rule in each.get("rules") or () if rule not in rules]
    return rules
