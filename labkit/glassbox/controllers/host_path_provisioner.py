"""Provisions volumes of the default class `standard`: a directory in the tree of one node.

Stands for an external provisioner, of the kind of local-path-provisioner. It only says where the data will lie; the
node's kubelet makes the directory with the first mount, and erases it when the volume is to be deleted.

The class waits for a claim's first pod, so that the scheduler picks the node. A volume holds what its node's disk does.

Upstream: sigs.k8s.io/sig-storage-lib-external-provisioner/controller, github.com/rancher/local-path-provisioner
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers.persistent_volume import PROVISIONERS, SELECTED_NODE, reference_to
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources.persistent_volume import FINALIZER, PROVISIONED_BY
from labkit.glassbox.resources.storage_class import IS_DEFAULT, PROVISIONER

DIRECTORY = "/var/lib/glassbox/volumes"
RETRY = 15.0  # seconds
MODES = {"ReadWriteOnce", "ReadWriteOncePod"}
ONE_NODE = "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
CLASS = "standard"
STANDARD = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": CLASS, "annotations": {IS_DEFAULT: "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}


class HostPathProvisioner(Controller):
    """The key is a claim."""

    name = PROVISIONER

    @property
    def watches(self):
        return {"persistentvolumeclaims": itself}

    def start(self) -> None:
        """Make the class `standard` where it is missing: whoever deletes it gets it back with the next start."""
        self.queue.add(CLASS)
        super().start()

    def reconcile(self, key: str) -> None:
        if "/" not in key:
            return self.ensure_class()
        claim = self.cache["persistentvolumeclaims"].get(key)
        kind = self.class_of(claim) if claim and is_wanted(claim) else None
        if claim is None or kind is None or self.cache["persistentvolumes"].get(name_for(claim)):
            return None
        node = objects.annotations(claim).get(SELECTED_NODE) or self.any_node()
        if why := refusal(claim) or ("" if node else "no node is ready"):
            self.queue.add_after(key, RETRY)
            told = f'failed to provision volume with StorageClass "{objects.name(kind)}": {why}'
            return self.recorder.event(claim, "Warning", "ProvisioningFailed", told)
        told = f'External provisioner is provisioning volume for claim "{objects.key(claim)}"'
        self.recorder.event(claim, "Normal", "Provisioning", told)
        self.create("persistentvolumes", volume_for(claim, kind, node))
        done = f"Successfully provisioned volume {name_for(claim)}"
        return self.recorder.event(claim, "Normal", "ProvisioningSucceeded", done)

    def ensure_class(self) -> None:
        if self.cache["storageclasses"].get(CLASS) is None:
            self.create("storageclasses", STANDARD)

    def class_of(self, claim: dict) -> dict | None:
        return self.cache["storageclasses"].get(claim["spec"].get("storageClassName") or "")

    def any_node(self) -> str:
        """Return where data may lie that no pod has chosen a place for: the first node that is ready, "" for none."""
        ready = (each for each in self.cache["nodes"].list() if objects.is_true(each, "Ready"))
        return min(map(objects.name, ready), default="")

    def create(self, resource: str, obj: dict) -> None:
        try:
            self.api.create(resource, obj)
        except ApiError as error:
            if error.code != 409:  # the copy is behind
                raise


def is_wanted(claim: dict) -> bool:
    """Tell whether the binder asks this provisioner for a volume."""
    mine = objects.annotations(claim).get(PROVISIONERS[1]) == PROVISIONER
    return mine and not claim["spec"].get("volumeName") and not objects.is_deleting(claim)


def refusal(claim: dict) -> str:
    """Return why no volume can be made for the claim, "" if one can."""
    spec = claim["spec"]
    if spec.get("volumeMode") == "Block":
        return "block volumes are not supported"
    if spec.get("selector"):
        return "claim.Spec.Selector is not supported"
    return "" if set(spec["accessModes"]) <= MODES else ONE_NODE


def name_for(claim: dict) -> str:
    return f"pvc-{objects.uid(claim)}"


def volume_for(claim: dict, kind: dict, node: str) -> dict:
    """Return the volume for a claim, on a node."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    metadata = {
        "name": name_for(claim),
        "annotations": {PROVISIONED_BY: PROVISIONER},
        "finalizers": [FINALIZER],
    }
    spec = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": claim["spec"]["accessModes"],
        "persistentVolumeReclaimPolicy": kind.get("reclaimPolicy", "Delete"),
        "storageClassName": objects.name(kind),
        "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
        "claimRef": reference_to(claim),
        "hostPath": {"path": f"{DIRECTORY}/{name_for(claim)}", "type": "DirectoryOrCreate"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
