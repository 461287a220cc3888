"""What Deployments and ReplicaSets must satisfy.

Upstream: pkg/apis/apps/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    forbidden,
    invalid,
    not_negative,
    required,
    shown,
    unsupported,
)
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.pods import template
from labkit.glassbox.selectors import from_label_selector


def replicaset(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from selector_and_template(spec)


def deployment(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from selector_and_template(spec)
    yield from strategy(spec.get("strategy") or {}, "spec.strategy")
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from not_negative(f"spec.{field}", spec.get(field))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def selector_and_template(spec: dict) -> Iterator[Cause]:
    """Check that the pods of the template are those that the selector selects."""
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
        yield from pod_template(spec.get("template") or {}, matches=False)
        return
    faults = list(label_selector(selector, "spec.selector"))
    yield from faults
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, "empty selector is invalid for deployment")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if faults:
        yield invalid("spec.selector", selector, "invalid label selector")
        return
    matches = from_label_selector(selector).matches(labels)
    yield from pod_template(spec.get("template") or {}, matches)


def pod_template(given: dict, matches: bool) -> Iterator[Cause]:
    if not matches:
        labels = (given.get("metadata") or {}).get("labels") or None
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from template(given, "spec.template")
    spec = given.get("spec") or {}
    if spec.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", spec["restartPolicy"], ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        told = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", told)


def strategy(given: dict, path: str) -> Iterator[Cause]:
    kind, rolling = given.get("type", "RollingUpdate"), given.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind != "RollingUpdate":
        yield unsupported(path, {"Type": kind, "RollingUpdate": rolling}, ("Recreate", "RollingUpdate"))
    elif rolling is not None:
        yield from rolling_update(rolling, f"{path}.rollingUpdate")


def rolling_update(given: dict, path: str) -> Iterator[Cause]:
    unavailable, surge = given.get("maxUnavailable", 0), given.get("maxSurge", 0)
    yield from _amount(unavailable, f"{path}.maxUnavailable")
    yield from _amount(surge, f"{path}.maxSurge")
    if _is_zero(unavailable) and _is_zero(surge):
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    if isinstance(unavailable, str) and not names.percent(unavailable) and int(unavailable[:-1]) > 100:
        yield invalid(f"{path}.maxUnavailable", unavailable, "must not be greater than 100%")


def _amount(value: int | str, path: str) -> Iterator[Cause]:
    if isinstance(value, str):
        yield from names.check(names.percent, path, value)
    else:
        yield from not_negative(path, value)


def _is_zero(value: int | str) -> bool:
    return value == 0 or (isinstance(value, str) and not names.percent(value) and int(value[:-1]) == 0)


def same_selector(obj: dict, old: dict) -> Iterator[Cause]:
    new, held = (each.get("spec", {}).get("selector") for each in (obj, old))
    if new != held:
        told = f"Invalid value: {shown(new)}: field is immutable"
        yield Cause("FieldValueInvalid", told, "spec.selector")
