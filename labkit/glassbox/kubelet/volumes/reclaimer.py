"""Erases the data of volumes that were provisioned on this node and are to be deleted, then lets the volumes go.

The other half of controllers/host_path_provisioner.py: only the node can reach what lies on it.

Upstream: sigs.k8s.io/sig-storage-lib-external-provisioner/controller (deletion, on the node itself)
"""

import shutil
from pathlib import Path

from labkit.glassbox import objects, volume_match
from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from labkit.glassbox.kubelet.volumes import host_path
from labkit.glassbox.resources.persistent_volume import FINALIZER, PROVISIONED_BY
from labkit.glassbox.resources.storage_class import PROVISIONER


class VolumeReclaimer(Controller):
    """The key is a volume."""

    name = PROVISIONER

    def __init__(self, api: Client, recorder: EventRecorder, node: str, tree: Path) -> None:
        self.node = {"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}}}
        self.tree = tree
        super().__init__(api, inform(api, "persistentvolumes"), recorder)

    @property
    def watches(self):
        return {"persistentvolumes": itself}

    def start(self) -> None:
        """Follow the volumes, too: nobody else of the kubelet does."""
        super().start()
        self.cache["persistentvolumes"].start()

    def reconcile(self, key: str) -> None:
        volume = self.cache["persistentvolumes"].get(key)
        if volume is None or not self.is_mine(volume) or not is_over(volume):
            return
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self.erase(volume)
        self.let_go(volume)

    def is_mine(self, volume: dict) -> bool:
        return objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER and volume_match.reaches(
            volume, self.node
        )

    def erase(self, volume: dict) -> None:
        place = host_path.below(self.tree, volume["spec"]["hostPath"]["path"].lstrip("/"))
        try:
            if place is not None and place.exists():
                shutil.rmtree(place)
        except OSError as error:
            self.recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
            raise

    def let_go(self, volume: dict) -> None:
        if objects.is_deleting(volume):
            return self.api.remove_finalizer("persistentvolumes", volume, FINALIZER)
        try:  # its end comes back here, for the finalizer
            self.api.delete("persistentvolumes", objects.name(volume), uid=objects.uid(volume))
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, or another
                raise
        return None


def is_over(volume: dict) -> bool:
    """Tell whether nobody is to have the volume's data any more."""
    if objects.is_deleting(volume):
        return FINALIZER in (volume["metadata"].get("finalizers") or []) and phase(volume) != "Bound"
    return phase(volume) == "Released" and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"


def phase(volume: dict) -> str:
    return (volume.get("status") or {}).get("phase", "")
