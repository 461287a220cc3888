"""Binds claims to volumes, has volumes made for claims that find none, and takes back what a gone claim leaves.

A binding is two halves: the volume's claimRef, written first, and the claim's volumeName. Either half, written by a
user beforehand, asks for that very partner. Between them anything may crash: a half found alone is completed.

A key is "claim NAMESPACE/NAME" or "volume NAME". plan_claim and plan_volume are pure; the class acts.
Left out: Recycle (as upstream without a recycler plugin: the volume fails), expansion, in-tree provisioners.

Upstream: pkg/controller/volume/persistentvolume/pv_controller.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labkit.glassbox import clock, objects, volume_match
from labkit.glassbox.controller import Controller
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources.persistent_volume import PROVISIONED_BY
from labkit.glassbox.resources.storage_class import default_of

COMPLETED, BY_CONTROLLER = "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
RESYNC = 15.0  # seconds after which a claim that waits is told again for what
PROVISIONERS = ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner")
LOST = "Bound claim has lost {}. Data on the volume is lost!"
FIRST_CONSUMER = "waiting for first consumer to be created before binding"
NOTHING = "no persistent volumes available for this claim and no storage class is set"
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
    "registered."
)


@dataclass(frozen=True)
class Step:
    """What to do next for a claim: bind it to a volume, or have one provisioned; else only tell and set a phase."""

    bind: dict | None = None
    provisioner: str = ""
    phase: str = "Pending"
    type: str = "Normal"
    reason: str = ""
    message: str = ""


def plan_claim(claim: dict, volumes: dict[str, dict], classes: dict[str, dict]) -> Step:
    """Return what a claim needs."""
    if COMPLETED in objects.annotations(claim):
        return _plan_bound(claim, volumes)
    if wanted := claim["spec"].get("volumeName"):
        return _plan_named(claim, volumes.get(wanted))
    kind = classes.get(volume_match.storage_class(claim), {})
    waits = kind.get("volumeBindingMode") == "WaitForFirstConsumer" and SELECTED_NODE not in objects.annotations(claim)
    within = [each for each in volumes.values() if not waits or volume_match.refers_to(each, claim)]
    if found := volume_match.find(claim, within):
        return Step(bind=found, phase="Bound")
    if waits:
        return Step(reason="WaitForFirstConsumer", message=FIRST_CONSUMER)
    return _plan_provisioning(volume_match.storage_class(claim), kind)


def _plan_provisioning(name: str, kind: dict) -> Step:
    if not name:
        return Step(reason="FailedBinding", message=NOTHING)
    if not kind:
        why = f'storageclass.storage.k8s.io "{name}" not found'
        return Step(type="Warning", reason="ProvisioningFailed", message=why)
    provisioner = kind["provisioner"]
    if provisioner.startswith("kubernetes.io/"):
        why = f"no volume plugin matched name: {provisioner}"
        return Step(type="Warning", reason="ProvisioningFailed", message=why)
    return Step(provisioner=provisioner, reason="ExternalProvisioning", message=EXTERNAL.format(provisioner))


def _plan_bound(claim: dict, volumes: dict[str, dict]) -> Step:
    name = claim["spec"].get("volumeName")
    volume = volumes.get(name) if name else None
    if volume is None:
        what = "its PersistentVolume" if name else "reference to PersistentVolume"
        return Step(phase="Lost", type="Warning", reason="ClaimLost", message=LOST.format(what))
    if volume["spec"].get("claimRef") and not volume_match.refers_to(volume, claim):
        told = "Two claims are bound to the same volume, this one is bound incorrectly"
        return Step(phase="Lost", type="Warning", reason="ClaimMisbound", message=told)
    return Step(bind=volume, phase="Bound")


def _plan_named(claim: dict, volume: dict | None) -> Step:
    if volume is None:
        return Step()  # it may come
    if volume_match.refers_to(volume, claim):
        return Step(bind=volume, phase="Bound")
    name = objects.name(volume)
    if volume["spec"].get("claimRef"):
        told = f'volume "{name}" already bound to a different claim.'
        return Step(type="Warning", reason="FailedBinding", message=told)
    if why := mismatch(volume, claim):
        told = f'Cannot bind to requested volume "{name}": {why}'
        return Step(type="Warning", reason="VolumeMismatch", message=told)
    return Step(bind=volume, phase="Bound")


def mismatch(volume: dict, claim: dict) -> str:
    """Return why a volume that a claim names cannot be its own, "" if it can."""
    if volume_match.capacity(volume) < volume_match.requested(claim):
        return "requested PV is too small"
    if volume_match.storage_class(volume) != volume_match.storage_class(claim):
        return "storageClassName does not match"
    if volume["spec"].get("volumeMode") != claim["spec"].get("volumeMode"):
        return "incompatible volumeMode"
    return "" if set(claim["spec"]["accessModes"]) <= set(volume["spec"]["accessModes"]) else "incompatible accessMode"


def plan_volume(volume: dict, claim: dict | None) -> str:
    """Return the phase that a volume ought to be in; `claim` is whom its claimRef names, if it is there."""
    reference, phase = volume["spec"].get("claimRef"), (volume.get("status") or {}).get("phase", "Pending")
    if not reference or not reference.get("uid"):
        return "Available"
    if claim is None or objects.uid(claim) != reference["uid"]:
        return phase if phase == "Failed" else "Released"
    return "Bound" if claim["spec"].get("volumeName") == objects.name(volume) else phase


def is_left_over(volume: dict, claim: dict | None) -> bool:
    """Tell whether the controller had chosen this volume for a claim that has got another since."""
    taken = claim is not None and claim["spec"].get("volumeName") not in (None, "", objects.name(volume))
    return taken and BY_CONTROLLER in objects.annotations(volume)


class PersistentVolumeController(Controller):
    """Brings claims and volumes together."""

    name = "persistentvolume-binder-controller"
    source = "persistentvolume-controller"

    @property
    def watches(self):
        return {
            "persistentvolumeclaims": self.keys_of_claim,
            "persistentvolumes": self.keys_of_volume,
            "storageclasses": lambda _: self.waiting(),
        }

    def keys_of_claim(self, claim: dict) -> list[str]:
        volume = claim["spec"].get("volumeName")
        return [f"claim {objects.key(claim)}", *([f"volume {volume}"] if volume else [])]

    def keys_of_volume(self, volume: dict) -> list[str]:
        reference = volume["spec"].get("claimRef") or {}
        claims = [f"claim {reference['namespace']}/{reference['name']}"] if reference else self.waiting()
        return [f"volume {objects.name(volume)}", *claims]

    def waiting(self) -> list[str]:
        """Return the keys of the claims that are not bound."""
        found = self.cache["persistentvolumeclaims"].list()
        return [f"claim {objects.key(each)}" for each in found if COMPLETED not in objects.annotations(each)]

    def reconcile(self, key: str) -> None:
        kind, _, name = key.partition(" ")
        if kind == "claim":
            if claim := self.cache["persistentvolumeclaims"].get(name):
                self.sync_claim(claim)
        elif volume := self.cache["persistentvolumes"].get(name):
            self.sync_volume(volume)

    # claims

    def sync_claim(self, claim: dict) -> None:
        if objects.is_deleting(claim) and COMPLETED not in objects.annotations(claim):
            return
        classes = by_name(self.cache["storageclasses"].list())
        if claim["spec"].get("storageClassName") is None and (chosen := default_of(list(classes.values()))):
            claim = self.patch(claim, {"spec": {"storageClassName": objects.name(chosen)}})
        step = plan_claim(claim, by_name(self.cache["persistentvolumes"].list()), classes)
        if step.reason:
            self.recorder.event(claim, step.type, step.reason, step.message)
            self.queue.add_after(f"claim {objects.key(claim)}", RESYNC)
        if step.provisioner and PROVISIONERS[0] not in objects.annotations(claim):
            self.patch(claim, {"metadata": {"annotations": dict.fromkeys(PROVISIONERS, step.provisioner)}})
        elif step.bind:
            self.bind(step.bind, claim)
        elif (claim.get("status") or {}).get("phase") != step.phase:
            self.patch(claim, {"status": {"phase": step.phase}}, status=True)

    def bind(self, volume: dict, claim: dict) -> None:
        """Complete both halves of a binding; what is done already is left alone."""
        if not (volume["spec"].get("claimRef") or {}).get("uid"):
            volume = self.patch(volume, claimed(volume, claim))
        volume = self.set_phase(volume, "Bound")
        annotations = {COMPLETED: "yes"}
        if not claim["spec"].get("volumeName"):
            annotations[BY_CONTROLLER] = "yes"
        wanted = {"metadata": {"annotations": annotations}, "spec": {"volumeName": objects.name(volume)}}
        if COMPLETED not in objects.annotations(claim) or not claim["spec"].get("volumeName"):
            claim = self.patch(claim, wanted)
        spec = volume["spec"]
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["capacity"]}
        if not status.items() <= (claim.get("status") or {}).items():
            self.patch(claim, {"status": status}, status=True)

    # volumes

    def sync_volume(self, volume: dict) -> None:
        reference = volume["spec"].get("claimRef") or {}
        claim = self.find_claim(reference) if reference.get("uid") else None
        if is_left_over(volume, claim):
            volume = self.patch(
                volume, {"metadata": {"annotations": {BY_CONTROLLER: None}}, "spec": {"claimRef": None}}
            )
        phase = plan_volume(volume, claim)
        volume = self.set_phase(volume, phase)
        if phase == "Released" and not objects.is_deleting(volume):
            self.reclaim(volume)

    def find_claim(self, reference: dict) -> dict | None:
        """Return the claim of that name; before it is given up the API is asked, for the copy may be behind."""
        key = f"{reference['namespace']}/{reference['name']}"
        if found := self.cache["persistentvolumeclaims"].get(key):
            return found
        try:
            return self.api.get("persistentvolumeclaims", reference["name"], reference["namespace"])
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def reclaim(self, volume: dict) -> None:
        """Do what the volume's policy says; who provisioned it deletes it."""
        policy = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
        if policy == "Retain" or (policy == "Delete" and PROVISIONED_BY in objects.annotations(volume)):
            return
        why = {
            "Delete": ("VolumeFailedDelete", "no deletable volume plugin matched"),
            "Recycle": ("VolumeFailedRecycle", "No recycler plugin found for the volume!"),
        }[policy]
        self.recorder.event(volume, "Warning", *why)
        self.set_phase(volume, "Failed", *why)

    # writing

    def set_phase(self, volume: dict, phase: str, reason: str | None = None, message: str | None = None) -> dict:
        if (volume.get("status") or {}).get("phase") == phase:
            return volume
        since = clock.rfc3339(self.now())
        status = {"phase": phase, "reason": reason, "message": message, "lastPhaseTransitionTime": since}
        return self.patch(volume, {"status": status}, status=True)

    def patch(self, obj: dict, change: dict, status: bool = False) -> dict:
        """Change an object as it was read: another writer in between is a conflict, and then it is looked at anew."""
        metadata = {**change.get("metadata", {}), "uid": objects.uid(obj)}
        metadata["resourceVersion"] = obj["metadata"]["resourceVersion"]
        resource = "persistentvolumes" if obj["kind"] == "PersistentVolume" else "persistentvolumeclaims"
        where = objects.name(obj), objects.namespace(obj)
        return self.api.patch(
            resource, *where, {**change, "metadata": metadata}, subresource="status" if status else ""
        )


def claimed(volume: dict, claim: dict) -> dict:
    """Return the change that gives a volume to a claim."""
    change: dict = {"spec": {"claimRef": reference_to(claim)}}
    if not volume["spec"].get("claimRef"):
        change["metadata"] = {"annotations": {BY_CONTROLLER: "yes"}}
    return change


def reference_to(claim: dict) -> dict:
    """Return the claimRef of a volume that is this claim's."""
    meta = {field: claim["metadata"][field] for field in ("namespace", "name", "uid", "resourceVersion")}
    return {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **meta}


def by_name(found: Iterable[dict]) -> dict[str, dict]:
    return {objects.name(each): each for each in found}
