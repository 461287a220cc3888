"""What a container's environment must satisfy: names, and where values come from.

Upstream: ValidateEnv, ValidateEnvFrom in pkg/apis/core/validation/validation.go, pkg/apis/core/pods/helpers.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    invalid,
    items,
    no_parent,
    not_found,
    required,
    unsupported,
)

ENV_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
WITH_KEYS = ("metadata.annotations", "metadata.labels")
POD_FIELDS = (*ENV_FIELDS, *WITH_KEYS, "spec.restartPolicy", "spec.schedulerName", "status.phase")
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
CONTAINER_RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage"),
    "requests.memory",
)
HUGE_PAGES = ("requests.hugepages-", "limits.hugepages-")
SIZES = ("1", *(f"1{unit}" for unit in ("k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
# what a resource is called in error texts → the units in which it may be told
DIVISORS = {"cpu": ("1m", "1"), "memory": SIZES, "ephemeral-storage": SIZES, "hugepages": SIZES}
CALLED = {"ephemeral-storage": "local ephemeral storage"}


def environment(container: dict, path: str) -> Iterator[Cause]:
    """Check env, then envFrom."""
    for at, each in items(container.get("env"), f"{path}.env"):
        yield from names.needed(names.environment_name, f"{at}.name", each.get("name", ""))
        if each.get("valueFrom") is not None:
            yield from value_from(each, f"{at}.valueFrom")
    for at, each in items(container.get("envFrom"), f"{path}.envFrom"):
        yield from source(each, at, f"{path}.envFrom")


def value_from(variable: dict, path: str) -> Iterator[Cause]:
    given = variable["valueFrom"]
    if "fieldRef" in given:
        yield from field_reference(given["fieldRef"], ENV_FIELDS, f"{path}.fieldRef")
    if "resourceFieldRef" in given:
        yield from resource_reference(given["resourceFieldRef"], f"{path}.resourceFieldRef")
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in given:
            yield from key_reference(given[field], f"{path}.{field}")
    if "fileKeyRef" in given:
        yield from _file_reference(given["fileKeyRef"], f"{path}.fileKeyRef")
    if not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        yield invalid(path, "", f"must specify one of: {listed}")
    elif variable.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def field_reference(reference: dict, supported: tuple[str, ...], path: str) -> Iterator[Cause]:
    """Check a field of the pod itself, "metadata.labels['app']" included."""
    given = reference.get("fieldPath", "")
    if not given:
        yield required(f"{path}.fieldPath")
        return
    field, told = given, ""
    before, mark, key = given.removesuffix("']").partition("['")
    if has_key := bool(given.endswith("']") and before and mark):
        field = before
    if reference.get("apiVersion") != "v1":
        told = f"unsupported pod version: {reference.get('apiVersion')}"
    elif has_key and field not in WITH_KEYS:
        told = f"field label does not support subscript: {given}"
    elif not has_key and field not in (*POD_FIELDS, "spec.host"):
        told = f"field label not supported: {given}"
    if told:
        yield invalid(f"{path}.fieldPath", given, f"error converting fieldPath: {told}")
    elif has_key:
        yield from names.check(names.qualified_name, path, key.lower() if field == "metadata.annotations" else key)
    elif (field := "spec.nodeName" if field == "spec.host" else field) not in supported:
        yield unsupported(f"{path}.fieldPath", field, supported)


def resource_reference(reference: dict, path: str, of_volume: bool = False) -> Iterator[Cause]:
    resource = reference.get("resource", "")
    if of_volume and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif resource not in CONTAINER_RESOURCES and not resource.startswith(HUGE_PAGES):
        yield unsupported(f"{path}.resource", resource, CONTAINER_RESOURCES)
    kind = "hugepages" if resource.startswith(HUGE_PAGES) else resource.partition(".")[2]
    divisor, units = reference.get("divisor", "0"), DIVISORS.get(kind)
    if units and divisor not in units and quantity.parse(divisor):
        listed = " and ".join(units) if kind == "cpu" else ", ".join(units)
        told = f"only divisor's values {listed} are supported with the {CALLED.get(kind, kind)} resource"
        yield invalid(f"{path}.divisor", resource, told)


def key_reference(reference: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.dns_subdomain, f"{path}.name", reference.get("name", ""))
    yield from names.needed(names.config_key, f"{path}.key", reference.get("key", ""))


def _file_reference(reference: dict, path: str) -> Iterator[Cause]:
    """Check a variable that stands in a file, which another container writes."""
    yield from names.needed(names.environment_name, f"{path}.key", reference.get("key", ""))
    yield from names.needed(names.dns_label, f"{path}.volumeName", reference.get("volumeName", ""))
    if not reference.get("path"):
        yield required(f"{path}.path")
    else:
        yield from no_parent(f"{path}.path", reference["path"])


def files(volumes: dict[str, dict], containers: Iterable[tuple[str, dict]]) -> Iterator[Cause]:
    """Refuse files of variables that lie elsewhere than in an emptyDir of the pod."""
    for at, container in containers:
        for where, variable in items(container.get("env"), f"{at}.env"):
            if (reference := dig(variable, "valueFrom.fileKeyRef")) is None:
                continue
            name, where = reference.get("volumeName", ""), f"{where}.valueFrom.fileKeyRef.volumeName"
            if name not in volumes:
                yield not_found(where, name)
            elif "emptyDir" not in volumes[name]:
                yield invalid(where, name, "referenced volume must be of type emptyDir")


def source(given: dict, path: str, of_all: str) -> Iterator[Cause]:
    """Check where many variables come from; upstream does not say which source has none or two."""
    if given.get("prefix"):
        yield from names.check(names.environment_name, f"{path}.prefix", given["prefix"])
    found = [field for field in ("configMapRef", "secretRef") if given.get(field) is not None]
    for field in found:
        yield from names.needed(
            names.as_prefix(names.dns_subdomain), f"{path}.{field}.name", given[field].get("name", "")
        )
    if not found:
        yield invalid(of_all, "", "must specify one of: `configMapRef` or `secretRef`")
    elif len(found) > 1:
        yield invalid(of_all, "", "may not have more than one field specified at a time")
