"""ControllerRevision: a template as it once was, kept so that one can go back to it.

Upstream: pkg/registry/apps/controllerrevision/strategy.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import workloads


class ControllerRevisionStrategy(Strategy):
    faults = staticmethod(workloads.controller_revision)
    immutable = ("data",)


def controller(obj: dict, now: float) -> str:
    """Return "daemonset.apps/name"."""
    owner = objects.controller_of(obj)
    if not owner:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"


CONTROLLER_REVISIONS = Resource(
    group="apps",
    kind="ControllerRevision",
    plural="controllerrevisions",
    strategy=ControllerRevisionStrategy(),
    columns=(
        NAME,
        Column("Controller", controller, description="Controller of the object"),
        Column("Revision", at("revision", 0), describes="revision"),
        AGE,
    ),
)
