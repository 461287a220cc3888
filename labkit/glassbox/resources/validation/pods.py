"""What a pod's spec must satisfy, and what of it may change later.

Upstream: ValidatePodSpec, ValidatePodUpdate in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import internal_struct, names, scheduling, security
from labkit.glassbox.resources.validation.containers import containers, ephemeral_containers, init_containers
from labkit.glassbox.resources.validation.fields import (
    every,
    forbidden,
    in_range,
    invalid,
    items,
    one_of,
    required,
    unique,
)
from labkit.glassbox.resources.validation.metadata import check_annotations, labels
from labkit.glassbox.resources.validation.volumes import volumes

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
TOLERATION_CHANGED = "existing toleration can not be modified except its tolerationSeconds"


def template(given: dict, path: str) -> Iterator[Cause]:
    """Check a pod template."""
    meta = given.get("metadata") or {}
    yield from labels(meta.get("labels"), f"{path}.labels")
    yield from check_annotations(meta.get("annotations"), f"{path}.annotations")
    yield from pod_spec(given.get("spec") or {}, f"{path}.spec")


def pod_spec(spec: dict, path: str) -> Iterator[Cause]:
    """Check a pod's spec, of its own or in a template."""
    given = spec.get("volumes") or []
    mountable = {each.get("name", "") for each in given}
    regular, initial = spec.get("containers") or [], spec.get("initContainers") or []
    yield from volumes(given, f"{path}.volumes")
    grace = spec.get("terminationGracePeriodSeconds")
    yield from containers(regular, mountable, f"{path}.containers", grace)
    yield from init_containers(initial, regular, mountable, f"{path}.initContainers", grace)
    added = spec.get("ephemeralContainers") or []
    yield from ephemeral_containers(added, regular + initial, mountable, f"{path}.ephemeralContainers")
    if spec.get("hostUsers") is not False:
        yield from security.unmasked(spec, path)
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    yield from labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from _host_network_ports(spec, path)
    yield from security.pod_security(spec.get("securityContext") or {}, f"{path}.securityContext")
    yield from scheduling.affinity(spec.get("affinity"), f"{path}.affinity")
    yield from _dns_config(spec, f"{path}.dnsConfig")
    yield from _gates(spec, path)
    yield from every(
        scheduling.topology_spread, spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints"
    )
    yield from _names(spec, path)
    yield from every(scheduling.toleration, spec.get("tolerations"), f"{path}.tolerations")
    yield from _host_aliases(spec.get("hostAliases") or [], f"{path}.hostAliases")
    yield from security.operating_system(spec, path)


def _host_network_ports(spec: dict, path: str) -> Iterator[Cause]:
    if not spec.get("hostNetwork"):
        return
    for at, each in items(spec.get("containers"), f"{path}.containers"):
        for where, port in items(each.get("ports"), f"{at}.ports"):
            if port.get("hostPort") != port.get("containerPort"):
                told = "must match `hostPort` when `hostNetwork` is true"
                yield invalid(f"{where}.containerPort", port.get("containerPort"), told)


def _names(spec: dict, path: str) -> Iterator[Cause]:
    for field, rule in (("serviceAccountName", names.dns_subdomain), ("nodeName", names.dns_subdomain)):
        if spec.get(field):
            yield from names.check(rule, f"{path}.{field}", spec[field])
    yield from in_range(f"{path}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1, 2**31 - 1)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            yield from names.check(names.dns_label, f"{path}.{field}", spec[field])


def _dns_config(spec: dict, path: str) -> Iterator[Cause]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None" and config is None:
        yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
    if config is None:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        yield invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for at, each in items(servers, f"{path}.nameservers"):
        yield from names.check(names.address, at, each)
    if len(searches) > 32:
        yield invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    for at, each in items(searches, f"{path}.searches"):
        yield from names.check(names.search_domain, at, each.removesuffix("."))
    for at, each in items(config.get("options"), f"{path}.options"):
        if not each.get("name"):
            yield required(at, "must not be empty")


def _gates(spec: dict, path: str) -> Iterator[Cause]:
    for at, each in items(spec.get("readinessGates"), f"{path}.readinessGates"):
        yield from names.check(names.qualified_name, f"{at}.conditionType", each.get("conditionType", ""))
    seen: set[str] = set()
    for at, each in items(spec.get("schedulingGates"), f"{path}.schedulingGates"):
        yield from names.check(names.qualified_name, at, each.get("name", ""))
        yield from unique(at, each.get("name", ""), seen)


def _host_aliases(given: list[dict], path: str) -> Iterator[Cause]:
    for at, each in items(given, path):
        yield from names.check(names.address, f"{at}.ip", each.get("ip", ""))
        for where, name in items(each.get("hostnames"), f"{at}.hostnames"):
            yield from names.check(names.dns_subdomain, where, name)


def new_pod(pod: dict) -> Iterator[Cause]:
    """Check a pod that is being created."""
    spec = pod.get("spec") or {}
    yield from pod_spec(spec, "spec")
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("schedulingGates") and spec.get("nodeName"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def pod_status(status: dict) -> Iterator[Cause]:
    """Check what a kubelet reports."""
    for at, each in items(status.get("conditions"), "status.conditions"):
        yield from names.check(names.qualified_name, f"{at}.Type", each.get("type", ""))
    yield from _addresses(status.get("podIPs") or [], "status.podIPs")
    if status.get("observedGeneration", 0) < 0:
        yield invalid("status.observedGeneration", status["observedGeneration"], "must be a non-negative integer")


def _addresses(given: list[dict], path: str) -> Iterator[Cause]:
    """Check a pod's addresses: one of each family."""
    texts = [each.get("ip", "") for each in given]
    wrong = [at for at, text in enumerate(texts) if names.address(text)]
    for at in wrong:
        yield from names.check(names.address, f"{path}[{at}]", texts[at])
    if len(texts) > 1 and wrong:
        told = f"failed to check for dual stack with error:invalid IP[{wrong[0]}]: {texts[wrong[0]]}"
        yield Cause("InternalError", f"Internal error: {told}", path)
    if len(texts) > 1 and (wrong or len(texts) > len({":" in text for text in texts})):
        yield invalid(path, [{"IP": text} for text in texts], "may specify no more than one IP for each IP family")


def changed_pod(pod: dict, old: dict) -> Iterator[Cause]:
    """Check what has changed: images, deadline, more tolerations, fewer gates; nothing else."""
    new, held = pod.get("spec") or {}, old.get("spec") or {}
    for field in ("containers", "initContainers"):
        if len(new.get(field) or []) != len(held.get(field) or []):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        for at, each in items(new.get(field), f"spec.{field}"):
            if not each.get("image"):
                yield required(f"{at}.image")
    faults = [*_deadline(new, held), *_added_tolerations(new, held)]
    yield from faults
    if not faults and (difference := _other_changes(new, held)):
        yield forbidden("spec", f"{MAY_CHANGE}\n{difference}")


def more_ephemeral_containers(pod: dict, old: dict) -> Iterator[Cause]:
    """Check the pod with the containers that were added; those that were there stay as they are."""
    yield from pod_spec(pod["spec"], "spec")
    path, new = "spec.ephemeralContainers", pod["spec"].get("ephemeralContainers") or []
    for held in old["spec"].get("ephemeralContainers") or []:
        found = next((each for each in new if each.get("name") == held["name"]), None)
        if found is None:
            yield forbidden(path, f'existing ephemeral containers "{held["name"]}" may not be removed\n')
        elif found != held:
            told = f'existing ephemeral containers "{held["name"]}" may not be changed\n'
            yield forbidden(path, told + internal_struct.difference("EphemeralContainer", held, found))


def _deadline(new: dict, held: dict) -> Iterator[Cause]:
    path = "spec.activeDeadlineSeconds"
    wanted, had = (each.get("activeDeadlineSeconds") for each in (new, held))
    if wanted is None and had is not None:
        yield invalid(path, None, "must not update from a positive integer to nil value")
    elif wanted is not None:
        yield from in_range(path, wanted, 1, 2**31 - 1)
        if had is not None and wanted > had:
            yield invalid(path, wanted, "must be less than or equal to previous value")


def _added_tolerations(new: dict, held: dict) -> Iterator[Cause]:
    def bare(toleration: dict) -> dict:
        return {field: value for field, value in toleration.items() if field != "tolerationSeconds"}

    given = [bare(each) for each in new.get("tolerations") or []]
    if any(bare(each) not in given for each in held.get("tolerations") or []):
        yield forbidden("spec.tolerations", TOLERATION_CHANGED)
    yield from every(scheduling.toleration, new.get("tolerations"), "spec.tolerations")


def _other_changes(new: dict, held: dict) -> str:
    """Return the difference between two specs in what must not change."""
    if new == held:
        return ""
    munged = copy.deepcopy(new)
    for field in ("activeDeadlineSeconds", "tolerations"):
        munged.pop(field, None)
        if field in held:
            munged[field] = held[field]
    for field in ("containers", "initContainers"):
        for one, other in zip(munged.get(field) or [], held.get(field) or [], strict=True):
            one["image"] = other.get("image", "")
    gates = [each for each in held.get("schedulingGates") or [] if each in (new.get("schedulingGates") or [])]
    if gates == (new.get("schedulingGates") or []):
        munged["schedulingGates"] = held.get("schedulingGates")
        if munged["schedulingGates"] is None:
            del munged["schedulingGates"]
    if (held.get("terminationGracePeriodSeconds") or 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = held["terminationGracePeriodSeconds"]
    return internal_struct.difference("PodSpec", held, munged)
