"""What a trial does to a service, and takes back: pods killed, upset, rolled out, scaled; objects changed, made anew.

Each fault picks pods by a selector, waits until what keeps them is rolled out, does its work through the API as a user
would, and waits again. `undo` takes all back in the order in which it was done: what starts anew then finds everything
as it was. What has to be taken back is noted in the cluster before it is done (journal.py): a check whose kernel is
killed leaves it to the next one.

Trouble is what keeps a fault from being done and lies in the service itself, not in the cluster.

Upstream: staging/src/k8s.io/kubectl/pkg/polymorphichelpers/{objectrestarter,rollout_status}.go
"""

import base64
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from labkit.api import Api, Object, Objects
from labkit.errors import ApiFailure, LabError, WaitTimeout
from labkit.trials.journal import Journal, Step
from labkit.wait import Condition, Target, Waiter, describe

RESTARTED = "kubectl.kubernetes.io/restartedAt"  # as `kubectl rollout restart` does it
ROLLS_OUT = ("Deployment", "StatefulSet", "DaemonSet")
PLACEHOLDER = "labkit-placeholder-"
EVENT_SECONDS = 5.0  # for an event to be written down
GIVEN_BY_SERVER = ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation", "ownerReferences")


class Trouble(Exception):
    """What a trial cannot go on from; `nothing` when there is nothing yet to try it on."""

    def __init__(self, said: str, *, nothing: bool = False) -> None:
        super().__init__(said)
        self.nothing = nothing


class Faults:
    """Faults in one namespace; each must settle within so many seconds."""

    def __init__(self, api: Api, namespace: str, within: float) -> None:
        self.api, self.namespace, self.within = api, namespace, within
        self._journal = Journal(api, namespace)

    def kill(self, selector: str) -> None:
        """Delete one pod at once, as a node does that dies, and wait for the one in its place."""
        pods, _ = self.settled(selector)
        lost = pods[0]["metadata"]
        self.api.delete("pods", lost["name"], self.namespace, grace=0)

        def replaced(found: Objects) -> bool:
            return sum(is_ready(each) for each in found if each["metadata"]["uid"] != lost["uid"]) >= len(pods)

        self._until(Target("pods", selector=selector), Condition("replaced", replaced))

    def calm(self, selector: str) -> None:
        """Wait until none of the pods is on its way out: without others, a Service still leads to it."""
        if any(is_ending(p) for p in self.api.items("pods", self.namespace, label_selector=selector)):
            stay = Condition("here to stay", lambda found: not any(map(is_ending, found)))
            with suppress(WaitTimeout):
                self._until(Target("pods", selector=selector), stay)

    def upset(self, selector: str, hurt: Callable[[str], object]) -> None:
        """Have one pod hurt, given its address, and wait until its kubelet has restarted it."""
        pods, _ = self.settled(selector)
        before, name = restarts(pods[0]), pods[0]["metadata"]["name"]
        self._journal.note({"do": "replace", "name": name, "uid": pods[0]["metadata"]["uid"], "restarts": before})
        hurt(pods[0]["status"]["podIP"])

        def restarted(found: Objects) -> bool:
            return bool(found) and restarts(found[0]) > before and is_ready(found[0])

        self._until(Target("pods", name), Condition("restarted", restarted))
        told = Condition("told of a liveness probe", lambda found: any(is_liveness(each, name) for each in found))
        try:
            Waiter(self.api, self.namespace).until(Target("events"), told, timeout=EVENT_SECONDS,
                                                   namespace=self.namespace)  # fmt: skip
        except WaitTimeout:
            raise Trouble(f"pod/{name} ended by itself: it was started again, and by no liveness probe") from None

    def restart(self, selector: str) -> int:
        """Roll the pods' owners out anew, each pod replaced by another; return how many were ready at once, at most."""
        pods, owners = self.settled(selector)
        for each in owners:
            if each["kind"] not in ROLLS_OUT:
                raise Trouble(f"{said(each)} cannot roll out a new version: {', '.join(ROLLS_OUT)} can")
        now = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: datetime.now(UTC).isoformat()}}}}}
        self._change(owners, now)
        began, crowd = time.monotonic(), [0]
        old = {each["metadata"]["uid"] for each in pods}

        def renewed(found: Objects) -> bool:
            crowd.append(sum(map(is_ready, found)))
            return old.isdisjoint(each["metadata"]["uid"] for each in found if not is_leaving(each))

        with suppress(WaitTimeout):  # then they are not rolled out either, and that is told
            self._until(Target("pods", selector=selector), Condition("renewed", renewed))
        self._roll_out(owners, selector, began)
        return max(crowd)

    def scale(self, selector: str, to: int) -> None:
        """Scale the pods' owner."""
        owner = self.settled(selector)[1][0]
        if "replicas" not in owner["spec"]:
            raise Trouble(f"{said(owner)} cannot be scaled")
        if to:  # else it scales no more
            for each in self._autoscalers(owner):
                self._change([each], {"spec": {"minReplicas": to, "maxReplicas": max(to, each["spec"]["maxReplicas"])}})
        self._change([owner], {"spec": {"replicas": to}})
        self._roll_out([owner], selector)
        if not to:
            self._until(Target("pods", selector=selector), Condition("gone", lambda found: all(map(has_ended, found))))

    def patch(self, what: str, change: Object) -> None:
        """Merge a change into an object, named as in "secrets/store"."""
        resource, _, name = what.partition("/")
        self._change([self._object(resource, name)], as_stored(change))

    def remake(self, name: str) -> None:
        """Delete a Service and make it again, under the same name and another address, which it keeps."""
        service, placeholder = self._object("services", name), f"{PLACEHOLDER}{uuid.uuid4().hex[:8]}"
        self._journal.note({"do": "delete", "name": placeholder}, {"do": "create", "object": service})
        self.api.delete("services", name, self.namespace)
        Waiter(self.api, self.namespace).gone("services", name, timeout=self.within)
        if (address := service["spec"].get("clusterIP", "None")) != "None":
            spec = {"clusterIP": address, "ports": [{"port": 80}]}
            self._create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": placeholder}, "spec": spec})
        self._create(without_address(service))

    def left_over(self) -> bool:
        """Tell whether there is something to take back, of this trial or of one that was broken off."""
        return bool(self._journal.steps)

    def undo(self) -> None:
        """Take everything back, whatever fails of it; what does not settle again is left to settle by itself."""
        changed = []
        for step in self._journal.steps:
            with suppress(Trouble, LabError):
                changed += self._take_back(step)
        for owner in changed:
            with suppress(Trouble, LabError):
                self._roll_out([owner], "")
        self._journal.close()

    def _take_back(self, step: Step) -> Objects:
        """Undo one step, unless somebody else has; return the owner that has to roll out because of it."""
        match step:
            case {"do": "delete", "name": name}:
                self.api.delete("services", name, self.namespace)
            case {"do": "create", "object": service}:
                if not self.api.get("services", service["metadata"]["name"], self.namespace):
                    self._create(service)
            case {"do": "replace", "name": name, "uid": uid, "restarts": before}:
                pod = self._object("pods", name)
                if pod["metadata"]["uid"] == uid and restarts(pod) <= before:
                    owners = self._owners([pod])
                    self.api.delete("pods", name, self.namespace, grace=0)
                    return owners
            case {"do": "merge", "kind": kind, "name": name, "made": made, "back": back}:
                if holds(obj := self._object(kind, name), made):
                    self._merge(obj, back)
                    return [obj] if kind in ROLLS_OUT or "replicas" in obj.get("spec", {}) else []
        return []

    def settled(self, selector: str) -> tuple[Objects, Objects]:
        """Return the pods and what keeps them, once that is rolled out, as many as an autoscaler wants at least.

        Raises Trouble where there are none.
        """
        pods = [p for p in self.api.items("pods", self.namespace, label_selector=selector) if not is_leaving(p)]
        if not pods:
            raise Trouble(f"no pods with {selector}", nothing=True)
        owners = self._owners(pods)
        for each in owners:
            self._await_autoscaler(each)
        self._roll_out(owners, selector)
        pods = [p for p in self.api.items("pods", self.namespace, label_selector=selector) if is_ready(p)]
        if not pods:
            raise Trouble(f"no pods with {selector} are ready")
        return pods, owners

    def _owners(self, pods: Objects) -> Objects:
        """Return what keeps the pods: the Deployment, not its ReplicaSet."""
        found: dict[str, Object] = {}
        for each in pods:
            top, met = each, set()
            while above := next((r for r in top["metadata"].get("ownerReferences") or [] if r.get("controller")), None):
                if above["uid"] in met or not any(above["kind"].lower() in k.names() for k in self.api.kinds()):
                    raise Trouble(f"{said(each)} belongs to {above['kind']} {above['name']}, which keeps no pods")
                met.add(above["uid"])
                top = self._object(above["kind"], above["name"])
            if top is each:
                raise Trouble(f"{said(each)} belongs to nobody: no controller would replace it")
            found[top["metadata"]["uid"]] = top
        return list(found.values())

    def _autoscalers(self, owner: Object) -> Objects:
        """Return the autoscalers of an owner, without those that can do nothing; none to who may not see them."""
        target = {"spec": {"scaleTargetRef": {"kind": owner["kind"], "name": owner["metadata"]["name"]}}}
        try:
            found = self.api.items("horizontalpodautoscalers", self.namespace)
        except ApiFailure as failure:
            if failure.code not in (403, 404):
                raise
            found = []
        return [each for each in found if holds(each, target) and not is_unable(each)]

    def _await_autoscaler(self, owner: Object) -> None:
        """Wait until an owner is within the bounds of its autoscaler, which looks four times a minute."""
        for each in self._autoscalers(owner):
            scaled = Condition("scaled", partial(are_within, each["spec"]))
            with suppress(WaitTimeout):
                self._until(Target(owner["kind"], owner["metadata"]["name"]), scaled)

    def _roll_out(self, owners: Objects, selector: str, began: float | None = None) -> None:
        """Wait until every owner has all its pods, of its newest template, ready, no others; `began` by the clock."""
        for each in owners:
            target = Target(each["kind"], each["metadata"]["name"])
            left = max(0.0, self.within - (time.monotonic() - began if began else 0.0))
            try:
                self._until(target, Condition("rolled out", lambda found: all(map(is_rolled_out, found))), left)
            except WaitTimeout:
                pods = self.api.items("pods", self.namespace, label_selector=selector)
                waiting = [describe(p) for p in pods if not is_ready(p)] or [describe(each)]
                late = f"{target} is not rolled out after {self.within:g} s"
                raise Trouble(f"{late}; " + "; ".join(waiting[:2])) from None

    def _until(self, target: Target, condition: Condition, seconds: float | None = None) -> None:
        timeout = self.within if seconds is None else seconds
        Waiter(self.api, self.namespace).until(target, condition, timeout=timeout, namespace=self.namespace)

    def _object(self, resource: str, name: str) -> Object:
        if found := self.api.get(resource, name, self.namespace):
            return found
        raise Trouble(f"there is no {resource.removesuffix('s')} {name}", nothing=True)

    def _change(self, objects: Objects, change: Object) -> None:
        for each in objects:
            names = {"kind": each["kind"], "name": each["metadata"]["name"]}
            self._journal.note({"do": "merge", **names, "made": change, "back": reverse(change, each)})
            self._merge(each, change)

    def _merge(self, obj: Object, change: Object) -> None:
        try:
            self.api.merge(obj["kind"], obj["metadata"]["name"], change, self.namespace)
        except ApiFailure as refusal:
            if refusal.code != 422:
                raise
            raise Trouble(refusal.what) from None  # e.g. an immutable ConfigMap: the API's own words

    def _create(self, obj: Object) -> Object:
        meta = {key: value for key, value in obj["metadata"].items() if key not in GIVEN_BY_SERVER}
        return self.api.create(obj["kind"], {**obj, "metadata": meta, "status": {}}, self.namespace)


def is_rolled_out(owner: Object) -> bool:
    """Tell whether a controller has exactly the pods that its newest generation asks for, all ready."""
    spec, status = owner["spec"], owner.get("status") or {}
    if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 0):
        return False
    if owner["kind"] == "DaemonSet":
        wanted, counts = status.get("desiredNumberScheduled"), ["updatedNumberScheduled", "numberReady"]
    else:
        wanted, counts = spec.get("replicas", 1), ["replicas", "readyReplicas"]
        counts += ["updatedReplicas"] if owner["kind"] in ROLLS_OUT else []
    return all(status.get(each, 0) == wanted for each in counts)


def reverse(change: Object, obj: Object) -> Object:
    """Return the merge patch that puts back what a change will overwrite in an object."""
    back: dict[str, Any] = {}
    for key, value in change.items():
        before = obj.get(key)
        back[key] = reverse(value, before or {}) if isinstance(value, dict) else before
    return back


def holds(obj: Object, change: Object) -> bool:
    """Tell whether an object still is as a change has made it."""
    return all(
        holds(obj.get(key) or {}, value) if isinstance(value, dict) else obj.get(key) == value
        for key, value in change.items()
    )


def as_stored(change: Object) -> Object:
    """Return a change to a Secret as the API will show it, so that it can be taken back: stringData is write-only."""
    plain = {key: value for key, value in change.items() if key != "stringData"}
    texts = {key: base64.b64encode(text.encode()).decode() for key, text in change.get("stringData", {}).items()}
    return plain | {"data": plain.get("data", {}) | texts}


def without_address(service: Object) -> Object:
    """Return a Service that will get an address of its own."""
    if service["spec"].get("clusterIP", "None") == "None":
        return service
    spec = {key: value for key, value in service["spec"].items() if key not in ("clusterIP", "clusterIPs")}
    return {**service, "spec": spec}


def restarts(pod: Object) -> int:
    """Return how often the pod's containers have been started again."""
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or [])


def is_liveness(event: Object, pod: str) -> bool:
    """Tell whether an event says that a liveness probe of the pod has failed."""
    about = event.get("involvedObject") or {}
    return about.get("name") == pod and "liveness probe" in str(event.get("message")).lower()


def are_within(bounds: Object, owners: Objects) -> bool:
    """Tell whether owners ask for as many pods as an autoscaler may give them."""
    return all(bounds.get("minReplicas", 1) <= o["spec"].get("replicas", 1) <= bounds["maxReplicas"] for o in owners)


def is_unable(autoscaler: Object) -> bool:
    """Tell whether an autoscaler says that it cannot scale: it does not find its target."""
    conditions = (autoscaler.get("status") or {}).get("conditions") or []
    return any(c["type"] == "AbleToScale" and c["status"] == "False" for c in conditions)


def is_leaving(pod: Object) -> bool:
    """Tell whether nothing more is expected of the pod."""
    return is_ending(pod) or has_ended(pod)


def is_ending(pod: Object) -> bool:
    """Tell whether the pod is on its way out."""
    return bool(pod["metadata"].get("deletionTimestamp")) and not has_ended(pod)


def has_ended(pod: Object) -> bool:
    """Tell whether nothing runs in the pod any more: a job's stays to be looked at."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Tell whether the pod may be given work."""
    conditions = pod["status"].get("conditions") or []
    return not is_leaving(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def said(obj: Object) -> str:
    """Name an object."""
    return f"{obj['kind']} {obj['metadata']['name']}"
