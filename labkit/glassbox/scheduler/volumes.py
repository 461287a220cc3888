"""A pod goes where its volumes can be: claims that are bound say where; claims that wait for their pod are settled now.

A claim of a class with WaitForFirstConsumer gets its volume for the node that its pod is put on: one that is there, or
one that the class's provisioner makes once the claim is annotated with the node. The pod is bound when its claims are.

Upstream: pkg/scheduler/framework/plugins/{volumebinding,volumerestrictions}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.glassbox import objects, volume_match
from labkit.glassbox.scheduler.cycle import Cycle, Storage
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.volume_match import storage_class

SELECTED_NODE = "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True)
class Binding:
    """What is to be done for a pod's claims on one node."""

    bind: tuple[tuple[dict, dict], ...] = ()  # claim, volume
    provision: tuple[dict, ...] = ()


def on_their_way(claims: Mapping[str, dict], node: str, asked: Mapping[str, int]) -> dict[str, dict]:
    """Return those of the claims that were asked, in a version not seen yet, to be provisioned on a node, with it."""
    late = [key for key in asked if key in claims and int(claims[key]["metadata"]["resourceVersion"]) < asked[key]]
    annotations = {key: {**objects.annotations(claims[key]), SELECTED_NODE: node} for key in late}
    metadata = {key: {**claims[key]["metadata"], "annotations": annotations[key]} for key in late}
    return {key: {**claims[key], "metadata": metadata[key]} for key in late}


def claim_names(pod: dict) -> Iterator[tuple[str, bool]]:
    """Give the names of the claims that the pod mounts, and whether the pod's own ephemeral volume makes it."""
    for volume in pod["spec"].get("volumes") or []:
        if "ephemeral" in volume:
            yield f"{objects.name(pod)}-{volume['name']}", True
        elif reference := volume.get("persistentVolumeClaim"):
            yield reference["claimName"], False


def claims(pod: dict, storage: Storage) -> list[dict]:
    found = (storage.claims.get(f"{objects.namespace(pod)}/{name}") for name, _ in claim_names(pod))
    return [claim for claim in found if claim]


def is_bound(claim: dict) -> bool:
    annotations = claim["metadata"].get("annotations") or {}
    return bool(claim["spec"].get("volumeName")) and "pv.kubernetes.io/bind-completed" in annotations


def was_given_back(claim: dict, asked: Mapping[str, int]) -> bool:
    """Tell whether a claim lost the node that it was `asked` (in which version) to be provisioned on."""
    since = asked.get(objects.key(claim))
    annotations = claim["metadata"].get("annotations") or {}
    return (
        since is not None
        and int(claim["metadata"]["resourceVersion"]) > since
        and not claim["spec"].get("volumeName")
        and SELECTED_NODE not in annotations
    )


def waits_for_its_pod(claim: dict, storage: Storage) -> bool:
    found = storage.classes.get(storage_class(claim))
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def impossible(cycle: Cycle) -> str:
    """Return what of the pod's claims keeps it from every node; "" for nothing."""
    for name, is_own in claim_names(cycle.pod):
        claim = cycle.storage.claims.get(f"{objects.namespace(cycle.pod)}/{name}")
        if claim is None:
            waiting = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return waiting if is_own else f'persistentvolumeclaim "{name}" not found'
        if (claim.get("status") or {}).get("phase") == "Lost":
            lost = claim["spec"].get("volumeName", "")
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{lost}"'
        if objects.is_deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
    loose = [each for each in claims(cycle.pod, cycle.storage) if not is_bound(each)]
    if all(waits_for_its_pod(each, cycle.storage) for each in loose):
        return ""
    return "pod has unbound immediate PersistentVolumeClaims"


def volume_binding(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    plan = plan_binding(cycle, info)
    if isinstance(plan, Reason):
        yield plan


def plan_binding(cycle: Cycle, info: NodeInfo) -> Binding | Reason:
    """Return how the pod's claims are settled on a node, or why they cannot be."""
    bind, provision, taken = [], [], set[str]()
    for claim in claims(cycle.pod, cycle.storage):
        if is_bound(claim):
            volume = cycle.storage.volumes.get(claim["spec"]["volumeName"])
            if volume is None:
                return Reason("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
            if not volume_match.reaches(volume, info.node):
                return Reason("node(s) didn't match PersistentVolume's node affinity")
            continue
        chosen = objects.annotations(claim).get(SELECTED_NODE)
        if chosen and chosen != info.name:  # another pod's node: the volume will be there
            return Reason("node(s) didn't find available persistent volumes to bind")
        there = [each for each in cycle.storage.volumes.values() if objects.name(each) not in taken]
        if found := volume_match.find(claim, there, info.node):
            taken.add(objects.name(found))
            bind.append((claim, found))
        elif _can_provision(claim, info, cycle.storage):
            provision.append(claim)
        else:
            return Reason("node(s) didn't find available persistent volumes to bind")
    return Binding(tuple(bind), tuple(provision))


def _can_provision(claim: dict, info: NodeInfo, storage: Storage) -> bool:
    found = storage.classes.get(storage_class(claim))
    if found is None or found["provisioner"] == NO_PROVISIONER:
        return False
    topologies = found.get("allowedTopologies") or []
    return not topologies or any(_in_topology(each, info) for each in topologies)


def _in_topology(topology: dict, info: NodeInfo) -> bool:
    terms = topology.get("matchLabelExpressions") or []
    return all(info.labels.get(each["key"]) in each["values"] for each in terms)


def volume_restrictions(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    alone = {objects.name(each) for each in claims(cycle.pod, cycle.storage) if _is_for_one_pod(each)}
    taken = {name for pod in info.pods.values() if objects.namespace(pod) == objects.namespace(cycle.pod)
             for name, _ in claim_names(pod)} if alone else set()  # fmt: skip
    if alone & taken:
        what = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
        yield Reason(what, resolvable=True)


def _is_for_one_pod(claim: dict) -> bool:
    return "ReadWriteOncePod" in (claim["spec"].get("accessModes") or [])
