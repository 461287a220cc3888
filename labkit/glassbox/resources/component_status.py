"""ComponentStatus and Binding: an old look at the components, and the old door of the scheduler. Nobody stores either.

Upstream: pkg/registry/core/componentstatus/rest.go, pkg/registry/core/pod/storage/storage.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy


def _of_condition(name: str, field: str) -> Column:
    def cell(obj: dict, now: float) -> str:
        if field == "status":
            return "Healthy" if obj["conditions"][0]["status"] == "True" else "Unhealthy"
        return obj["conditions"][0].get(field, "")

    return Column(name, cell, description=f"{name} of the component conditions")


COMPONENT_STATUSES = Resource(
    kind="ComponentStatus",
    plural="componentstatuses",
    singular="componentstatus",
    namespaced=False,
    strategy=Strategy(),
    short_names=("cs",),
    verbs=("get", "list"),
    columns=(
        NAME,
        _of_condition("Status", "status"),
        _of_condition("Message", "message"),
        _of_condition("Error", "error"),
    ),
    deprecated="v1 ComponentStatus is deprecated in v1.19+",
)
BINDINGS = Resource(kind="Binding", plural="bindings", strategy=Strategy(), verbs=("create",))
