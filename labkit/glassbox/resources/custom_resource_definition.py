"""CustomResourceDefinition: a kind that a user adds to the API.

The API server accepts its names and serves it (apiserver/custom_resources.py); what its objects are like says
custom_resource.py.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import custom_resource_definitions as rules
from labkit.glassbox.resources.validation import metadata, structural
from labkit.glassbox.resources.validation.fields import invalid, unchanged

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
PENDING = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"


class CustomResourceDefinitionStrategy(Strategy):
    """Names follow from the kind; the status tells which are accepted, and in which versions objects may be stored."""

    has_status = True
    counts_generation = True

    def default(self, obj: dict) -> None:
        spec = obj.setdefault("spec", {})
        called = spec.setdefault("names", {})
        if called.get("kind"):
            called.setdefault("singular", called["kind"].lower())
            called.setdefault("listKind", f"{called['kind']}List")
        spec.setdefault("conversion", {}).setdefault("strategy", "None")
        for version in spec.get("versions") or ():
            for column in version.get("additionalPrinterColumns") or ():
                if column.get("priority") == 0:
                    del column["priority"]

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None}
        note_storage_version(obj)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        note_storage_version(obj)

    def prepare_for_status_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_status_update(obj, old)
        obj["status"] = {**(old.get("status") or {}), **(obj.get("status") or {})}

    def validate(self, obj: dict) -> list[Cause]:
        wanted = f"{objects.dig(obj, 'spec.names.plural', '')}.{obj['spec'].get('group', '')}"
        name = obj["metadata"].get("name", "")
        misnamed = (
            [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')] if name != wanted else []
        )
        return [*metadata.validate(obj["metadata"], self.name_rule, False), *misnamed, *rules.spec(obj)]

    def faults(self, obj: dict) -> Iterator[Cause]:
        return rules.spec(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        if is_true(old, "Established"):
            for path in ("spec.scope", "spec.names.kind"):
                yield from unchanged(path, objects.dig(obj, path), objects.dig(old, path))
        for path in ("spec.group", "spec.names.plural"):
            yield from unchanged(path, objects.dig(obj, path), objects.dig(old, path))

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(rules.names_of(obj["status"].get("acceptedNames") or {}, "status.acceptedNames"))

    def warnings(self, obj: dict) -> list[str]:
        schemas = [objects.dig(each, rules.SCHEMA) or {} for each in obj["spec"].get("versions") or ()]
        return [told for each in schemas for told in structural.unknown_formats(each)]

    def mark_deleted(self, obj: dict, grace: int, now: str) -> None:
        """Keep the definition until its objects are gone."""
        finalizers = obj["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, FINALIZER]
        condition = {"type": "Terminating", "status": "True", "reason": "InstanceDeletionPending", "message": PENDING}
        held = obj["status"].get("conditions") or []
        obj["status"]["conditions"] = [*held, {**condition, "lastTransitionTime": now}]


def is_true(crd: dict, kind: str) -> bool:
    """Tell whether a condition of a definition holds."""
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def note_storage_version(crd: dict) -> None:
    """Write down in which version objects are stored from now on."""
    stored = crd["status"].get("storedVersions") or []
    used = next((each["name"] for each in crd["spec"].get("versions") or () if each.get("storage")), None)
    crd["status"]["storedVersions"] = stored if used is None or used in stored else [*stored, used]


CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    kind="CustomResourceDefinition",
    storage_version="v1beta1",
    plural="customresourcedefinitions",
    definition="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    namespaced=False,
    strategy=CustomResourceDefinitionStrategy(),
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Created At", at("metadata.creationTimestamp"), describes="metadata.creationTimestamp", type="date"),
    ),
)
