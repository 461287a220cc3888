"""Moves a deployment's pods from one template to the next, through replica sets: one a template.

The deployment never touches a pod. It finds the set whose template is its own (or makes it), numbers it as a revision,
and scales sets up and down within what its strategy allows; a rollback is a client writing an old template back.

Upstream: pkg/controller/deployment/deployment_controller.go, sync.go, rolling.go, recreate.go, progress.go
"""

from __future__ import annotations

import copy

from labkit.glassbox import objects, selectors
from labkit.glassbox.controller import Controller, itself, owner
from labkit.glassbox.controllers import deployment_status, rollout
from labkit.glassbox.controllers import pods as podutil
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
        return {"deployments": itself, "replicasets": owner("Deployment"), "pods": self._deployment_of}

    def _deployment_of(self, pod: dict) -> list[str]:
        """The deployment of the pod's set: a pod that has ended may be what a Recreate waits for."""
        reference = objects.controller_of(pod)
        if reference is None or reference["kind"] != "ReplicaSet":
            return []
        rs = self.cache["replicasets"].get(f"{objects.namespace(pod)}/{reference['name']}")
        return [*owner("Deployment")(rs)] if rs else []

    def reconcile(self, key: str) -> None:
        deployment = self.cache["deployments"].get(key)
        if deployment is None:
            return  # gone: the garbage collector takes its replica sets
        deployment = copy.deepcopy(deployment)
        sets = self.claim(deployment)
        if objects.is_deleting(deployment):
            self.report(deployment, sets)
            return
        if deployment["spec"].get("paused") or self.was_scaled(deployment, sets):
            self.scale(deployment, sets)
        else:
            new, old, sets = self.get_or_make(deployment, sets)
            self.roll(deployment, new, old)
        self.report(deployment, self.claim(deployment))

    # -- which sets are its own

    def claim(self, deployment: dict) -> list[dict]:
        """Return the replica sets that the deployment controls, after adopting orphans that it selects."""
        selector = selectors.from_label_selector(deployment["spec"]["selector"])
        mine = []
        for rs in self.cache["replicasets"].list(objects.namespace(deployment)):
            matches = selector.matches(objects.labels(rs))
            if objects.is_owned_by(rs, deployment) and matches:
                mine.append(rs)
            elif objects.controller_of(rs) is None and matches and not objects.is_deleting(deployment):
                reference = objects.owner_reference(deployment, "Deployment", "apps/v1")
                patch = {"metadata": {"uid": objects.uid(rs), "ownerReferences": [reference]}}
                mine.append(self.api.patch("replicasets", objects.name(rs), objects.namespace(rs), patch))
        return sorted(mine, key=rollout.age)

    def get_or_make(self, deployment: dict, sets: list[dict]) -> tuple[dict, list[dict], list[dict]]:
        """Return the set of the deployment's template, the others, and all of them."""
        new = new_set(deployment, sets)
        old = [rs for rs in sets if rs is not new]
        revision = str(max((revision_of(rs) for rs in old), default=0) + 1)
        if new is None:
            new = self.make(deployment, old, revision)
        else:
            new = self.annotate(deployment, new, revision)
        if objects.annotations(deployment).get(REVISION) != objects.annotations(new)[REVISION]:
            patch = {"metadata": {"annotations": {REVISION: objects.annotations(new)[REVISION]}}}
            changed = self.api.patch("deployments", objects.name(deployment), objects.namespace(deployment), patch)
            deployment["metadata"] = changed["metadata"]
        return new, old, [*old, new]

    def make(self, deployment: dict, old: list[dict], revision: str) -> dict:
        rs = set_from(deployment, revision)
        rs["spec"]["replicas"] = rollout.new_size(deployment, {"spec": {"replicas": 0}}, old)
        try:
            made = self.api.create("replicasets", rs)
        except ApiError as error:
            if error.code == 409:
                return self.after_collision(deployment, rs)
            self.recorder.event(
                deployment,
                "Warning",
                "ReplicaSetCreateError",
                f'Failed to create new replica set "{objects.name(rs)}": {error.message}',
            )
            raise
        if replicas(made):
            self.tell_scaled(deployment, made, 0)
        return made

    def after_collision(self, deployment: dict, wanted: dict) -> dict:
        """The name is taken: by our own set that the copy does not show yet, else the hash needs another try."""
        there = self.api.get("replicasets", objects.name(wanted), objects.namespace(wanted))
        if objects.is_owned_by(there, deployment) and same_template(there, deployment):
            return there
        status = deployment.get("status") or {}
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        self.api.update_status("deployments", {**deployment, "status": status})
        raise ApiError(409, "Conflict", f"the hash of {objects.key(deployment)} is taken; another is tried")

    def annotate(self, deployment: dict, new: dict, revision: str) -> dict:
        """Give the set the newest revision and the deployment's annotations: after a rollback it has an old one."""
        wanted = annotations_for(deployment, new, revision)
        if wanted == objects.annotations(new):
            return new
        patch = {"metadata": {"annotations": wanted}}
        return self.api.patch("replicasets", objects.name(new), objects.namespace(new), patch)

    # -- scaling

    def roll(self, deployment: dict, new: dict, old: list[dict]) -> None:
        active = [rs for rs in old if replicas(rs) > 0]
        if not rollout.is_rolling(deployment):
            for rs in active:
                self.resize(deployment, rs, 0)
            if active or self.has_pods(old):
                return
        size = rollout.new_size(deployment, new, [new, *old])
        if replicas(new) > replicas(deployment):
            size = replicas(deployment)
        if size != replicas(new):
            self.resize(deployment, new, size)
            return
        self.note_size(deployment, new)
        sizes = rollout.old_sizes(deployment, new, active)
        for rs in active:
            if objects.name(rs) in sizes:
                self.resize(deployment, rs, sizes[objects.name(rs)])
        if not active and deployment_status.is_complete(deployment, new):
            self.clean_up(deployment, old)

    def has_pods(self, sets: list[dict]) -> bool:
        """Tell whether a pod of these sets has not ended yet, be it on its way out."""
        pods = [pod for rs in sets for pod in self.cache["pods"].owned_by(objects.uid(rs))]
        return any(podutil.phase(pod) not in ("Succeeded", "Failed") for pod in pods)

    def was_scaled(self, deployment: dict, sets: list[dict]) -> bool:
        """Tell whether spec.replicas changed since the sets were last sized."""
        desired = str(replicas(deployment))
        active = [rs for rs in sets if replicas(rs) > 0 and DESIRED in objects.annotations(rs)]
        return any(objects.annotations(rs)[DESIRED] != desired for rs in active)

    def scale(self, deployment: dict, sets: list[dict]) -> None:
        """Size the sets without rolling: the one that is there, or in the middle of a rollout each by its share."""
        new = new_set(deployment, sets)
        active = [rs for rs in sets if replicas(rs) > 0] or ([new] if new else sets[-1:])
        if len(active) == 1:
            self.resize(deployment, active[0], replicas(deployment))
            return
        if new and replicas(new) == replicas(deployment) == rollout.count(new, "availableReplicas"):
            for rs in active:
                if rs is not new:
                    self.resize(deployment, rs, 0)
            return
        if rollout.is_rolling(deployment):
            for name, size in rollout.proportional_sizes(deployment, sets).items():
                self.resize(deployment, next(rs for rs in sets if objects.name(rs) == name), size)

    def resize(self, deployment: dict, rs: dict, size: int) -> None:
        before, noted = replicas(rs), size_notes(deployment)
        if size == before and noted.items() <= objects.annotations(rs).items():
            return
        changed = copy.deepcopy(rs)
        changed["spec"]["replicas"] = size
        changed["metadata"].setdefault("annotations", {}).update(noted)
        changed = self.api.update("replicasets", changed)
        if size != before:
            self.tell_scaled(deployment, changed, before)

    def note_size(self, deployment: dict, rs: dict) -> None:
        self.resize(deployment, rs, replicas(rs))

    def tell_scaled(self, deployment: dict, rs: dict, before: int) -> None:
        direction = "up" if replicas(rs) > before else "down"
        message = f"Scaled {direction} replica set {objects.name(rs)} from {before} to {replicas(rs)}"
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    def clean_up(self, deployment: dict, old: list[dict]) -> None:
        """Delete the oldest empty sets beyond revisionHistoryLimit."""
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        empty = [
            rs for rs in old if replicas(rs) == 0 and rollout.count(rs, "replicas") == 0 and not objects.is_deleting(rs)
        ]
        for rs in sorted(empty, key=revision_of)[: max(0, len(empty) - limit)]:
            self.api.delete("replicasets", objects.name(rs), objects.namespace(rs), uid=objects.uid(rs))

    # -- telling

    def report(self, deployment: dict, sets: list[dict]) -> None:
        new = new_set(deployment, sets)
        status, look_again = deployment_status.status_of(deployment, sets, new, self.now())
        if status != deployment.get("status"):
            self.api.update_status("deployments", {**deployment, "status": status})
        if look_again is not None:
            self.queue.add_after(objects.key(deployment), look_again)


def same_template(rs: dict, deployment: dict) -> bool:
    """Tell whether the set was made of the deployment's template: equal but for the hash label."""
    theirs = copy.deepcopy(rs["spec"]["template"])
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
    template = copy.deepcopy(deployment["spec"]["template"])
    digest = template_hash(template, (deployment.get("status") or {}).get("collisionCount"))
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
    selector = copy.deepcopy(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[HASH] = digest
    spec = {"selector": selector, "template": template}
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
