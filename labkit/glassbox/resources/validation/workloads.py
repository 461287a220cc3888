"""What the workloads of apps/v1, and ReplicationControllers, must satisfy.

Upstream: pkg/apis/apps/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.claims import claim
from labkit.glassbox.resources.validation.fields import (
    forbidden,
    invalid,
    items,
    not_negative,
    one_of,
    required,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.pods import template
from labkit.glassbox.selectors import from_label_selector

STATEFULSET_MAY_CHANGE = (
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
)
MATCHES_NOT = "`selector` does not match template `labels`"


def numbers(spec: dict, *fields: str, path: str = "spec") -> Iterator[Cause]:
    """Refuse negative values of the fields."""
    for field in fields:
        yield from not_negative(f"{path}.{field}", spec.get(field))


def replicaset(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from numbers(spec, "replicas", "minReadySeconds")
    yield from selector_and_template(spec, "ReplicaSet", "deployment")


def deployment(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from numbers(spec, "replicas")
    yield from selector_and_template(spec, "ReplicaSet", "deployment")
    yield from strategy(spec.get("strategy") or {}, "spec.strategy")
    yield from numbers(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def replication_controller(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from numbers(spec, "minReadySeconds")
    selector = spec.get("selector") or {}
    if not selector:
        yield required("spec.selector")
    yield from numbers(spec, "replicas")
    if spec.get("template") is None:
        yield required("spec.template")
    else:
        yield from pod_template(spec["template"], is_selected(selector, spec["template"]), "ReplicationController")


def daemonset(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    selector, given = spec.get("selector"), spec.get("template") or {}
    faults = list(label_selector(selector or {}, "spec.selector"))
    yield from faults
    if selector is not None:
        yield from _empty(selector, "daemonset")
    matches = bool(faults) or (selector is not None and is_matched(selector, given))
    yield from pod_template(given, matches, "DaemonSet")
    yield from numbers(spec, "minReadySeconds")
    yield from daemonset_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    yield from numbers(spec, "revisionHistoryLimit")


def daemonset_strategy(given: dict, path: str) -> Iterator[Cause]:
    kind, rolling = given.get("type", "RollingUpdate"), given.get("rollingUpdate")
    if kind not in ("OnDelete", "RollingUpdate"):
        yield unsupported(path, struct("UpdateStrategy", given), ("RollingUpdate", "OnDelete"))
    elif kind == "RollingUpdate" and rolling is not None:
        path, unavailable, surge = f"{path}.rollingUpdate", rolling.get("maxUnavailable", 1), rolling.get("maxSurge", 0)
        yield from amount(unavailable, f"{path}.maxUnavailable", at_most_all=True)
        yield from amount(surge, f"{path}.maxSurge", at_most_all=True)
        if not _is_zero(unavailable) and not _is_zero(surge):
            yield invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
        elif _is_zero(unavailable) and _is_zero(surge):
            yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def statefulset(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        told = "must be 'OrderedReady' or 'Parallel'"
        yield invalid("spec.podManagementPolicy", spec.get("podManagementPolicy"), told)
    yield from statefulset_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    for field, value in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        yield from one_of(f"spec.persistentVolumeClaimRetentionPolicy.{field}", value, ("Retain", "Delete"))
    yield from numbers(spec, "replicas", "minReadySeconds")
    yield from numbers(spec.get("ordinals") or {}, "start", path="spec.ordinals")
    if spec.get("serviceName"):
        yield from names.check(names.dns_label, "spec.serviceName", spec["serviceName"])
    for at, each in items(spec.get("volumeClaimTemplates"), "spec.volumeClaimTemplates"):
        yield from claim(each.get("spec") or {}, f"{at}.spec")
    yield from selector_and_template({**spec, "template": with_claims(spec)}, "StatefulSet", "statefulset", "")


def with_claims(spec: dict) -> dict:
    """Return the template with the volumes that its pods get of the claim templates, which its mounts may name."""
    given = spec.get("template") or {}
    claims = [(each.get("metadata") or {}).get("name", "") for each in spec.get("volumeClaimTemplates") or []]
    pod = given.get("spec") or {}
    volumes = [each for each in pod.get("volumes") or [] if each.get("name") not in claims]
    volumes += [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    return {**given, "spec": {**pod, "volumes": volumes}} if claims else given


def statefulset_strategy(given: dict, path: str) -> Iterator[Cause]:
    kind, rolling = given.get("type", "RollingUpdate"), given.get("rollingUpdate")
    if kind not in ("RollingUpdate", "OnDelete"):
        yield invalid(path, struct("StatefulSetUpdateStrategy", given), "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None and kind == "OnDelete":
        shown = struct("RollingUpdateStatefulSet", rolling)
        yield invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif rolling is not None:
        yield from numbers(rolling, "partition", path=f"{path}.rollingUpdate")


def statefulset_change(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse to change what its pods and claims were made from."""
    new, held = (_without(each.get("spec") or {}, STATEFULSET_MAY_CHANGE) for each in (obj, old))
    if new != held:
        *most, last = (f"'{field}'" for field in STATEFULSET_MAY_CHANGE)
        told = f"updates to statefulset spec for fields other than {', '.join(most)} and {last} are forbidden"
        yield forbidden("spec", told)


def _without(spec: dict, fields: tuple[str, ...]) -> dict:
    return {field: value for field, value in spec.items() if field not in fields}


def controller_revision(obj: dict) -> Iterator[Cause]:
    if obj.get("data") is None:
        yield required("data", "data is mandatory")
    yield from not_negative("revision", obj.get("revision"))


def selector_and_template(
    spec: dict, owner: str, told_as: str, told: str = "invalid label selector"
) -> Iterator[Cause]:
    """Check that the pods of the template are those that the selector selects."""
    selector, given = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        yield required("spec.selector")
        yield from pod_template(given, False, owner)
        return
    faults = list(label_selector(selector, "spec.selector"))
    yield from faults
    yield from _empty(selector, told_as)
    if faults:
        yield invalid("spec.selector", selector, told)
    else:
        yield from pod_template(given, is_matched(selector, given), owner)


def _empty(selector: dict, told_as: str) -> Iterator[Cause]:
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, f"empty selector is invalid for {told_as}")


def labels_of(given: dict) -> dict | None:
    return (given.get("metadata") or {}).get("labels")


def is_matched(selector: dict, given: dict) -> bool:
    """Tell whether a LabelSelector matches a template's labels."""
    return from_label_selector(selector).matches(labels_of(given) or {})


def is_selected(selector: dict, given: dict) -> bool:
    """Tell whether a plain map of labels, a ReplicationController's, matches a template's."""
    return selector.items() <= (labels_of(given) or {}).items()


def pod_template(given: dict, matches: bool, owner: str) -> Iterator[Cause]:
    if not matches:
        yield invalid("spec.template.metadata.labels", labels_of(given) or None, MATCHES_NOT)
    yield from template(given, "spec.template")
    spec = given.get("spec") or {}
    if spec.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", spec["restartPolicy"], ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        told = f"activeDeadlineSeconds in {owner} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", told)


def strategy(given: dict, path: str) -> Iterator[Cause]:
    kind, rolling = given.get("type", "RollingUpdate"), given.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind != "RollingUpdate":
        yield unsupported(path, struct("UpdateStrategy", given), ("Recreate", "RollingUpdate"))
    elif rolling is not None:
        yield from rolling_update(rolling, f"{path}.rollingUpdate")


def rolling_update(given: dict, path: str) -> Iterator[Cause]:
    unavailable, surge = given.get("maxUnavailable", 0), given.get("maxSurge", 0)
    yield from amount(unavailable, f"{path}.maxUnavailable")
    yield from amount(surge, f"{path}.maxSurge")
    if _is_zero(unavailable) and _is_zero(surge):
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from _at_most_all(unavailable, f"{path}.maxUnavailable")


def amount(value: int | str, path: str, at_most_all: bool = False) -> Iterator[Cause]:
    """Check a number of pods or a percentage of them."""
    if isinstance(value, str):
        yield from names.check(names.percent, path, value)
    else:
        yield from not_negative(path, value)
    if at_most_all:
        yield from _at_most_all(value, path)


def _at_most_all(value: int | str, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and not names.percent(value) and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def _is_zero(value: int | str) -> bool:
    """Tell whether a number of pods is none, as what is no number is."""
    if isinstance(value, int):
        return value == 0
    text = value if names.percent(value) else value[:-1]
    return not text.isdecimal() or int(text) == 0
