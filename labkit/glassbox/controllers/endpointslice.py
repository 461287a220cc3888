"""EndpointSlices: the addresses behind each service, a hundred a slice, as they come, go and get ready.

    service, pods → endpoints by the ports at which they serve → slices

An address stays in the slice that it is in, so that a change is one small write, whoever reads it.

Left out: dual stack, topology hints.

Upstream: pkg/controller/endpointslice/endpointslice_controller.go, staging/src/k8s.io/endpointslice/reconciler.go
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers import endpoints
from labkit.glassbox.controllers.expectations import Expectations
from labkit.glassbox.errors import ApiError

SERVICE = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
LARGEST = 100  # endpoints in a slice
ZONE = "topology.kubernetes.io/zone"


class EndpointSliceController(Controller):
    """The key is a service."""

    name = "endpointslice-controller"
    workers = 2

    def __init__(self, api, cache, recorder):
        self.expectations = Expectations()
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {"services": itself, "pods": endpoints.Memberships(self.cache), "endpointslices": service_of}

    def reconcile(self, key: str) -> None:
        service = self.cache["services"].get(key)
        if service is None or not endpoints.has_endpoints(service) or objects.is_deleting(service):
            self.expectations.forget(key)
            return  # the garbage collector takes the slices of a service that is gone
        if not self.expectations.met(key, self.cache["endpointslices"]):
            return  # the copy lacks a slice that we made; when it comes we are called again
        slices = [each for each in self.cache["endpointslices"].owned_by(objects.uid(service)) if is_ours(each)]
        pods = endpoints.members(service, self.cache["pods"].list(objects.namespace(service)))
        for change in plan(service, pods, slices, self.zones()):
            self.act(key, change)

    def zones(self) -> dict[str, str]:
        return {objects.name(node): objects.labels(node).get(ZONE, "") for node in self.cache["nodes"].list()}

    def act(self, key: str, change: Change) -> None:
        if change.verb == "create":
            self.expectations.created(key, self.api.create("endpointslices", change.obj))
        elif change.verb == "update":
            self.api.update("endpointslices", change.obj)
        else:
            where = objects.name(change.obj), objects.namespace(change.obj)
            try:
                self.api.delete("endpointslices", *where, uid=objects.uid(change.obj))
            except ApiError as error:
                if error.code != 404:
                    raise


def service_of(obj: dict) -> list[str]:
    name = objects.labels(obj).get(SERVICE)
    return [f"{objects.namespace(obj)}/{name}"] if name and objects.labels(obj).get(MANAGED_BY) == CONTROLLER else []


def is_ours(obj: dict) -> bool:
    return bool(service_of(obj)) and not objects.is_deleting(obj)


@dataclass(frozen=True)
class Change:
    """One write: create, update or delete."""

    verb: str
    obj: dict


@dataclass
class Draft:
    """A slice on its way: the one that is there, if any, and what is to be in it."""

    ports: tuple
    held: dict | None = None
    endpoints: list[dict] = field(default_factory=list)


def plan(service: dict, pods: list[dict], slices: list[dict], zones: dict[str, str]) -> list[Change]:
    """Return the writes that bring the slices to what service and pods are."""
    wanted: dict[tuple, dict[str, dict]] = {}
    for pod in pods:
        wanted.setdefault(endpoints.ports(service, pod), {})[objects.uid(pod)] = endpoint(service, pod, zones)
    drafts = [draft for each in slices if (draft := _keep(each, wanted))]
    for ports, left in wanted.items():
        _fill(drafts, ports, list(left.values()))
    used = [draft for draft in drafts if draft.endpoints] or drafts[:1] or [Draft(())]
    kept = {objects.name(draft.held) for draft in used if draft.held}
    gone = [each for each in slices if objects.name(each) not in kept]
    _reuse(gone, used, service)
    when = endpoints.triggered(service, pods)
    writes = [_write(service, draft, when) for draft in used]
    return [*filter(None, writes), *(Change("delete", each) for each in gone)]


def _reuse(gone: list[dict], drafts: list[Draft], service: dict) -> None:
    """Write what is new over slices that would be deleted, so that watchers see one change in the place of two."""
    owned = [each for each in gone if (objects.controller_of(each) or {}).get("uid") == objects.uid(service)]
    for draft, held in zip([each for each in drafts if each.held is None], owned, strict=False):
        draft.held = held
        gone.remove(held)


def _keep(held: dict, wanted: dict[tuple, dict[str, dict]]) -> Draft | None:
    """Take what a slice holds and still should hold out of `wanted`, in its place."""
    ports = tuple((each["name"], each["protocol"], each["port"]) for each in held.get("ports") or [])
    if ports not in wanted:
        return Draft((), held) if not wanted else None
    mine = [(each.get("targetRef") or {}).get("uid") for each in held.get("endpoints") or []]
    return Draft(ports, held, [wanted[ports].pop(uid) for uid in mine if uid in wanted[ports]])


def _fill(drafts: list[Draft], ports: tuple, left: list[dict]) -> None:
    """Put what is left where there is room, then into slices of its own."""
    for draft in drafts:
        if draft.ports == ports:
            room = LARGEST - len(draft.endpoints)
            draft.endpoints += left[:room]
            left = left[room:]
    for start in range(0, len(left), LARGEST):
        drafts.append(Draft(ports, None, left[start : start + LARGEST]))


def _write(service: dict, draft: Draft, when: str) -> Change | None:
    labels = {**endpoints.labels_of(service), SERVICE: objects.name(service), MANAGED_BY: CONTROLLER}
    content = {
        "endpoints": draft.endpoints,
        "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in draft.ports],
    }
    if draft.held is None:
        return Change("create", _new(service, labels, content, when))
    before = {field: draft.held.get(field) or [] for field in content}
    if before == content and objects.labels(draft.held) == labels:
        return None
    annotations = {**objects.annotations(draft.held), endpoints.TRIGGERED: when}
    metadata = {**draft.held["metadata"], "labels": labels, "annotations": annotations}
    return Change("update", {**draft.held, **content, "metadata": metadata})


def _new(service: dict, labels: dict, content: dict, when: str) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{objects.name(service)}-",
            "namespace": objects.namespace(service),
            "labels": labels,
            "annotations": {endpoints.TRIGGERED: when},
            "ownerReferences": [objects.owner_reference(service, "Service", "v1")],
        },
        "addressType": "IPv4",
        **content,
    }


def endpoint(service: dict, pod: dict, zones: dict[str, str]) -> dict:
    """Return a pod's entry: where it is, and whether it may be sent something."""
    serving, terminating = endpoints.is_ready(pod), objects.is_deleting(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    node = pod["spec"].get("nodeName", "")
    more = {"hostname": endpoints.hostname(service, pod), "nodeName": node, "zone": zones.get(node)}
    return {
        "addresses": [endpoints.address(pod)],
        "conditions": {
            "ready": always or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": endpoints.reference(pod),
        **{key: value for key, value in more.items() if value},
    }
