"""What a pod's spec must satisfy, and what of it may change later.

Upstream: ValidatePodSpec, ValidatePodUpdate in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal

from labkit.glassbox import pod_requests, quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import internal_struct, names, pod_annotations, scheduling, security
from labkit.glassbox.resources.validation.containers import (
    Pod,
    containers,
    ephemeral_containers,
    image_of_pod,
    init_containers,
)
from labkit.glassbox.resources.validation.environment import files
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    in_range,
    invalid,
    items,
    one_of,
    required,
    too_long,
    unique,
)
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import check_annotations, labels
from labkit.glassbox.resources.validation.resource_amounts import PAGES, resources
from labkit.glassbox.resources.validation.volumes import volumes

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
LONGEST_HOST_NAME, LONGEST_SEARCH = 64, 2048
TOLERATION_CHANGED = "existing toleration can not be modified except its tolerationSeconds"


def template(given: dict, path: str) -> Iterator[Cause]:
    """Check a pod template."""
    meta, spec = given.get("metadata") or {}, given.get("spec") or {}
    yield from labels(meta.get("labels"), f"{path}.labels")
    yield from check_annotations(meta.get("annotations"), f"{path}.annotations")
    yield from pod_annotations.of_pod(meta.get("annotations") or {}, spec, f"{path}.annotations")
    yield from pod_spec(spec, f"{path}.spec")
    yield from pod_annotations.against_fields(meta.get("annotations") or {}, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod_spec(spec: dict, path: str, meta: dict | None = None) -> Iterator[Cause]:
    """Check a pod's spec: with metadata that of a pod itself, else of a template."""
    is_pod, every_container = meta is not None, list(security.containers_of(spec, path))
    mountable, faults = volumes(spec.get("volumes") or [], f"{path}.volumes", meta or {}, is_pod)
    yield from faults
    claimed = {each["name"] for each in spec.get("resourceClaims") or [] if each.get("name")}
    yield from _claims(spec.get("resourceClaims"), f"{path}.resourceClaims", meta or {})
    grace, own_users = spec.get("terminationGracePeriodSeconds"), spec.get("hostUsers") is False
    pod = Pod(mountable, claimed, grace, own_users, spec.get("restartPolicy", ""))
    regular, initial = spec.get("containers") or [], spec.get("initContainers") or []
    yield from containers(regular, pod, f"{path}.containers")
    yield from init_containers(initial, regular, pod, f"{path}.initContainers")
    added = spec.get("ephemeralContainers") or []
    yield from ephemeral_containers(added, regular + initial, pod, f"{path}.ephemeralContainers")
    yield from _resources(spec, f"{path}.resources", claimed)
    yield from _host_network_ports(spec, path, is_pod)
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    yield from labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from security.pod_security(spec, f"{path}.securityContext")
    yield from scheduling.affinity(spec.get("affinity"), f"{path}.affinity")
    yield from _dns_config(spec, f"{path}.dnsConfig")
    yield from _gates(spec, path)
    yield from scheduling.topology_spread(
        spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints"
    )
    yield from security.host_processes(spec, path)
    yield from security.own_users(spec, path)
    yield from _names(spec, path)
    yield from security.operating_system(spec, path)
    yield from files({each.get("name", ""): each for each in spec.get("volumes") or []}, every_container)
    for at, each in every_container if is_pod else ():
        if not at.startswith(f"{path}.ephemeral"):
            yield from image_of_pod(each, at)


def _claims(given: list[dict] | None, path: str, meta: dict) -> Iterator[Cause]:
    """Check the devices that a pod claims, each by one of two ways."""
    seen: set[str] = set()
    for at, each in items(given, path):
        if pod_annotations.MIRROR in (meta.get("annotations") or {}):
            yield forbidden("", "static pods do not support resource claims")
            continue
        name, ways = each.get("name", ""), ("resourceClaimName", "resourceClaimTemplateName")
        if name in seen:
            yield duplicate(f"{at}.name", name)
        else:
            yield from names.needed(names.dns_label, f"{at}.name", name)
        seen |= {name} if name else set()
        found = [field for field in ways if each.get(field) is not None]
        if len(found) == 2:
            told = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid(at, struct("PodResourceClaim", each), told)
        elif not found:
            told = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            yield invalid(at, struct("PodResourceClaim", each), told)
        for field in found:
            yield from names.check(names.dns_subdomain, f"{at}.{field}", each[field])


def _resources(spec: dict, path: str, claims: set[str]) -> Iterator[Cause]:
    """Check what the pod has as a whole against what its containers have."""
    if (given := spec.get("resources")) is None:
        return
    if (spec.get("os") or {}).get("name") == "windows":
        yield forbidden(path, "may not be set for a windows pod")
        return
    if given.get("claims") is not None:
        yield forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    yield from resources(given, path, claims, of_pod=True)
    alone = {"spec": {"initContainers": spec.get("initContainers"), "containers": spec.get("containers") or []}}
    for kind, telling in (("requests", ""), ("limits", PAGES)):
        own, together = given.get(kind) or {}, pod_requests.requests(alone, field=kind)
        for name in sorted(own):
            least = Decimal(together.get(name, 0)) / (1000 if name == "cpu" else 1)
            if name.startswith(telling) and least > quantity.parse(own[name]):
                told = f"must be greater than or equal to aggregate container {kind} of "
                yield invalid(f"{path}.{kind}[{name}]", own[name], told + quantity.written(least, own[name]))
    most = given.get("limits") or {}
    for at, each in items(spec.get("containers"), f"{path}.containers"):
        for name, amount in sorted(((each.get("resources") or {}).get("limits") or {}).items()):
            if name in most and quantity.parse(amount) > quantity.parse(most[name]):
                yield invalid(
                    f"{at}[{name}].limits", amount, f"must be less than or equal to pod limits of {most[name]}"
                )


def _host_network_ports(spec: dict, path: str, is_pod: bool) -> Iterator[Cause]:
    """Check that ports are the node's own; a template may leave that to be filled in."""
    if not spec.get("hostNetwork"):
        return
    for at, each in items(spec.get("containers"), f"{path}.containers"):
        for where, port in items(each.get("ports"), f"{at}.ports"):
            number = port.get("hostPort", 0)
            if (is_pod or number) and number != port.get("containerPort", 0):
                yield invalid(f"{where}.hostPort", number, "must match `containerPort` when `hostNetwork` is true")


def _names(spec: dict, path: str) -> Iterator[Cause]:
    yield from _host_name(spec, path)
    for field in ("serviceAccountName", "nodeName"):
        if spec.get(field):
            yield from names.check(names.dns_subdomain, f"{path}.{field}", spec[field])
    yield from in_range(f"{path}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1, 2**31 - 1)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            yield from names.check(names.dns_label, f"{path}.{field}", spec[field])
    yield from every(scheduling.toleration, spec.get("tolerations"), f"{path}.tolerations")
    yield from _host_aliases(spec.get("hostAliases") or [], f"{path}.hostAliases")
    if spec.get("priorityClassName"):
        yield from names.check(names.dns_subdomain, f"{path}.priorityClassName", spec["priorityClassName"])
    if spec.get("runtimeClassName") is not None:
        yield from names.check(names.dns_subdomain, f"{path}.runtimeClassName", spec["runtimeClassName"])
    policies = ("PreemptLowerPriority", "Never")
    yield from one_of(f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), policies)
    yield from resources({"limits": spec.get("overhead") or {}}, f"{path}.overhead")


def _host_name(spec: dict, path: str) -> Iterator[Cause]:
    """Check the name that takes the place of all that the pod would be called by."""
    name, at = spec.get("hostnameOverride"), f"{path}.hostnameOverride"
    if name is None:
        return
    for field in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(field):
            yield forbidden(at, f"may not be specified when {field} is true")
    if len(name) > LONGEST_HOST_NAME:
        yield too_long(at, LONGEST_HOST_NAME)
    yield from names.check(names.dns_subdomain, at, name)


def _dns_config(spec: dict, path: str) -> Iterator[Cause]:
    config, by_itself = spec.get("dnsConfig"), spec.get("dnsPolicy") == "None"
    if by_itself and config is None:
        yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
    if config is None:
        return
    if by_itself and not config.get("nameservers"):
        yield required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        yield invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for at, each in items(servers, f"{path}.nameservers"):
        yield from names.check(names.address, at, each)
    if len(searches) > 32:
        yield invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches)) > LONGEST_SEARCH:
        told = f"must not have more than {LONGEST_SEARCH} characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", searches, told)
    for at, each in items(searches, f"{path}.searches"):
        if each != ".":
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


def whole(pod: dict) -> Iterator[Cause]:
    """Check what holds for any pod, new or changed."""
    spec, meta = pod.get("spec") or {}, pod["metadata"]
    yield from pod_annotations.of_pod(meta.get("annotations") or {}, spec, "metadata.annotations")
    yield from pod_spec(spec, "spec", meta)


def new_pod(pod: dict) -> Iterator[Cause]:
    """Check a pod that is being created."""
    spec = pod.get("spec") or {}
    yield from whole(pod)
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("schedulingGates") and spec.get("nodeName"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    yield from pod_annotations.against_fields(pod["metadata"].get("annotations") or {}, spec, "spec")


def binding(target: dict) -> Iterator[Cause]:
    """Check what a pod is to be bound to."""
    yield from one_of("target.kind", target.get("kind"), ("Node", "<empty>"))
    if not target.get("name"):
        yield required("target.name")


def changed_pod(pod: dict, old: dict) -> Iterator[Cause]:
    """Check what has changed: images, deadline, more tolerations, fewer gates; nothing else."""
    new, held = pod.get("spec") or {}, old.get("spec") or {}
    yield from whole(pod)
    yield from pod_annotations.kept(pod, old, "metadata.annotations")
    for field in ("containers", "initContainers"):
        if len(new.get(field) or []) != len(held.get(field) or []):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        for at, each in items(new.get(field), f"spec.{field}"):
            if not each.get("image"):
                yield required(f"{at}.image")
            yield from image_of_pod(each, at)
    wanted, had = (each.get("activeDeadlineSeconds") for each in (new, held))
    faults = list(_deadline(wanted, had))
    yield from faults
    if faults and wanted is not None:
        return
    yield from _added_tolerations(new, held)
    known = {each["name"] for each in held.get("schedulingGates") or []}
    for at, each in items(new.get("schedulingGates"), "spec.schedulingGates"):
        if each.get("name") not in known:
            told = f"only deletion is allowed, but found new scheduling gate '{each.get('name', '')}'"
            yield forbidden(f"{at}.name", told)
    yield from _other_changes(new, held)


def more_ephemeral_containers(pod: dict, old: dict) -> Iterator[Cause]:
    """Check the pod with the containers that were added; those that were there stay as they are."""
    if pod_annotations.MIRROR in (old["metadata"].get("annotations") or {}):
        yield forbidden("", "static pods do not support ephemeral containers")
        return
    yield from whole(pod)
    path, new = "spec.ephemeralContainers", pod["spec"].get("ephemeralContainers") or []
    for held in old["spec"].get("ephemeralContainers") or []:
        found = next((each for each in new if each.get("name") == held["name"]), None)
        if found is None:
            yield forbidden(path, f'existing ephemeral containers "{held["name"]}" may not be removed\n')
        elif found != held:
            told = f'existing ephemeral containers "{held["name"]}" may not be changed\n'
            yield forbidden(path, told + internal_struct.difference("EphemeralContainer", held, found))


def _deadline(wanted: int | None, had: int | None) -> Iterator[Cause]:
    path = "spec.activeDeadlineSeconds"
    if wanted is None and had is not None:
        yield invalid(path, None, "must not update from a positive integer to nil value")
    elif wanted is not None and not 0 <= wanted < 2**31:
        yield from in_range(path, wanted, 0, 2**31 - 1)
    elif wanted is not None and had is not None and wanted > had:
        yield invalid(path, wanted, "must be less than or equal to previous value")


def _added_tolerations(new: dict, held: dict) -> Iterator[Cause]:
    def bare(toleration: dict) -> dict:
        return {field: value for field, value in toleration.items() if field != "tolerationSeconds"}

    given = [bare(each) for each in new.get("tolerations") or []]
    if any(bare(each) not in given for each in held.get("tolerations") or []):
        yield forbidden("spec.tolerations", TOLERATION_CHANGED)
        return
    yield from every(scheduling.toleration, new.get("tolerations"), "spec.tolerations")


def _other_changes(new: dict, held: dict) -> Iterator[Cause]:
    """Refuse every other change, and of a pod that waits at a gate those that do not narrow where it may go."""
    if new == held:
        return
    munged = copy.deepcopy(new)
    _put_back(munged, held, "activeDeadlineSeconds", "tolerations", "schedulingGates")
    for field in ("containers", "initContainers"):
        for one, other in zip(munged.get(field) or [], held.get(field) or [], strict=True):
            one["image"] = other.get("image", "")
    if held.get("schedulingGates"):
        yield from scheduling.narrowed(new, held)
        _put_back(munged, held, "nodeSelector")
        affinity = {**(munged.get("affinity") or {})}
        _put_back(affinity, held.get("affinity") or {}, "nodeAffinity")
        _put_back(munged, {"affinity": affinity} if affinity or "affinity" in held else {}, "affinity")
    if difference := internal_struct.difference("PodSpec", held, munged):
        yield forbidden("spec", f"{MAY_CHANGE}\n{difference}")


def _put_back(new: dict, held: dict, *fields: str) -> None:
    for field in fields:
        new.pop(field, None)
        if field in held:
            new[field] = held[field]
