"""What any object's metadata must satisfy, and label selectors.

Upstream: staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go, …/apis/meta/v1/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    every,
    forbidden,
    invalid,
    items,
    not_negative,
    one_of,
    required,
    too_long,
    unique,
)

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values
REASON_LIMIT, MESSAGE_LIMIT = 1024, 32 * 1024  # bytes of a condition's
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
NOT_OF_TEMPLATES = (
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "finalizers", "managedFields"),
)


def validate(meta: dict, rule: names.Rule, is_built_in: bool = True) -> Iterator[Cause]:
    """Check the metadata of a new object whose name obeys the rule."""
    prefix = meta.get("generateName")
    if prefix:
        yield from names.check(names.as_prefix(rule), "metadata.generateName", prefix)
    if not meta.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from names.check(rule, "metadata.name", meta["name"])
    yield from not_negative("metadata.generation", meta.get("generation"))
    yield from validate_changeable(meta, is_built_in)


def validate_changeable(meta: dict, is_built_in: bool = True) -> Iterator[Cause]:
    """Check what an update may change; built-in kinds take no finalizers but well-known and qualified ones."""
    if "labels" in meta:
        yield from labels(meta["labels"], "metadata.labels")
    if "annotations" in meta:
        yield from check_annotations(meta["annotations"], "metadata.annotations")
    if "ownerReferences" in meta:
        yield from owner_references(meta["ownerReferences"] or [])
    if "finalizers" in meta:
        yield from finalizers(meta["finalizers"] or [], is_built_in)


def labels(given: dict | None, path: str) -> Iterator[Cause]:
    for key, value in (given or {}).items():
        yield from names.check(names.qualified_name, path, key)
        yield from names.check(names.label_value, path, value)


def check_annotations(given: dict | None, path: str) -> Iterator[Cause]:
    size = 0
    for key, value in (given or {}).items():
        for told in names.qualified_name(key.lower()):
            yield invalid(path, key, told)
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        yield too_long(path, ANNOTATIONS_LIMIT)


def of_template(meta: dict, path: str) -> Iterator[Cause]:
    """Check the metadata from which others are made: labels and annotations, and nothing else."""
    yield from check_annotations(meta.get("annotations"), f"{path}.annotations")
    yield from labels(meta.get("labels"), f"{path}.labels")
    for field in NOT_OF_TEMPLATES:
        if meta.get(field):
            yield forbidden(f"{path}.{'uID' if field == 'uid' else field}", "cannot be set")


def owner_references(given: list[dict]) -> Iterator[Cause]:
    path, controllers = "metadata.ownerReferences", []
    for each in given:
        if not each.get("apiVersion", "").rpartition("/")[2]:
            yield invalid(f"{path}.apiVersion", each.get("apiVersion", ""), "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not each.get(field):
                yield invalid(f"{path}.{field}", "", "must not be empty")
        if (each.get("apiVersion"), each.get("kind")) == ("v1", "Event"):
            yield invalid(path, each, "/v1, Kind=Event is disallowed from being an owner")
        if each.get("controller"):
            controllers.append(f"{each.get('kind')}/{each.get('name')}")
    if len(controllers) > 1:
        told = f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        yield invalid(path, given, f"Only one reference can have Controller set to true. {told}")


def finalizers(given: list[str], is_built_in: bool) -> Iterator[Cause]:
    path = "metadata.finalizers"
    for each in given:
        yield from names.check(names.qualified_name, path, each)
    if "orphan" in given and "foregroundDeletion" in given:
        yield invalid(path, given, "finalizer orphan and foregroundDeletion cannot be both set")
    for at, each in items(given if is_built_in else None, path):
        yield from known_finalizer(each, at)


def known_finalizer(name: str, path: str) -> Iterator[Cause]:
    if "/" not in name and name not in STANDARD_FINALIZERS:
        yield invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")


def finalizers_of_namespace(given: list[str], with_index: bool) -> Iterator[Cause]:
    """Check a namespace's own finalizers; only a change of them is told which one is wrong."""
    path = "spec.finalizers"
    for at, each in items(given, path):
        yield from names.check(names.qualified_name, at if with_index else path, each)
        yield from known_finalizer(each, at if with_index else path)


def conditions(given: list[dict] | None, path: str) -> Iterator[Cause]:
    """Check a list of metav1.Condition, one of each type."""
    seen: set[str] = set()
    for at, each in items(given, path):
        yield from unique(f"{at}.type", each.get("type", ""), seen)
        yield from names.check(names.qualified_name, f"{at}.type", each.get("type", ""))
        yield from one_of(f"{at}.status", each.get("status", ""), ("False", "True", "Unknown"))
        if each.get("observedGeneration", 0) < 0:
            yield invalid(
                f"{at}.observedGeneration", each["observedGeneration"], "must be greater than or equal to zero"
            )
        if not each.get("lastTransitionTime"):
            yield required(f"{at}.lastTransitionTime", "must be set")
        reason = each.get("reason", "")
        yield from names.needed(names.condition_reason, f"{at}.reason", reason, "must be set")
        if len(reason.encode()) > REASON_LIMIT:
            yield too_long(f"{at}.reason", REASON_LIMIT)
        if len(each.get("message", "").encode()) > MESSAGE_LIMIT:
            yield too_long(f"{at}.message", MESSAGE_LIMIT)


def label_selector(selector: dict, path: str) -> Iterator[Cause]:
    """Check a LabelSelector's terms."""
    yield from labels(selector.get("matchLabels"), f"{path}.matchLabels")
    yield from every(requirement, selector.get("matchExpressions"), f"{path}.matchExpressions")


def requirement(term: dict, path: str, comparisons: bool = False) -> Iterator[Cause]:
    """Check one term of a selector; a node selector may also compare numbers."""
    operator, values = term.get("operator", ""), term.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            told = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{path}.values", told)
    elif comparisons and operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from names.check(names.qualified_name, f"{path}.key", term.get("key", ""))
    if not comparisons:
        for at, value in items(values, f"{path}.values"):
            yield from names.check(names.label_value, at, value)
