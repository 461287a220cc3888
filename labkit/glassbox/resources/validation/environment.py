"""What a container's environment must satisfy: names, and where values come from.

Upstream: ValidateEnv in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import every, invalid, items, required, unsupported

ENV_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
POD_FIELDS = (*ENV_FIELDS, "metadata.annotations", "metadata.labels", "spec.restartPolicy", "status.phase")
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
CONTAINER_RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage"),
    "requests.memory",
)


def environment(container: dict, path: str) -> Iterator[Cause]:
    """Check env, then envFrom."""
    for at, each in items(container.get("env"), f"{path}.env"):
        yield from names.needed(names.environment_name, f"{at}.name", each.get("name", ""))
        if each.get("valueFrom") is not None:
            yield from value_from(each, f"{at}.valueFrom")
    yield from every(source, container.get("envFrom"), f"{path}.envFrom")


def value_from(variable: dict, path: str) -> Iterator[Cause]:
    given = {field: value for field, value in variable["valueFrom"].items() if value is not None}
    if "fieldRef" in given:
        yield from field_reference(given["fieldRef"], ENV_FIELDS, f"{path}.fieldRef")
    if "resourceFieldRef" in given:
        yield from resource_reference(given["resourceFieldRef"], f"{path}.resourceFieldRef")
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in given:
            yield from key_reference(given[field], f"{path}.{field}")
    if variable.get("value"):
        if given:
            yield invalid(path, "", "may not be specified when `value` is not empty")
    elif not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        yield invalid(path, "", f"must specify one of: {listed}")
    elif len(given) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def field_reference(reference: dict, supported: tuple[str, ...], path: str) -> Iterator[Cause]:
    """Check a field of the pod itself, "metadata.labels['app']" included."""
    given = reference.get("fieldPath", "")
    if not given:
        yield required(f"{path}.fieldPath")
        return
    field, subscript, _ = given.partition("[")
    if field not in POD_FIELDS or (subscript and field not in ("metadata.labels", "metadata.annotations")):
        told = f"error converting fieldPath: field label not supported: {given}"
        yield invalid(f"{path}.fieldPath", given, told)
    elif not subscript and field not in supported:
        yield unsupported(f"{path}.fieldPath", given, supported)


def resource_reference(reference: dict, path: str) -> Iterator[Cause]:
    resource = reference.get("resource", "")
    if not resource:
        yield required(f"{path}.resource")
    elif resource not in CONTAINER_RESOURCES and ".hugepages-" not in resource:
        yield unsupported(f"{path}.resource", resource, CONTAINER_RESOURCES)


def key_reference(reference: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.dns_subdomain, f"{path}.name", reference.get("name", ""))
    yield from names.needed(names.config_key, f"{path}.key", reference.get("key", ""))


def source(given: dict, path: str) -> Iterator[Cause]:
    if given.get("prefix"):
        yield from names.check(names.environment_name, f"{path}.prefix", given["prefix"])
    found = [field for field in ("configMapRef", "secretRef") if given.get(field) is not None]
    for field in found:
        yield from names.check(names.dns_subdomain, f"{path}.{field}.name", given[field].get("name", ""))
    if not found:
        yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
    elif len(found) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")
