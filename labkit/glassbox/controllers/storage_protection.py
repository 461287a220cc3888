"""Lets a claim go when no pod uses it any more, and a volume when no claim is bound to it: takes the finalizers off.

A pod that has ended still uses its claims, as upstream, until it is deleted. A key is "claim NAMESPACE/NAME" or
"volume NAME".

Upstream: pkg/controller/volume/{pvcprotection,pvprotection}
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller
from labkit.glassbox.controllers.garbage_collector import is_waiting

OF_CLAIMS, OF_VOLUMES = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


class StorageProtectionController(Controller):
    """Removes what keeps claims and volumes while they are used."""

    name = "persistentvolumeclaim-protection-controller"

    @property
    def watches(self):
        return {
            "persistentvolumeclaims": lambda claim: [f"claim {objects.key(claim)}"],
            "persistentvolumes": lambda volume: [f"volume {objects.name(volume)}"],
            "pods": lambda pod: [f"claim {objects.namespace(pod)}/{name}" for name in claims_of(pod)],
        }

    def reconcile(self, key: str) -> None:
        kind, _, name = key.partition(" ")
        if kind == "claim":
            claim = self.cache["persistentvolumeclaims"].get(name)
            if claim and is_waiting(claim, OF_CLAIMS) and not self.is_used(claim):
                self.api.remove_finalizer("persistentvolumeclaims", claim, OF_CLAIMS)
        else:
            volume = self.cache["persistentvolumes"].get(name)
            if volume and is_waiting(volume, OF_VOLUMES) and (volume.get("status") or {}).get("phase") != "Bound":
                self.api.remove_finalizer("persistentvolumes", volume, OF_VOLUMES)

    def is_used(self, claim: dict) -> bool:
        """Tell whether a scheduled pod uses the claim: first by the copy, then, as it may be behind, by the API."""
        namespace = objects.namespace(claim)
        if any(uses(pod, claim) for pod in self.cache["pods"].list(namespace)):
            return True
        return any(uses(pod, claim) for pod in self.api.list("pods", namespace)["items"])


def uses(pod: dict, claim: dict) -> bool:
    return bool(pod["spec"].get("nodeName")) and objects.name(claim) in claims_of(pod)


def claims_of(pod: dict) -> Iterator[str]:
    """Yield the names of the claims that a pod's volumes are."""
    for volume in pod["spec"].get("volumes") or []:
        if "ephemeral" in volume:
            yield f"{objects.name(pod)}-{volume['name']}"
        elif "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
