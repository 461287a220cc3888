"""Makes the claims of pods' ephemeral volumes; each goes with its pod, which owns it.

Upstream: pkg/controller/volume/ephemeral/controller.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError


class EphemeralVolumeController(Controller):
    """The key is a pod."""

    name = "ephemeral-volume-controller"
    source = "ephemeral_volume"

    @property
    def watches(self):
        return {"pods": lambda pod: itself(pod) if list(ephemeral(pod)) else []}

    def reconcile(self, key: str) -> None:
        pod = self.cache["pods"].get(key)
        if pod is None or objects.is_deleting(pod):
            return
        for volume in ephemeral(pod):
            wanted = claim_for(pod, volume)
            existing = self.cache["persistentvolumeclaims"].get(objects.key(wanted))
            existing = existing or self.create(pod, volume, wanted)
            if not objects.is_owned_by(existing, pod):
                who = f"PVC {objects.key(wanted)} was not created for pod {objects.key(pod)} (pod is not owner)"
                self.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {who}")

    def create(self, pod: dict, volume: dict, wanted: dict) -> dict:
        """Make the claim, or return the one that has its name."""
        try:
            return self.api.create("persistentvolumeclaims", wanted)
        except ApiError as error:
            if error.reason == "AlreadyExists":  # the copy is behind
                return self.api.get("persistentvolumeclaims", objects.name(wanted), objects.namespace(wanted))
            told = f"ephemeral volume {volume['name']}: create PVC {objects.name(wanted)}: {error.message}"
            self.recorder.event(pod, "Warning", "FailedBinding", told)
            raise


def ephemeral(pod: dict) -> list[dict]:
    return [each for each in pod["spec"].get("volumes") or [] if "ephemeral" in each]


def claim_for(pod: dict, volume: dict) -> dict:
    """Return the claim of an ephemeral volume: its template's, named after pod and volume."""
    template = volume["ephemeral"]["volumeClaimTemplate"]
    given = template.get("metadata") or {}
    metadata = {field: given[field] for field in ("labels", "annotations") if given.get(field)}
    metadata |= {"name": f"{objects.name(pod)}-{volume['name']}", "namespace": objects.namespace(pod)}
    metadata["ownerReferences"] = [objects.owner_reference(pod, "Pod", "v1")]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}
