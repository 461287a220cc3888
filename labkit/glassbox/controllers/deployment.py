"""Moves a deployment's pods from one template to the next, through replica sets: one a template.

The deployment never touches a pod. It finds the set whose template is its own (or makes it), numbers it as a revision,
and scales sets up and down within what its strategy allows; a rollback is a client writing an old template back.

Upstream: pkg/controller/deployment/deployment_controller.go, sync.go, rolling.go, recreate.go, progress.go
"""

from __future__ import annotations

from copy import deepcopy

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself, owner
from labkit.glassbox.controllers import deployment_status, rollout
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.claims import Claimants, claim
from labkit.glassbox.controllers.rollout import MAX_REPLICAS, replicas
from labkit.glassbox.controllers.template_hash import template_hash
from labkit.glassbox.errors import ApiError

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAX_REPLICAS)


class DeploymentController(Controller):
    """One round a key: claim the sets, scale within the strategy, report."""

    name = "deployment-controller"
    workers = 5

    @property
    def watches(self):
        sets = Claimants("Deployment", self.cache["deployments"], self.cache["replicasets"])
        return {"deployments": itself, "replicasets": sets.keys, "pods": self._deployment_of}

    def _deployment_of(self, pod: dict) -> list[str]:
        """The deployment of a pod that has ended or gone: it may be what a Recreate waits for."""
        reference = objects.controller_of(pod)
        if reference is None or reference["kind"] != "ReplicaSet":
            return []
        if podutil.has_not_ended(pod) and self.cache["pods"].get(objects.key(pod)) is not None:
            return []
        rs = self.cache["replicasets"].get(f"{objects.namespace(pod)}/{reference['name']}")
        return [*owner("Deployment")(rs)] if rs else []

    def reconcile(self, key: str) -> None:
        copy = self.cache["deployments"].get(key)
        if copy is None:
            return  # gone: the garbage collector takes its replica sets
        deployment = {**copy}  # a round may put in newer metadata and status
        candidates = self.cache["replicasets"].list(objects.namespace(deployment))
        sets = sorted(claim(self.api, deployment, "replicasets", candidates), key=rollout.age)
        if not objects.is_deleting(deployment):
            sets = self.move(deployment, sets)
        self.report(deployment, sets, copy.get("status"))

    def move(self, deployment: dict, sets: list[dict]) -> list[dict]:
        """Take one step; return the sets as they are after it."""
        if deployment["spec"].get("paused") or was_scaled(deployment, sets):
            return self.scale(deployment, sets)
        if rollout.is_rolling(deployment):
            return self.roll(deployment, sets)
        return self.recreate(deployment, sets)

    # -- the strategies

    def roll(self, deployment: dict, sets: list[dict]) -> list[dict]:
        """Let the new set grow as far as surge allows, else the old ones shrink as far as unavailable allows."""
        new, old = self.new_and_old(deployment, sets)
        size = rollout.new_size(deployment, new, [new, *old])
        if size != replicas(new):
            return [*old, self.resize(deployment, new, size)]
        new = self.resize(deployment, new, size)  # for its notes
        sizes = rollout.old_sizes(deployment, new, active(old))
        if not sizes and deployment_status.is_complete(deployment, deployment.get("status")):
            self.clean_up(deployment, old)
        return [*self.resize_all(deployment, old, sizes), new]

    def recreate(self, deployment: dict, sets: list[dict]) -> list[dict]:
        """Make the new set only when the last old pod has ended."""
        new = new_set(deployment, sets)
        old = [rs for rs in sets if rs is not new]
        if sizes := {objects.name(rs): 0 for rs in active(old)}:
            return self.resize_all(deployment, sets, sizes)
        if self.has_pods(old):
            return sets
        new, old = self.new_and_old(deployment, sets)
        new = self.resize(deployment, new, replicas(deployment))
        if deployment_status.is_complete(deployment, deployment.get("status")):
            self.clean_up(deployment, old)
        return [*old, new]

    def has_pods(self, sets: list[dict]) -> bool:
        """Tell whether a pod of these sets has not ended yet, be it on its way out."""
        return any(podutil.has_not_ended(pod) for rs in sets for pod in self.cache["pods"].owned_by(objects.uid(rs)))

    def scale(self, deployment: dict, sets: list[dict]) -> list[dict]:
        """Size the sets without rolling: the one that is there, or in the middle of a rollout each by its share."""
        new = new_set(deployment, sets)
        if new is not None:
            new, old = self.new_and_old(deployment, sets)
            sets = sorted([*old, new], key=rollout.age)
        if deployment["spec"].get("paused"):
            self.clean_up(deployment, [rs for rs in sets if rs is not new])
        return self.resize_all(deployment, sets, rollout.scaled_sizes(deployment, sets, new))

    # -- the set of the deployment's template

    def new_and_old(self, deployment: dict, sets: list[dict]) -> tuple[dict, list[dict]]:
        """Return the set of the deployment's template, which is made or numbered if need be, and the others."""
        new = new_set(deployment, sets)
        old = [rs for rs in sets if rs is not new]
        revision = str(max((revision_of(rs) for rs in old), default=0) + 1)
        new = self.make(deployment, old, revision) if new is None else self.annotate(deployment, new, revision)
        if objects.annotations(deployment).get(REVISION) != objects.annotations(new)[REVISION]:
            patch = {"metadata": {"annotations": {REVISION: objects.annotations(new)[REVISION]}}}
            # Through the status, as upstream: there an annotation does not make a new generation.
            changed = self.api.patch(
                "deployments", objects.name(deployment), objects.namespace(deployment), patch, subresource="status"
            )
            deployment["metadata"] = changed["metadata"]
        return new, old

    def make(self, deployment: dict, old: list[dict], revision: str) -> dict:
        rs = set_from(deployment, revision)
        rs["spec"]["replicas"] = rollout.new_size(deployment, rs, old)
        try:
            made = self.api.create("replicasets", rs)
        except ApiError as error:
            if error.code == 409:
                return self.after_collision(deployment, rs)
            told = f'Failed to create new replica set "{objects.name(rs)}": {error.message}'
            self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", told)
            raise
        if replicas(made):
            self.tell_scaled(deployment, made, 0)
        deployment["status"] = deployment_status.after_creation(deployment, made, self.now())
        return made

    def after_collision(self, deployment: dict, wanted: dict) -> dict:
        """The name is taken: by our own set that the copy does not show yet, else the hash needs another try."""
        there = self.api.get("replicasets", objects.name(wanted), objects.namespace(wanted))
        if objects.is_owned_by(there, deployment) and same_template(there, deployment):
            return there
        status = deployment.get("status") or {}
        status = {**status, "collisionCount": status.get("collisionCount", 0) + 1}
        self.api.update_status("deployments", {**deployment, "status": status})
        raise ApiError(409, "Conflict", f"the hash of {objects.key(deployment)} is taken; another is tried")

    def annotate(self, deployment: dict, new: dict, revision: str) -> dict:
        """Give the set what it takes over from the deployment: after a rollback it has an old revision."""
        annotations, least = annotations_for(deployment, new, revision), deployment["spec"].get("minReadySeconds", 0)
        patch: dict = {}
        if annotations != objects.annotations(new):
            patch["metadata"] = {"annotations": annotations}
        if least != new["spec"].get("minReadySeconds", 0):
            patch["spec"] = {"minReadySeconds": least}
        return self.api.patch("replicasets", objects.name(new), objects.namespace(new), patch) if patch else new

    # -- scaling

    def resize_all(self, deployment: dict, sets: list[dict], sizes: dict[str, int]) -> list[dict]:
        """Resize the sets that are named; return all of them."""
        names = [objects.name(rs) for rs in sets]
        return [
            self.resize(deployment, rs, sizes[name]) if name in sizes else rs
            for name, rs in zip(names, sets, strict=True)
        ]

    def resize(self, deployment: dict, rs: dict, size: int) -> dict:
        before, noted = replicas(rs), size_notes(deployment)
        if size == before and noted.items() <= objects.annotations(rs).items():
            return rs
        changed = deepcopy(rs)
        changed["spec"]["replicas"] = size
        changed["metadata"].setdefault("annotations", {}).update(noted)
        changed = self.api.update("replicasets", changed)
        if size != before:
            self.tell_scaled(deployment, changed, before)
        return changed

    def tell_scaled(self, deployment: dict, rs: dict, before: int) -> None:
        direction = "up" if replicas(rs) > before else "down"
        message = f"Scaled {direction} replica set {objects.name(rs)} from {before} to {replicas(rs)}"
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    def clean_up(self, deployment: dict, old: list[dict]) -> None:
        for rs in beyond_history(deployment, old):
            self.api.delete("replicasets", objects.name(rs), objects.namespace(rs), uid=objects.uid(rs))

    # -- telling

    def report(self, deployment: dict, sets: list[dict], told: dict | None) -> None:
        new = new_set(deployment, sets)
        status, look_again = deployment_status.status_of(deployment, sets, new, self.now())
        if status != told:
            self.api.update_status("deployments", {**deployment, "status": status})
        if look_again is not None:
            self.queue.add_after(objects.key(deployment), look_again)


def active(sets: list[dict]) -> list[dict]:
    """Return the sets that have, or are to have, pods."""
    return [rs for rs in sets if replicas(rs) > 0]


def was_scaled(deployment: dict, sets: list[dict]) -> bool:
    """Tell whether spec.replicas changed since the sets were last sized."""
    noted = {objects.annotations(rs).get(DESIRED) for rs in active(sets)} - {None}
    return bool(noted - {str(replicas(deployment))})


def beyond_history(deployment: dict, old: list[dict]) -> list[dict]:
    """Return the sets to delete: the oldest beyond revisionHistoryLimit, of them those that are empty."""
    alive = sorted((rs for rs in old if not objects.is_deleting(rs)), key=revision_of)
    excess = alive[: max(0, len(alive) - deployment["spec"].get("revisionHistoryLimit", 10))]
    return [rs for rs in excess if replicas(rs) == rollout.count(rs, "replicas") == 0 and is_observed(rs)]


def is_observed(rs: dict) -> bool:
    return rollout.count(rs, "observedGeneration") >= rs["metadata"].get("generation", 0)


def same_template(rs: dict, deployment: dict) -> bool:
    """Tell whether the set was made of the deployment's template: equal but for the hash label."""
    theirs = deepcopy(rs["spec"]["template"])
    (theirs.get("metadata", {}).get("labels") or {}).pop(HASH, None)
    return theirs == deployment["spec"]["template"]


def new_set(deployment: dict, sets: list[dict]) -> dict | None:
    """Return the oldest set of the deployment's own template."""
    return next((rs for rs in sets if same_template(rs, deployment)), None)


def revision_of(obj: dict) -> int:
    return int(objects.annotations(obj).get(REVISION) or 0)


def size_notes(deployment: dict) -> dict[str, str]:
    """Return the annotations by which a later round sees that the deployment was scaled."""
    wanted = replicas(deployment)
    return {DESIRED: str(wanted), MAX_REPLICAS: str(wanted + rollout.bounds(deployment)[0])}


def annotations_for(deployment: dict, rs: dict | None, revision: str) -> dict[str, str]:
    """Return the set's annotations: the deployment's, its revision, and the revisions that it once had."""
    kept = objects.annotations(rs) if rs else {}
    copied = {key: value for key, value in objects.annotations(deployment).items() if key not in NOT_COPIED}
    result = {**kept, **copied}
    before = kept.get(REVISION)
    if before is None or int(before) < int(revision):
        result[REVISION] = revision
        if before:
            result[HISTORY] = ",".join(filter(None, [kept.get(HISTORY), before]))
    return result


def set_from(deployment: dict, revision: str) -> dict:
    """Return the replica set of the deployment's template, without a size."""
    template = deepcopy(deployment["spec"]["template"])
    digest = template_hash(template, (deployment.get("status") or {}).get("collisionCount"))
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
    selector = deepcopy(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[HASH] = digest
    spec = {"replicas": 0, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{objects.name(deployment)}-{digest}",
            "namespace": objects.namespace(deployment),
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {**annotations_for(deployment, None, revision), **size_notes(deployment)},
            "ownerReferences": [objects.owner_reference(deployment, "Deployment", "apps/v1")],
        },
        "spec": spec,
    }
