"""componentstatuses: whether the scheduler and the controllers are there, and whether the store answers.

Upstream asks their health endpoints; here a component counts as healthy while it has a watch open.

Upstream: pkg/registry/core/componentstatus/rest.go
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.errors import ApiError

WATCHERS = {"controller-manager": "system:kube-controller-manager", "scheduler": "system:kube-scheduler"}


def component_statuses(request: Request, api: Api) -> Answer:
    """Return all components' statuses, or one's. Raises ApiError 500 for one that there is not."""
    resource, name = request.resource, request.route.name
    found = {each: status(each, fault) for each, fault in faults(api).items()}
    if name:
        if name not in found:
            raise ApiError(500, "", f"Component not found: {name}")
        return Answer(obj={"kind": resource.kind, "apiVersion": "v1", **found[name]})
    return Answer(
        obj={
            "kind": "ComponentStatusList",
            "apiVersion": "v1",
            "metadata": {},
            "items": [found[each] for each in sorted(found)],
        },
        is_list=True,
    )


def faults(api: Api) -> dict[str, str]:
    """Return component → what is wrong with it, "" for nothing."""
    found = {name: "" if api.watchers[user] else f"{user} has no watch open" for name, user in WATCHERS.items()}
    try:
        api.store.revision_at(0)
        return {**found, "etcd-0": ""}
    except sqlite3.Error as error:
        return {**found, "etcd-0": str(error)}


def status(name: str, fault: str) -> dict:
    told = {"status": "False", "error": fault} if fault else {"status": "True", "message": "ok"}
    return {"metadata": {"name": name}, "conditions": [{"type": "Healthy", **told}]}


HANDLERS: dict[str, Callable[[Request, Api], Answer]] = {"componentstatuses": component_statuses}
