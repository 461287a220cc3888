"""What a container of a pod must satisfy: its names, ports, environment, mounts, resources.

Upstream: validateContainerCommon in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.environment import environment
from labkit.glassbox.resources.validation.fields import (
    forbidden,
    invalid,
    items,
    no_parent,
    not_found,
    one_of,
    required,
    too_many,
    unique,
)
from labkit.glassbox.resources.validation.probes import lifecycle, probe
from labkit.glassbox.resources.validation.resource_amounts import resources
from labkit.glassbox.resources.validation.security import container_security
from labkit.glassbox.resources.validation.volumes import descending_path

PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
MAX_RULES, MAX_CODES = 20, 255
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")


class Pod(NamedTuple):
    """What a container's check knows of its pod: the volumes that may be mounted by name, and what it says for all."""

    volumes: dict[str, dict]
    claims: set[str]
    grace: int | None
    has_users: bool  # user ids of its own, not its host's
    restarts: str


def containers(given: list[dict], pod: Pod, path: str) -> Iterator[Cause]:
    """Check the containers that run side by side."""
    if not given:
        yield required(path)
        return
    seen: set[str] = set()
    for at, each in items(given, path):
        yield from container(each, pod, at)
        yield from unique(f"{at}.name", each.get("name", ""), seen)
        yield from _services(each, at, pod.grace)
        yield from restart_policy(each, at)
    yield from host_ports(given, path)


def init_containers(given: list[dict], regular: list[dict], pod: Pod, path: str) -> Iterator[Cause]:
    """Check the containers that run before the others; a sidecar, restarted always, may have probes."""
    seen = {each.get("name", "") for each in regular}
    for at, each in items(given, path):
        yield from container(each, pod, at)
        if each.get("restartPolicy") is not None:
            yield from restart_policy(each, at)
        name = each.get("name", "")
        if name or name in seen:
            yield from unique(f"{at}.name", name, seen)
        yield from host_ports([each], path)
        if each.get("restartPolicy") == "Always":
            yield from _services(each, at, pod.grace)
            continue
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if each.get(field) is not None:
                yield forbidden(f"{at}.{field}", "may not be set for init containers without restartPolicy=Always")


EPHEMERAL = "cannot be set for an Ephemeral Container"
NOT_EPHEMERAL = (
    *("ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules"),
    *("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"),
)


def ephemeral_containers(given: list[dict], others: list[dict], pod: Pod, path: str) -> Iterator[Cause]:
    """Check the containers that are added to look around with: no services of the pod are theirs."""
    names_of_others = {each.get("name", "") for each in others}
    seen = set(names_of_others)
    for at, each in items(given, path):
        target = each.get("targetContainerName")
        yield from container(each, pod, at)
        yield from image_of_pod(each, at)
        yield from unique(f"{at}.name", each.get("name", ""), seen)
        if target and target not in names_of_others:
            yield not_found(f"{at}.targetContainerName", target)
        for field in NOT_EPHEMERAL:
            if each.get(field):
                yield forbidden(f"{at}.{field}", EPHEMERAL)
        for where, mount in items(each.get("volumeMounts"), f"{at}.volumeMounts"):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    yield forbidden(f"{where}.{field}", EPHEMERAL)


def restart_policy(given: dict, path: str) -> Iterator[Cause]:
    """Check a container's own restart policy, and the rules that come before it."""
    rules = given.get("restartPolicyRules") or []
    if rules and given.get("restartPolicy") is None:
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    yield from one_of(f"{path}.restartPolicy", given.get("restartPolicy"), RESTART_POLICIES)
    if len(rules) > MAX_RULES:
        yield too_many(f"{path}.restartPolicyRules", len(rules), MAX_RULES)
    for index, rule in enumerate(rules):
        at, codes = f"{path}.restartPolicyRules[{index}]", rule.get("exitCodes")
        yield from one_of(f"{at}.action", rule.get("action", ""), ("Restart", "RestartAllContainers"))
        if codes is None:
            yield required(f"{at}.exitCodes", "must be specified")
            continue
        yield from one_of(f"{at}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn"))
        if len(codes.get("values") or []) > MAX_CODES:
            yield too_many(f"{at}.exitCodes.values", len(codes["values"]), MAX_CODES)


def _services(given: dict, path: str, grace: int | None) -> Iterator[Cause]:
    """Check what a container that runs for long may have: hooks and probes."""
    yield from lifecycle(given.get("lifecycle"), f"{path}.lifecycle", grace)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield from probe(given.get(field), f"{path}.{field}", ready=field == "readinessProbe")


def image_of_pod(given: dict, path: str) -> Iterator[Cause]:
    """Check what a template may have and a pod may not."""
    if (image := given.get("image", "")) != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def container(given: dict, pod: Pod, path: str) -> Iterator[Cause]:
    """Check what holds for any container."""
    yield from names.needed(names.dns_label, f"{path}.name", given.get("name", ""))
    if not given.get("image"):
        yield required(f"{path}.image")
    yield from one_of(f"{path}.terminationMessagePolicy", given.get("terminationMessagePolicy"), MESSAGE_POLICIES)
    yield from ports(given.get("ports") or [], f"{path}.ports")
    yield from environment(given, path)
    yield from mounts(given, pod.volumes, f"{path}.volumeMounts")
    yield from devices(given, pod.volumes, f"{path}.volumeDevices")
    yield from one_of(f"{path}.imagePullPolicy", given.get("imagePullPolicy"), PULL_POLICIES)
    yield from resources(given.get("resources") or {}, f"{path}.resources", claims=pod.claims)
    yield from resize_policy(given.get("resizePolicy") or [], f"{path}.resizePolicy", pod.restarts)
    yield from container_security(given.get("securityContext"), f"{path}.securityContext", pod.has_users)


def ports(given: list[dict], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, each in items(given, path):
        if name := each.get("name"):
            faults = list(names.check(names.port_name, f"{at}.name", name))
            yield from faults or unique(f"{at}.name", name, seen)
        if not each.get("containerPort"):
            yield required(f"{at}.containerPort")
        else:
            yield from names.check_port(each["containerPort"], f"{at}.containerPort")
        if each.get("hostPort"):
            yield from names.check_port(each["hostPort"], f"{at}.hostPort")
        yield from one_of(f"{at}.protocol", each.get("protocol"), PROTOCOLS)


def host_ports(given: list[dict], path: str) -> Iterator[Cause]:
    """Refuse two containers that want the same port of the node."""
    taken: set[str] = set()
    for index, each in enumerate(given):
        for at, port in items(each.get("ports"), f"{path}[{index}].ports"):
            if port.get("hostPort"):
                wanted = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
                yield from unique(f"{at}.hostPort", wanted, taken)


def mounts(container: dict, volumes: dict[str, dict], path: str) -> Iterator[Cause]:
    """Check what is mounted where; upstream does not say of each fault which mount it is."""
    privileged = (container.get("securityContext") or {}).get("privileged")
    raw = container.get("volumeDevices") or []
    as_devices, device_paths = ({each.get(field, "") for each in raw} for field in ("name", "devicePath"))
    paths: set[str] = set()
    for at, each in items(container.get("volumeMounts"), path):
        where, name = each.get("mountPath", ""), each.get("name", "")
        if not name:
            yield required(f"{at}.name")
        if name not in volumes:
            yield not_found(f"{at}.name", name)
        if not where:
            yield required(f"{at}.mountPath")
        if where in paths:
            yield invalid(f"{at}.mountPath", where, "must be unique")
        paths.add(where)
        if name in as_devices:
            yield invalid(f"{at}.name", name, "must not already exist in volumeDevices")
        if where in device_paths:
            yield invalid(f"{at}.mountPath", where, "must not already exist as a path in volumeDevices")
        yield from _sub_paths(each, at, path)
        yield from _propagation(each, path, privileged)


def _sub_paths(mount: dict, path: str, of_all: str) -> Iterator[Cause]:
    if mount.get("subPath"):
        yield from descending_path(mount["subPath"], f"{of_all}.subPath")
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            yield invalid(f"{path}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
        yield from descending_path(mount["subPathExpr"], f"{of_all}.subPathExpr")


def _propagation(mount: dict, path: str, privileged: bool | None) -> Iterator[Cause]:
    spread, deep = mount.get("mountPropagation"), mount.get("recursiveReadOnly")
    yield from one_of(f"{path}.mountPropagation", spread, PROPAGATIONS)
    if spread == "Bidirectional" and not privileged:
        told = "Bidirectional mount propagation is available only to privileged containers"
        yield forbidden(f"{path}.mountPropagation", told)
    yield from one_of(f"{path}.recursiveReadOnly", deep, ("Disabled", "Enabled", "IfPossible"))
    if deep in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
        if spread not in (None, "None"):
            told = "may only be specified when mountPropagation is None or not specified"
            yield forbidden(f"{path}.recursiveReadOnly", told)


def devices(container: dict, volumes: dict[str, dict], path: str) -> Iterator[Cause]:
    """Check the claims that a container has as raw devices."""
    mounted = container.get("volumeMounts") or []
    as_mounts, mount_paths = ({each.get(field, "") for each in mounted} for field in ("name", "mountPath"))
    seen: set[str] = set()
    paths: set[str] = set()
    for at, each in items(container.get("volumeDevices"), path):
        name, where = each.get("name", ""), each.get("devicePath", "")
        if not name:
            yield required(f"{at}.name")
        if name in seen:
            yield invalid(f"{at}.name", name, "must be unique")
        if name not in volumes:
            yield not_found(f"{at}.name", name)
        elif not {"persistentVolumeClaim", "ephemeral"} & set(volumes[name]):
            told = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(f"{at}.name", name, told)
        if not where:
            yield required(f"{at}.devicePath")
        if where in paths:
            yield invalid(f"{at}.devicePath", where, "must be unique")
        faults = list(no_parent(f"{at}.devicePath", where, "can not contain backsteps ('..')"))
        yield from faults
        paths |= set() if faults else {where}
        if name in as_mounts:
            yield invalid(f"{at}.name", name, "must not already exist in volumeMounts")
        if where in mount_paths:
            yield invalid(f"{at}.devicePath", where, "must not already exist as a path in volumeMounts")
        seen |= {name} if name else set()


def resize_policy(given: list[dict], path: str, restarts: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, each in items(given, path):
        resource, policy = each.get("resourceName", ""), each.get("restartPolicy", "")
        yield from unique(at, resource, seen)
        for value, known in ((resource, ("cpu", "memory")), (policy, ("NotRequired", "RestartContainer"))):
            yield from one_of(path, value, known) if value else [required(path)]
        if restarts == "Never" and policy != "NotRequired":
            yield invalid(path, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'")
