"""Reads Kubernetes objects as they are in JSON: pure functions over dicts.

Upstream: staging/src/k8s.io/apimachinery/pkg/apis/meta/v1
"""

from typing import Any

from labkit.glassbox import clock


def dig(obj: Any, path: str, default: Any = None) -> Any:
    """Return what lies at a dotted path, or the default where a part is missing."""
    for part in path.split("."):
        if not isinstance(obj, dict) or part not in obj:
            return default
        obj = obj[part]
    return obj


def name(obj: dict) -> str:
    return obj["metadata"]["name"]


def namespace(obj: dict) -> str:
    """Return the object's namespace, "" for one of the whole cluster."""
    return obj["metadata"].get("namespace", "")


def uid(obj: dict) -> str:
    return obj["metadata"].get("uid", "")


def labels(obj: dict) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations(obj: dict) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def key(obj: dict) -> str:
    """Return "namespace/name", or "name" for an object of the whole cluster."""
    return f"{namespace(obj)}/{name(obj)}" if namespace(obj) else name(obj)


def owners(obj: dict) -> list[dict]:
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: dict) -> dict | None:
    """Return the owner reference of the one controller, or None."""
    return next((owner for owner in owners(obj) if owner.get("controller")), None)


def is_owned_by(obj: dict, owner: dict) -> bool:
    """Tell whether owner is the object's controller, by UID: names are used again, UIDs are not."""
    controller = controller_of(obj)
    return controller is not None and controller["uid"] == uid(owner)


def owner_reference(obj: dict, kind: str, api_version: str, controller: bool = True) -> dict:
    """Return the reference by which a dependent names obj as its owner."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name(obj),
        "uid": uid(obj),
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def is_deleting(obj: dict) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def deleted_before(obj: dict, moment: float) -> bool:
    """Tell whether the object's time to go came before that moment."""
    return is_deleting(obj) and clock.parse(obj["metadata"]["deletionTimestamp"]) < moment


def condition(obj: dict, type: str) -> dict | None:
    """Return the condition of that type from the object's status, or None."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == type), None)


def is_true(obj: dict, type: str) -> bool:
    """Tell whether the object's condition of that type is "True"."""
    found = condition(obj, type)
    return found is not None and found["status"] == "True"


def set_condition(conditions: list[dict] | None, new: dict, now: float) -> list[dict]:
    """Return the conditions with new in its place; lastTransitionTime moves only when the status changes."""
    conditions = conditions or []
    old = next((each for each in conditions if each["type"] == new["type"]), None)
    same = old is not None and old["status"] == new["status"]
    since = old.get("lastTransitionTime") if old and same else None
    new = {**new, "lastTransitionTime": since or clock.rfc3339(now)}
    if old is None:
        return [*conditions, new]
    return [new if each is old else each for each in conditions]
