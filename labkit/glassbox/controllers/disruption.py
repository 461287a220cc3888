"""Says how many pods of a budget may be evicted now; the eviction itself is the API server's, which counts down.

    expected   the pods that there should be: what their owners' specs say, or how many match
    desired    how many of them must be healthy
    allowed    healthy now, less desired

A pod whose eviction was granted is not healthy any more, for two minutes: then it should be gone.

Left out: taking back the DisruptionTarget condition of pods that were not deleted after all.

Upstream: pkg/controller/disruption/disruption.go
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from labkit.glassbox import clock, objects, selectors
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers.rollout import replicas, share
from labkit.glassbox.resources import REGISTRY

EXPECTED_GONE = 120.0  # seconds after an eviction was granted
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
    'set ".spec.minAvailable" field of the PDB to an integer value.'
)


class Uncountable(Exception):
    """How many pods there should be cannot be told."""


class DisruptionController(Controller):
    """The key is a budget."""

    name = "disruption-controller"
    source = "controllermanager"

    @property
    def watches(self):
        return {"poddisruptionbudgets": itself, "pods": self.budgets_of}

    def budgets_of(self, pod: dict) -> list[str]:
        budgets = self.cache["poddisruptionbudgets"].list(objects.namespace(pod))
        return [objects.key(budget) for budget in budgets if covers(budget, pod)]

    def reconcile(self, key: str) -> None:
        budget = self.cache["poddisruptionbudgets"].get(key)
        if budget is None:
            return
        pods = [pod for pod in self.cache["pods"].list(objects.namespace(budget)) if covers(budget, pod)]
        if not pods:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            status = self.status_of(budget, pods)
        except Uncountable as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
            self.tell(status, "False", "SyncFailed", str(error))
        if status != budget.get("status"):
            self.api.update_status("poddisruptionbudgets", {**budget, "status": status})

    def status_of(self, budget: dict, pods: list[dict]) -> dict:
        expected, desired = self.expectation(budget, pods)
        disrupted = self.disrupted(budget, pods)
        healthy = [pod for pod in pods if is_healthy(pod) and objects.name(pod) not in disrupted]
        allowed = max(0, len(healthy) - desired) if expected else 0
        status = {
            "observedGeneration": budget["metadata"].get("generation", 0),
            "disruptionsAllowed": allowed,
            "currentHealthy": len(healthy),
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": (budget.get("status") or {}).get("conditions") or [],
            **({"disruptedPods": disrupted} if disrupted else {}),
        }
        self.tell(status, str(allowed > 0), "SufficientPods" if allowed else "InsufficientPods", "")
        return status

    def tell(self, status: dict, value: str, reason: str, message: str) -> None:
        new = {"type": "DisruptionAllowed", "status": value, "reason": reason, "message": message}
        new |= {"observedGeneration": status.get("observedGeneration", 0)}
        status["conditions"] = objects.set_condition(status.get("conditions"), new, self.now())

    def disrupted(self, budget: dict, pods: list[dict]) -> dict[str, str]:
        """Return the pods that are evicted but not deleted yet, each with when; look again when the first is late."""
        granted, found = (budget.get("status") or {}).get("disruptedPods") or {}, {}
        for pod in pods:
            when = granted.get(objects.name(pod))
            if when is None or objects.is_deleting(pod):
                continue
            left = clock.parse(when) + EXPECTED_GONE - self.now()
            if left < 0:
                message = f"Pod was expected by PDB {objects.key(budget)} to be deleted but it wasn't"
                self.recorder.event(pod, "Warning", "NotDeleted", message)
            else:
                found[objects.name(pod)] = when
                self.queue.add_after(objects.key(budget), left + 0.05)
        return found

    # -- how many there should be

    def expectation(self, budget: dict, pods: list[dict]) -> tuple[int, int]:
        """Return (expected, desired) numbers of pods. Raises Uncountable."""
        spec = budget["spec"]
        if "maxUnavailable" in spec:
            expected = self.total_scale(budget, pods)
            return expected, max(0, expected - share(spec["maxUnavailable"], expected, math.ceil))
        least = spec.get("minAvailable", 0)
        expected = self.total_scale(budget, pods) if isinstance(least, str) else len(pods)
        return expected, share(least, expected, math.ceil)

    def total_scale(self, budget: dict, pods: list[dict]) -> int:
        """Return how many pods the owners of these pods want, each owner counted once."""
        scales, unmanaged = {}, False
        for pod in pods:
            reference = objects.controller_of(pod)
            if reference is None:
                unmanaged = True
            elif reference["uid"] not in scales:
                scales[reference["uid"]] = self.scale(budget, pod, reference)
        if unmanaged:
            selector = selectors.in_go(budget["spec"].get("selector"))
            self.recorder.event(budget, "Warning", "UnmanagedPods", UNMANAGED.format(selector))
        return sum(dict(scales.values()).values())

    def scale(self, budget: dict, pod: dict, reference: dict) -> tuple[str, int]:
        """Return the UID and spec.replicas of the owner, of a replica set's the deployment's."""
        owner = kind = None
        for owner in self.owners(pod, reference):
            kind = REGISTRY.for_kind(owner["apiVersion"], owner["kind"])
            if kind and "scale" not in kind.subresources:
                raise Uncountable(f"{kind.group_plural} does not implement the scale subresource")
        if owner is None:
            message = f'found no controllers for pod "{objects.name(pod)}"'
            self.recorder.event(budget, "Warning", "NoControllers", message)
            raise Uncountable(message)
        if kind and kind.custom:
            return objects.uid(owner), objects.dig(owner, kind.custom.scale["specReplicasPath"][1:], 0)
        return objects.uid(owner), replicas(owner)

    def owners(self, pod: dict, reference: dict | None) -> Iterator[dict]:
        """Yield the pod's controller, then that one's controller if it is a deployment."""
        while reference and (kind := REGISTRY.for_kind(reference["apiVersion"], reference["kind"])):
            copy = self.cache.get(kind.called)
            found = copy.get(f"{objects.namespace(pod)}/{reference['name']}") if copy else None
            if found is None or objects.uid(found) != reference["uid"]:
                return
            yield found
            reference = objects.controller_of(found) if kind.kind == "ReplicaSet" else None


def covers(budget: dict, pod: dict) -> bool:
    """Tell whether the budget's selector, which without terms selects every pod, matches the pod."""
    return selectors.from_label_selector(budget["spec"].get("selector")).matches(objects.labels(pod))


def is_healthy(pod: dict) -> bool:
    return objects.is_true(pod, "Ready") and not objects.is_deleting(pod)
