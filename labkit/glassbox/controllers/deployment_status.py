"""What a deployment's status says: counts, whether it is available, whether it gets on. Pure functions over dicts.

Upstream: pkg/controller/deployment/sync.go (calculateStatus), progress.go
"""

from __future__ import annotations

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import rollout
from labkit.glassbox.controllers.rollout import count, replicas

NO_DEADLINE = 2**31 - 1  # progressDeadlineSeconds that means never
AVAILABLE, TIMED_OUT, PAUSED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"


def is_complete(deployment: dict, status: dict | None) -> bool:
    """Tell whether by this status all pods are of the new set, available, and no old one is left."""
    if status is None or status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False
    fields = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(field, 0) == replicas(deployment) for field in fields)


def counts(deployment: dict, sets: list[dict], new: dict | None) -> dict:
    available = sum(count(rs, "availableReplicas") for rs in sets)
    total = sum(map(replicas, sets))
    values = {
        "replicas": sum(count(rs, "replicas") for rs in sets),
        "updatedReplicas": count(new, "replicas") if new else 0,
        "readyReplicas": sum(count(rs, "readyReplicas") for rs in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total - available),
    }
    return {field: value for field, value in values.items() if value}


def status_of(deployment: dict, sets: list[dict], new: dict | None, now: float) -> tuple[dict, float | None]:
    """Return the status, and in how many seconds the progress deadline must be looked at again (None: never)."""
    old = deployment.get("status") or {}
    status = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        **counts(deployment, sets, new),
        "terminatingReplicas": sum(count(rs, "terminatingReplicas") for rs in sets),
        "conditions": list(old.get("conditions") or []),
    }
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    put(status, availability(deployment, status), now)
    look_again = progress(deployment, old, status, new, now)
    tell_failure(status, sets, new)
    return status, look_again


def availability(deployment: dict, status: dict) -> dict:
    least = replicas(deployment) - rollout.bounds(deployment)[1]
    if status.get("availableReplicas", 0) >= least:
        return condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    message = "Deployment does not have minimum availability."
    return condition("Available", "False", "MinimumReplicasUnavailable", message)


def progress(deployment: dict, old: dict, status: dict, new: dict | None, now: float) -> float | None:
    """Judge the progress: paused, complete, getting on, or past the deadline; return when to look again, in seconds."""
    if deadline(deployment) is None:
        drop(status, "Progressing")
        return None
    reason = reason_of(status)
    if deployment["spec"].get("paused"):
        if reason != TIMED_OUT:
            put(status, condition("Progressing", "Unknown", PAUSED, "Deployment is paused"), now)
        return None
    if reason == PAUSED:
        put(status, condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed"), now)
    if reason == AVAILABLE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return None  # complete once: a pod that is lost, or asked for, later is no rollout
    subject = f'ReplicaSet "{objects.name(new)}"' if new else f'Deployment "{objects.name(deployment)}"'
    if is_complete(deployment, status):
        put(status, condition("Progressing", "True", AVAILABLE, f"{subject} has successfully progressed."), now)
    elif has_moved(old, status):
        put(
            status, condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing."), now, moved=True
        )
    elif (left := seconds_left(deployment, status, now)) is not None and left < 0:
        put(status, condition("Progressing", "False", TIMED_OUT, f"{subject} has timed out progressing."), now)
    left = seconds_left(deployment, status, now)
    return None if left is None else left + 0.1


def deadline(deployment: dict) -> int | None:
    """Return progressDeadlineSeconds, None for never."""
    seconds = deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE)
    return None if seconds == NO_DEADLINE else seconds


def reason_of(status: dict) -> str:
    return (objects.condition({"status": status}, "Progressing") or {}).get("reason", "")


def seconds_left(deployment: dict, status: dict, now: float) -> float | None:
    """Return the seconds until the deadline, counted from the last progress; None when nothing is waited for."""
    known, limit = objects.condition({"status": status}, "Progressing"), deadline(deployment)
    if known is None or limit is None or known["reason"] in (AVAILABLE, TIMED_OUT):
        return None
    return clock.parse(known["lastUpdateTime"]) + limit - now


def after_creation(deployment: dict, new: dict, now: float) -> dict:
    """Return the deployment's status with a new rollout begun: its set has been made, the deadline counts from now."""
    status = {**(deployment.get("status") or {})}
    status["conditions"] = list(status.get("conditions") or [])
    if deadline(deployment) is not None:
        message = f'Created new replica set "{objects.name(new)}"'
        put(status, condition("Progressing", "True", "NewReplicaSetCreated", message), now)
    return status


def tell_failure(status: dict, sets: list[dict], new: dict | None) -> None:
    """Repeat that a set's pods could not be made or deleted, the new set's first; or no longer."""
    drop(status, "ReplicaFailure")
    for rs in [*([new] if new else []), *sets]:
        if found := objects.condition(rs, "ReplicaFailure"):
            since = {"lastUpdateTime": found["lastTransitionTime"], "lastTransitionTime": found["lastTransitionTime"]}
            told = condition("ReplicaFailure", "True", found["reason"], found.get("message", ""))
            status["conditions"].append({**told, **since})
            return


def drop(status: dict, type: str) -> None:
    status["conditions"] = [each for each in status["conditions"] if each["type"] != type]


def has_moved(old: dict, status: dict) -> bool:
    """Tell whether the rollout got on: more new pods, fewer old ones, more of them ready or available."""

    def older(of: dict) -> int:
        return of.get("replicas", 0) - of.get("updatedReplicas", 0)

    grown = any(
        status.get(field, 0) > old.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or older(status) < older(old)


def condition(type: str, status: str, reason: str, message: str) -> dict:
    return {"type": type, "status": status, "reason": reason, "message": message}


def put(status: dict, new: dict, now: float, moved: bool = False) -> None:
    """Set a condition: lastTransitionTime moves with its status, lastUpdateTime with its status, reason or progress."""
    old = objects.condition({"status": status}, new["type"])
    if old and old["status"] == new["status"] and old["reason"] == new["reason"] and not moved:
        return
    new["lastUpdateTime"] = clock.rfc3339(now)
    conditions = objects.set_condition(status["conditions"], new, now)
    status["conditions"] = sorted(conditions, key=lambda each: each["type"] == new["type"])  # what changed stands last
