"""How a deployment moves from its old replica sets to its new one: pure functions over dicts.

    surge        how many pods there may be above spec.replicas (maxSurge)
    unavailable  how many of spec.replicas may be missing (maxUnavailable)

Each round may scale the new set up as far as surge allows, else old sets down as far as unavailable allows; rounds
follow one another as pods become available.

Upstream: pkg/controller/deployment/rolling.go, …/util/deployment_util.go
"""

from __future__ import annotations

import math

from labkit.glassbox import objects

MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"


def replicas(obj: dict) -> int:
    """Return how many replicas the object's spec asks for."""
    value = obj["spec"].get("replicas")
    return 1 if value is None else value


def count(obj: dict, field: str) -> int:
    """Return a count of the object's status."""
    return (obj.get("status") or {}).get(field, 0)


def is_rolling(deployment: dict) -> bool:
    return deployment["spec"].get("strategy", {}).get("type", "RollingUpdate") == "RollingUpdate"


def bounds(deployment: dict) -> tuple[int, int]:
    """Return (surge, unavailable) in pods; percentages round up for surge and down for unavailable, never both to 0."""
    if not is_rolling(deployment):
        return 0, 0
    rolling, wanted = deployment["spec"]["strategy"].get("rollingUpdate") or {}, replicas(deployment)
    surge = share(rolling.get("maxSurge", 0), wanted, math.ceil)
    unavailable = share(rolling.get("maxUnavailable", 0), wanted, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def share(value: int | str, total: int, rounding) -> int:
    """Return a number of pods for 3 or "25%"."""
    if isinstance(value, str):
        return rounding(int(value.rstrip("%")) * total / 100)
    return value


def new_size(deployment: dict, new: dict, sets: list[dict]) -> int:
    """Return how large the new set may be now."""
    wanted = replicas(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + bounds(deployment)[0] - sum(map(replicas, sets))
    return min(wanted, replicas(new) + max(0, room))


def old_sizes(deployment: dict, new: dict, old: list[dict]) -> dict[str, int]:
    """Return name → size for the old sets that may shrink now: unhealthy pods first, then as far as is allowed."""
    least = replicas(deployment) - bounds(deployment)[1]
    new_unavailable = replicas(new) - count(new, "availableReplicas")
    most_to_remove = sum(map(replicas, old)) + replicas(new) - least - new_unavailable
    if most_to_remove <= 0:
        return {}
    sizes = {objects.name(rs): replicas(rs) for rs in sorted(old, key=age)}
    unhealthy = {objects.name(rs): max(0, replicas(rs) - count(rs, "availableReplicas")) for rs in old}
    _take(sizes, unhealthy, most_to_remove)
    # A status may be behind its spec: no set has more available than it asks for, and both steps together must not
    # take more than the bound.
    taken = sum(map(replicas, old)) - sum(sizes.values())
    spare = sum(min(count(rs, "availableReplicas"), replicas(rs)) for rs in [new, *old]) - least
    left = {objects.name(rs): sizes[objects.name(rs)] for rs in old}
    _take(sizes, left, max(0, min(spare, most_to_remove - taken)))
    return {objects.name(rs): sizes[objects.name(rs)] for rs in old if sizes[objects.name(rs)] != replicas(rs)}


def _take(sizes: dict[str, int], at_most: dict[str, int], number: int) -> None:
    """Take so many from the sizes, the oldest set first, from each at most what it may give."""
    for name in sizes:
        taken = min(number, at_most[name], sizes[name])
        sizes[name] -= taken
        number -= taken


def age(rs: dict) -> tuple[str, str]:
    """Sort key: the oldest set first."""
    return rs["metadata"]["creationTimestamp"], objects.name(rs)


def scaled_sizes(deployment: dict, sets: list[dict], new: dict | None) -> dict[str, int]:
    """Return name → size after spec.replicas changed; `sets` oldest first, `new` the one of the deployment's template.

    The only set with pods takes them all (or, where none has any, the new one, else the latest). Once the new set is
    complete the others are left over. In the middle of a rollout each changes by its share.
    """
    active = [rs for rs in sets if replicas(rs) > 0] or ([new] if new else sets[-1:])
    if len(active) == 1:
        return {objects.name(active[0]): replicas(deployment)}
    if new and replicas(new) == replicas(deployment) == count(new, "availableReplicas"):
        return {objects.name(rs): 0 for rs in active if rs is not new}
    return proportional_sizes(deployment, active) if is_rolling(deployment) else {}


def proportional_sizes(deployment: dict, sets: list[dict]) -> dict[str, int]:
    """Return name → size after a scaling in the middle of a rollout: each set grows or shrinks by its share."""
    active = [rs for rs in sets if replicas(rs) > 0]
    allowed = replicas(deployment) + bounds(deployment)[0] if replicas(deployment) > 0 else 0
    total = sum(map(replicas, active))
    to_add = left = allowed - total
    largest_first = sorted(active, key=lambda rs: (-replicas(rs), rs["metadata"]["creationTimestamp"]))
    if to_add > 0:
        largest_first = sorted(active, key=lambda rs: (replicas(rs), rs["metadata"]["creationTimestamp"]), reverse=True)
    sizes = {}
    for rs in largest_first:
        part = fair_share(rs, deployment, total, to_add, left)
        sizes[objects.name(rs)] = replicas(rs) + part
        left -= part
    if sizes and left:
        first = objects.name(largest_first[0])
        sizes[first] = max(0, sizes[first] + left)
    return sizes


def fair_share(rs: dict, deployment: dict, total: int, to_add: int, left: int) -> int:
    """Return how many of the pods to add (or, below 0, to remove) are this set's."""
    if to_add == 0 or left == 0:
        return 0
    if replicas(deployment) == 0:
        return -replicas(rs)
    before = int(objects.annotations(rs).get(MAX_REPLICAS, 0)) or count(deployment, "replicas") or total
    after = replicas(rs) * (replicas(deployment) + bounds(deployment)[0]) / before
    part = math.floor(after + 0.5) - replicas(rs)
    return min(part, left) if to_add > 0 else max(part, left)
