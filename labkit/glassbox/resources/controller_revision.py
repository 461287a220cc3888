"""ControllerRevision: a template as it once was, kept so that one can go back to it.

Upstream: pkg/registry/apps/controllerrevision/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox import objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import fields, workloads


class ControllerRevisionStrategy(Strategy):
    def faults(self, obj: dict) -> Iterable[Cause]:
        return workloads.controller_revision(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*workloads.controller_revision(obj), *fields.unchanged("data", obj.get("data"), old.get("data"))]


def controller(obj: dict, now: float) -> str:
    """Return "daemonset.apps/name"."""
    owner = objects.controller_of(obj)
    if not owner:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"


CONTROLLER_REVISIONS = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    singular="controllerrevision",
    namespaced=True,
    definition="io.k8s.api.apps.v1.ControllerRevision",
    strategy=ControllerRevisionStrategy(),
    columns=(
        NAME,
        Column("Controller", controller, description="Controller of the object"),
        Column("Revision", at("revision", 0), describes="revision"),
        AGE,
    ),
    storage_version_hash="85nkx63pcBU=",
)
