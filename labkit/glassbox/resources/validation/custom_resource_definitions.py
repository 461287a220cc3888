"""What a CustomResourceDefinition may say, in upstream's words and order.

What all versions have alike is told of at `spec.validation`, `spec.subresources` and so on, as upstream's own form of
the definition has it there.

Left out: conversion by a webhook, which is refused by its name.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from labkit.glassbox import objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import json_path
from labkit.glassbox.resources.structural import schema_of
from labkit.glassbox.resources.validation import go_struct, names, structural
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    forbidden,
    invalid,
    one_of,
    required,
    too_many,
    unsupported,
)

COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
APPROVAL = "api-approved.kubernetes.io"
NEEDS_APPROVAL = ("k8s.io", "kubernetes.io")
MOST_SELECTABLE = 8
AT_ROOT = (
    *("description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items"),
    *("properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"),
)
SCHEMA, COLUMNS = "schema.openAPIV3Schema", "additionalPrinterColumns"
PRESERVES = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"


def spec(obj: dict) -> Iterator[Cause]:
    """Yield what is wrong with a definition's spec and the versions that it has stored."""
    told, versions = obj["spec"], obj["spec"].get("versions") or []
    yield from _group(told.get("group", ""))
    if not told.get("scope"):
        yield required("spec.scope")
    yield from one_of("spec.scope", told.get("scope") or None, ("Cluster", "Namespaced"))
    for index, each in enumerate(versions):
        if dig(each, SCHEMA) is None:
            yield required(f"spec.versions[{index}].{SCHEMA}")
    yield from _versions(versions)
    given = told.get("names") or {}
    yield from (
        required(f"spec.names.{each}") for each in ("plural", "singular", "kind", "listKind") if not given.get(each)
    )
    yield from names_of(given, "spec.names")
    for version, path in once(versions, SCHEMA, "spec.validation.openAPIV3Schema"):
        if (schema := dig(version, SCHEMA)) is not None:
            has_status = dig(version, "subresources.status") is not None
            yield from _root_with_status(schema, path) if has_status else ()
            yield from structural.check(schema, path)
    for version, path in once(versions, "subresources", "spec.subresources"):
        yield from _scale(dig(version, "subresources.scale"), f"{path}.scale")
    for version, path in once(versions, COLUMNS, f"spec.{COLUMNS}"):
        for index, each in enumerate(version.get(COLUMNS) or ()):
            yield from _column(each, f"{path}[{index}]")
    for version, path in once(versions, "selectableFields", "spec.selectableFields"):
        yield from _selectable(version.get("selectableFields") or [], dig(version, SCHEMA) or {}, path)
    yield from _conversion(told.get("conversion") or {})
    yield from stored_versions((obj.get("status") or {}).get("storedVersions") or [], versions)
    yield from _approval(obj)
    if told.get("preserveUnknownFields"):
        yield invalid("spec.preserveUnknownFields", True, PRESERVES)


def once(versions: list[dict], field: str, shared: str) -> Iterator[tuple[dict, str]]:
    """Yield each version with the path of one of its fields: the first alone if all have the same."""
    if versions and all(dig(each, field) == dig(versions[0], field) for each in versions):
        yield versions[0], shared
        return
    yield from ((each, f"spec.versions[{index}].{field}") for index, each in enumerate(versions))


def _group(group: str) -> Iterator[Cause]:
    if not group:
        yield required("spec.group")
    elif faults := names.dns_subdomain(group):
        yield invalid("spec.group", group, ",".join(faults))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _versions(versions: list[dict]) -> Iterator[Cause]:
    called = [each.get("name", "") for each in versions]
    for index, (name, each) in enumerate(zip(called, versions, strict=True)):
        if faults := names.dns_1035_label(name):
            yield invalid(f"spec.versions[{index}].name", name, ",".join(faults))
        if each.get("deprecationWarning") is not None:
            for told in _warning(each["deprecationWarning"], bool(each.get("deprecated"))):
                yield invalid(f"spec.versions[{index}].deprecationWarning", each["deprecationWarning"], told)
    if len(set(called)) < len(called):
        yield invalid("spec.versions", go_struct.versions(versions), "must contain unique version names")
    if sum(bool(each.get("storage")) for each in versions) != 1:
        told = "must have exactly one version marked as storage version"
        yield invalid("spec.versions", go_struct.versions(versions), told)
    if called and (faults := names.dns_1035_label(called[0])):
        yield invalid("spec.version", called[0], ",".join(faults))


def _warning(text: str, is_deprecated: bool) -> Iterator[str]:
    if not is_deprecated:
        yield "can only be set for deprecated versions"
        return
    if len(text.encode()) > 256:
        yield "must be <= 256 characters long"
    if not text:
        yield "must not be an empty string"
    bad = next((letter for letter in text if not letter.isprintable()), None)
    if bad is not None:
        at = len(text[: text.index(bad)].encode())
        yield f"must only contain printable UTF-8 characters; non-printable character found at index {at}"


def names_of(given: dict, path: str) -> Iterator[Cause]:
    """Check the names of a kind, as far as they are given."""
    for field in ("plural", "singular"):
        if given.get(field) and (faults := names.dns_1035_label(given[field])):
            yield invalid(f"{path}.{field}", given[field], ",".join(faults))
    mixed = "may have mixed case, but should otherwise match: "
    if given.get("kind") and (faults := names.dns_1035_label(given["kind"].lower())):
        yield invalid(f"{path}.kind", given["kind"], mixed + ",".join(faults))
    for index, each in enumerate(given.get("shortNames") or ()):
        if faults := names.dns_1035_label(each):
            yield invalid(f"{path}.shortNames[{index}]", each, ",".join(faults))
    if given.get("listKind") and (faults := names.dns_1035_label(given["listKind"].lower())):
        yield invalid(f"{path}.listKind", given["listKind"], mixed + ",".join(faults))
    if given.get("kind") and given["kind"] == given.get("listKind"):
        yield invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")
    for index, each in enumerate(given.get("categories") or ()):
        if faults := names.dns_1035_label(each):
            yield invalid(f"{path}.categories[{index}]", each, ",".join(faults))


def _simple_path(text: str, path: str) -> list[Cause]:
    return [] if text.startswith(".") else [invalid(path, text, "must be a simple json path starting with .")]


def _scale(scale: dict | None, path: str) -> Iterator[Cause]:
    if scale is None:
        return
    for field, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        given, at = scale.get(field, ""), f"{path}.{field}"
        if not given:
            yield required(at)
        elif faults := _simple_path(given, at):
            yield from faults
        elif not given.startswith(f"{below}."):
            yield invalid(at, given, f"should be a json path under {below}")
    if selector := scale.get("labelSelectorPath"):
        at = f"{path}.labelSelectorPath"
        if faults := _simple_path(selector, at):
            yield from faults
        elif not selector.startswith((".spec.", ".status.")):
            yield invalid(at, selector, "should be a json path under either .spec or .status")


def _column(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("name"):
        yield required(f"{path}.name")
    if not given.get("type"):
        yield required(f"{path}.type", f"must be one of {','.join(COLUMN_TYPES)}")
    elif given["type"] not in COLUMN_TYPES:
        yield invalid(f"{path}.type", given["type"], f"must be one of {','.join(COLUMN_TYPES)}")
    if given.get("format") and given["format"] not in COLUMN_FORMATS:
        yield invalid(f"{path}.format", given["format"], f"must be one of {','.join(COLUMN_FORMATS)}")
    if not (text := given.get("jsonPath", "")):
        yield required(f"{path}.JSONPath")
    elif faults := _simple_path(text, f"{path}.JSONPath"):
        yield from faults
    else:
        try:
            json_path.parse(text)
        except json_path.BadPath as error:
            yield invalid(f"{path}.JSONPath", text, str(error))


def _selectable(fields: list[dict], schema: dict, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, each in enumerate(fields):
        at, text = f"{path}[{index}].jsonPath", each.get("jsonPath", "")
        if not text:
            yield required(at)
            continue
        if (found := field_at(text, schema)) is None:
            yield invalid(at, text, "is an invalid path: does not refer to a valid field")
        elif text.startswith(".metadata"):
            yield invalid(at, text, "must not point to fields in metadata")
        elif found.get("type") not in ("string", "boolean", "integer"):
            told = "must point to a field of type string, boolean or integer. "
            yield invalid(at, text, f"{told}Enum string fields and strings with formats are allowed.")
        if text in seen:
            yield duplicate(at, text)
        seen.add(text)
    if len(fields) > MOST_SELECTABLE:
        yield too_many(path, len(fields), MOST_SELECTABLE)


def field_at(path: str, schema: dict) -> dict | None:
    """Return the schema of the field at a path in dots, None if it is not specified."""
    found: dict | None = schema if path.startswith(".") else None
    for part in path[1:].split("."):
        found = schema_of(part, found) if found else None
    return found


def _root_with_status(schema: dict, path: str) -> Iterator[Cause]:
    """Check the root of a schema of which the status is checked alone as well."""
    if schema.get("type", "") not in ("", "object"):
        told = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield invalid(f"{path}.type", schema["type"], told)
    elif any(value and field not in AT_ROOT for field, value in schema.items()):
        listed = " ".join(name for name, (field, _) in go_struct.SCHEMA.items() if field in AT_ROOT)
        told = f"only [{listed}] fields are allowed at the root of the schema if the status subresource is enabled"
        yield invalid(path, go_struct.schema(schema), told)


def _conversion(conversion: dict) -> Iterator[Cause]:
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook") or {}
    if strategy == "Webhook" and webhook:
        told = "conversion by a webhook is not served here; let all versions have one schema, and the strategy be None"
        yield forbidden("spec.conversion.strategy", told)
    elif strategy == "Webhook":
        yield required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
        yield required("spec.conversion.conversionReviewVersions")
    elif strategy != "None":
        yield unsupported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    else:
        for field, name in (("clientConfig", "webhookClientConfig"), ("conversionReviewVersions",) * 2):
            if webhook.get(field):
                yield forbidden(f"spec.conversion.{name}", "should not be set when strategy is not set to Webhook")


def stored_versions(stored: list[str], versions: list[dict], path: str = "status.storedVersions") -> Iterator[Cause]:
    """Yield what is wrong with the list of versions in which objects may lie in the store."""
    known: Any = [each["name"] for each in versions if each.get("name")]
    if not stored:
        yield invalid(path, None, "must have at least one stored version")
        return
    for each in versions:
        if each.get("storage") and each["name"] not in stored:
            yield invalid(path, stored, f"must have the storage version {each['name']}")
    for index, name in enumerate(stored):
        if name not in known:
            told = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions"
                f" until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions"
            )
            yield invalid(f"{path}[{index}]", name, told)


def is_protected(group: str) -> bool:
    """Tell whether a group is the Kubernetes community's own."""
    return any(group == each or group.endswith(f".{each}") for each in NEEDS_APPROVAL)


def _approval(obj: dict) -> Iterator[Cause]:
    if not is_protected(obj["spec"].get("group", "")):
        return
    given, path = objects.annotations(obj).get(APPROVAL, ""), f"metadata.annotations[{APPROVAL}]"
    page = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not given:
        yield required(path, f'protected groups must have approval annotation "{APPROVAL}", {page}')
    elif not given.startswith("unapproved") and not all(urlsplit(given)[:2]):
        told = (
            f'protected groups must have approval annotation "{APPROVAL}" with either a URL or a reason starting with '
        )
        yield invalid(path, given, f'{told}"unapproved", {page}')
