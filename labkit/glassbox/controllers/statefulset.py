"""Keeps pods with names, host names and volumes of their own, made, replaced and given up in order.

Two revisions matter: the *current* one, which all pods had when they last were alike, and the *update* one, of the
template as it is now. A pod below the partition is made of the former, any other of the latter. Claims are made before
their pod; they stay when it goes, unless the retention policy says otherwise.

Upstream: pkg/controller/statefulset/stateful_set.go, stateful_set_control.go, stateful_pod_control.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controllers import history
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers import statefulset_pods as identity
from labkit.glassbox.controllers.claims import claim
from labkit.glassbox.controllers.pod_control import PodControl
from labkit.glassbox.controllers.pod_owner import PodOwnerController
from labkit.glassbox.controllers.statefulset_plan import partition, plan, revision_of, status_of
from labkit.glassbox.errors import ApiError

HASH_LABEL = "controller.kubernetes.io/hash"
CLAIMS = "persistentvolumeclaims"


class StatefulPodControl(PodControl):
    def success(self, owner: dict, verb: str, pod: dict) -> str:
        return f"{verb} Pod {objects.name(pod)} in StatefulSet {objects.name(owner)} successful"

    def refusal(self, owner: dict, verb: str, pod: dict, error: ApiError) -> str:
        return f"{verb} Pod {objects.name(pod)} in StatefulSet {objects.name(owner)} failed error: {error.message}"


class StatefulSetController(PodOwnerController):
    """One round a set: claim pods and revisions, take one step, report."""

    name = "statefulset-controller"
    workers = 5
    kind, resource = "StatefulSet", "statefulsets"
    control = StatefulPodControl

    def sync(self, sts: dict) -> None:
        pods = claim(self.api, sts, "pods", self.candidates(sts))
        revisions = history.claimed(self.api, sts, self.cache[history.REVISIONS])
        update, collisions = history.current(self.api, sts, revisions, HASH_LABEL)
        held = (sts.get("status") or {}).get("currentRevision")
        current = next((each for each in revisions if objects.name(each) == held), update)
        try:
            if not objects.is_deleting(sts):
                self.act(sts, pods, current, update)
        finally:
            names = objects.name(current), objects.name(update)
            self.report(sts, status_of(sts, pods, *names, collisions, self.now()), pods)
        live = [objects.name(current), objects.name(update), *map(revision_of, pods)]
        history.truncate(self.api, sts, revisions, live)

    def candidates(self, sts: dict) -> list[dict]:
        """Return the pods whose names are of the set's: no other can have one of its ordinals."""
        pods = self.cache["pods"].list(objects.namespace(sts))
        return [pod for pod in pods if identity.ordinal_of(sts, pod) is not None]

    def act(self, sts: dict, pods: list[dict], current: dict, update: dict) -> None:
        for pod in pods:
            self.mend(sts, pod)
        make, delete = plan(sts, pods, objects.name(update), self.now())
        below = identity.ordinals(sts)[: partition(sts)]
        for ordinal in make:
            self.claim_volumes(sts, ordinal)
            self.pods.create(sts, identity.pod_from(sts, current if ordinal in below else update, ordinal))
        for pod in delete:
            self.pods.delete(sts, pod)

    def mend(self, sts: dict, pod: dict) -> None:
        """Give a pod, which may have been adopted, the labels and claims of its ordinal."""
        ordinal = identity.ordinal_of(sts, pod) or 0
        labels = identity.identity(sts, ordinal)
        if not labels.items() <= objects.labels(pod).items():
            where = objects.name(pod), objects.namespace(pod)
            self.api.patch("pods", *where, {"metadata": {"uid": objects.uid(pod), "labels": labels}})
            self.pods.tell(sts, "Update", pod)
        self.claim_volumes(sts, ordinal, pod)

    def claim_volumes(self, sts: dict, ordinal: int, pod: dict | None = None) -> None:
        """Make the claims that a pod waits for, and give those that are there the owners that they shall go with."""
        is_waiting = pod is None or (podutil.phase(pod) == "Pending" and ordinal in identity.ordinals(sts))
        for wanted in identity.claims_from(sts, ordinal):
            held = self.cache[CLAIMS].get(objects.key(wanted))
            if held is None:
                if is_waiting:
                    self.make_claim(sts, ordinal, wanted)
            elif pod is None and identity.is_going(sts, held, ordinal):
                raise ApiError(409, "Conflict", f"pvc {objects.name(held)} is being deleted")
            elif (owners := identity.owners_of_claim(sts, held, ordinal, pod)) != objects.owners(held):
                metadata = {"resourceVersion": held["metadata"]["resourceVersion"], "ownerReferences": owners or None}
                self.api.patch(CLAIMS, objects.name(held), objects.namespace(held), {"metadata": metadata})

    def make_claim(self, sts: dict, ordinal: int, wanted: dict) -> None:
        wanted["metadata"]["ownerReferences"] = identity.owners_of_claim(sts, wanted, ordinal)
        pod = f"Pod {objects.name(sts)}-{ordinal} in StatefulSet {objects.name(sts)}"
        claim = f"Create Claim {objects.name(wanted)}"
        try:
            self.api.create(CLAIMS, wanted)
        except ApiError as error:
            if error.code != 409:  # else it is there, the copy is behind
                self.recorder.event(sts, "Warning", "FailedCreate", f"{claim} for {pod} failed error: {error.message}")
                raise
        else:
            self.recorder.event(sts, "Normal", "SuccessfulCreate", f"{claim} {pod} success")
