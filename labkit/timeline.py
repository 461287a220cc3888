"""Who did what after one `kubectl apply`: the writes of every component, read from the API's own history.

A timeline begins with a list of what is there. When it is drawn it asks for all versions of the objects since then, by
a watch that starts at the revision of that list: nothing runs in between, and nothing is missed. What a write changed
tells who made it: only the scheduler gives a pod a node, only a kubelet reports a pod ready, and what has an owner was
made by the owner's controller. (managedFields and the events' source say so too, where a cluster keeps them.)

Steps are put in the order of cause and effect, which is the same at every run. Who only reads, as kube-proxy and the
DNS do, writes nothing and is not in it; nor is who asked for a deletion, since that leaves no mark on the object.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from labkit.api import Api, Object
from labkit.draw.lanes import Step, lanes
from labkit.draw.picture import Picture

CONTROLLERS = {
    "Deployment": "deployment controller",
    "ReplicaSet": "replica set controller",
    "StatefulSet": "stateful set controller",
    "DaemonSet": "daemon set controller",
    "CronJob": "cron job controller",
    "Job": "job controller",
    "Service": "endpoint slice controller",
}
KINDS = (*CONTROLLERS, "EndpointSlice", "Pod")  # owners before what they own
RESOURCES = ("deployments.apps", "replicasets", "statefulsets", "daemonsets.apps", "cronjobs", "jobs", "services",
             "endpointslices", "pods")  # fmt: skip
USER, SCHEDULER, KUBELET = "kubectl", "scheduler", "kubelet"
REPLAY_SECONDS = 2.0  # at most, for history to come; it is there already


@dataclass(frozen=True)
class Change:
    """One write: an object before (None: it is new) and after (None: it is gone)."""

    old: Object | None
    new: Object | None

    @property
    def either(self) -> Object:
        return self.new or self.old or {}

    @property
    def kind(self) -> str:
        return self.either["kind"]

    @property
    def maker(self) -> str:
        """Who makes, scales and deletes the object: its owner's controller, else the user."""
        owners = self.either["metadata"].get("ownerReferences") or []
        found = next((each["kind"] for each in owners if each.get("controller")), "")
        return CONTROLLERS.get(found, f"controller of {found}") if found else USER

    def becomes(self, holds: Callable[[Object], object]) -> bool:
        """Tell whether something holds now that did not before."""
        return bool(self.new and holds(self.new)) and not (self.old and holds(self.old))


class Timeline:
    """Follows one namespace from the moment it is made."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self._begin = {resource: api.list(resource, namespace) for resource in RESOURCES}

    def draw(self) -> Picture:
        """Draw who has written what since the beginning."""
        return lanes(steps(change for resource in RESOURCES for change in self._changes(resource)))

    def _changes(self, resource: str) -> Iterator[Change]:
        begin, end = self._begin[resource], self.api.list(resource, self.namespace)
        known, wanted = _by_uid(begin["items"]), _by_uid(end["items"])
        if _are_as_new(known, wanted):
            return
        since = begin["metadata"]["resourceVersion"]
        for event, obj in self.api.watch(resource, self.namespace, since=since, seconds=REPLAY_SECONDS):
            if event == "BOOKMARK":
                continue
            uid, gone = obj["metadata"]["uid"], event == "DELETED"
            yield Change(known.pop(uid, None), None if gone else obj)
            if not gone:
                known[uid] = obj
            if _are_as_new(known, wanted):
                return


def _by_uid(objects: Iterable[Object]) -> dict[str, Object]:
    return {each["metadata"]["uid"]: each for each in objects}


def _are_as_new(known: dict[str, Object], wanted: dict[str, Object]) -> bool:
    """Tell whether all that is known is at least as new as a list that was made later."""
    fresh = all(uid in known and _revision(known[uid]) >= _revision(obj) for uid, obj in wanted.items())
    return fresh and not any(uid not in wanted for uid in known)


def _revision(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _reports(condition: str) -> Callable[[Object], bool]:
    def holds(obj: Object) -> bool:
        found = (obj.get("status") or {}).get("conditions") or []
        return any(each["type"] == condition and each["status"] == "True" for each in found)

    return holds


def _all_ready(obj: Object) -> bool:
    wanted = obj.get("spec", {}).get("replicas", 0)
    return wanted > 0 and (obj.get("status") or {}).get("readyReplicas", 0) == wanted


def _has_addresses(obj: Object) -> bool:
    return any((each.get("conditions") or {}).get("ready", True) for each in obj.get("endpoints") or [])


def _binder(change: Change) -> str:
    name = change.either["spec"].get("schedulerName", "default-scheduler")
    return SCHEDULER if name == "default-scheduler" else name


def _is_otherwise(change: Change) -> bool:
    """Tell whether the object is wanted otherwise than before."""
    if change.old is None or change.new is None or change.kind not in CONTROLLERS:
        return False
    return change.old["metadata"].get("generation") != change.new["metadata"].get("generation")


Rule = tuple[Callable[[Change], bool], Callable[[Change], str], str]

# What a change must be, who made it, and what that is called; in the order of cause and effect.
RULES: tuple[Rule, ...] = (
    (lambda c: c.old is None and c.new is not None, lambda c: c.maker, "creates {}"),
    (_is_otherwise, lambda c: c.maker, "changes {}"),
    (lambda c: c.kind == "Pod" and c.old is not None and c.becomes(lambda o: o["spec"].get("nodeName")), _binder,
     "gives {} a node"),
    (lambda c: c.kind == "Pod" and c.becomes(lambda o: o["status"].get("phase") == "Running"), lambda c: KUBELET,
     "runs {}"),
    (lambda c: c.kind == "Pod" and c.becomes(_reports("Ready")), lambda c: KUBELET, "reports {} ready"),
    (lambda c: c.kind == "EndpointSlice" and c.becomes(_has_addresses), lambda c: c.maker, "lists addresses in {}"),
    (lambda c: c.kind == "ReplicaSet" and c.becomes(_all_ready), lambda c: CONTROLLERS[c.kind], "counts {} complete"),
    (lambda c: c.kind == "Deployment" and c.becomes(_reports("Available")), lambda c: CONTROLLERS[c.kind],
     "reports {} available"),
    (lambda c: c.kind == "Pod" and c.new is None, lambda c: KUBELET, "has ended {}"),
)  # fmt: skip


def steps(changes: Iterable[Change]) -> list[Step]:
    """Return what was done, in the order of cause and effect; the same done to several objects is one step."""
    done: dict[tuple[int, int, str, str], dict[str, str]] = {}
    for change in changes:
        name = "" if change.maker != USER else change.either["metadata"]["name"]
        for rank, (holds, actor, _) in enumerate(RULES):
            if change.kind in KINDS and holds(change):
                key = rank, KINDS.index(change.kind), actor(change), change.kind
                done.setdefault(key, {})[change.either["metadata"]["uid"]] = name
    return [Step(key[2], RULES[key[0]][2].format(_objects(key[3], list(done[key].values())))) for key in sorted(done)]


def _objects(kind: str, names: list[str]) -> str:
    if len(names) > 1:
        return f"{len(names)} {kind}s"
    return f"{kind} {names[0]}" if names[0] else f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
