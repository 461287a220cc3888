"""What a deployment's status says: counts, whether it is available, whether it gets on. Pure functions over dicts.

Upstream: pkg/controller/deployment/sync.go (calculateStatus), progress.go
"""

from __future__ import annotations

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import rollout
from labkit.glassbox.controllers.rollout import count, replicas

NO_DEADLINE = 2**31 - 1  # progressDeadlineSeconds that means never


def is_complete(deployment: dict, new: dict | None, status: dict | None = None) -> bool:
    """Tell whether all pods are of the new set, available, and no old one is left."""
    status = status or deployment.get("status") or {}
    wanted = replicas(deployment)
    if new is not None and not deployment.get("status"):
        return False
    same = all(status.get(field, 0) == wanted for field in ("updatedReplicas", "replicas", "availableReplicas"))
    return same and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)


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
    if new is None and not sets:
        return status, None
    return progress(deployment, old, status, new, now)


def availability(deployment: dict, status: dict) -> dict:
    least = replicas(deployment) - rollout.bounds(deployment)[1]
    if status.get("availableReplicas", 0) >= least:
        return condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    message = "Deployment does not have minimum availability."
    return condition("Available", "False", "MinimumReplicasUnavailable", message)


def progress(deployment: dict, old: dict, status: dict, new: dict | None, now: float) -> tuple[dict, float | None]:
    """Judge the progress: paused, complete, getting on, or past the deadline."""
    deadline = deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE)
    if deadline == NO_DEADLINE:
        status["conditions"] = [each for each in status["conditions"] if each["type"] != "Progressing"]
        return status, None
    known = objects.condition({"status": status}, "Progressing")
    subject = f'ReplicaSet "{objects.name(new)}"' if new else f'Deployment "{objects.name(deployment)}"'
    if deployment["spec"].get("paused"):
        put(status, condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), now)
        return status, None
    if known and known["reason"] == "DeploymentPaused":
        known = condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        put(status, known, now)
        known = objects.condition({"status": status}, "Progressing")
    if is_complete({**deployment, "status": status}, new, status):
        message = f"{subject} has successfully progressed."
        put(status, condition("Progressing", "True", "NewReplicaSetAvailable", message), now)
        return status, None
    if known and known["reason"] == "NewReplicaSetAvailable" and not is_new(old, status):
        return status, None  # complete once: a pod that is lost later is no rollout
    if known is None or known["reason"] == "NewReplicaSetAvailable" or has_moved(old, status):
        message = f"{subject} is progressing."
        put(status, condition("Progressing", "True", "ReplicaSetUpdated", message), now, moved=True)
        return status, deadline
    left = clock.parse(known["lastUpdateTime"]) + deadline - now
    if left > 0:
        return status, left + 0.1
    message = f"{subject} has timed out progressing."
    put(status, condition("Progressing", "False", "ProgressDeadlineExceeded", message), now)
    return status, None


def is_new(old: dict, status: dict) -> bool:
    """Tell whether the status is of a newer spec than the last one, so that a rollout may have begun."""
    return status["observedGeneration"] > old.get("observedGeneration", 0) or status.get(
        "updatedReplicas", 0
    ) < status.get("replicas", 0)


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
        new["lastUpdateTime"] = old["lastUpdateTime"]
    else:
        new["lastUpdateTime"] = clock.rfc3339(now)
    status["conditions"] = objects.set_condition(status["conditions"], new, now)
