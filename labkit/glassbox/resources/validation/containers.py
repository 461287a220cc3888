"""What a container of a pod must satisfy: its names, ports, environment, mounts, resources.

Upstream: validateContainerCommon in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.environment import environment
from labkit.glassbox.resources.validation.fields import (
    forbidden,
    invalid,
    items,
    not_found,
    one_of,
    required,
    too_many,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.probes import lifecycle, probe
from labkit.glassbox.resources.validation.resource_amounts import resources
from labkit.glassbox.resources.validation.security import container_security
from labkit.glassbox.resources.validation.volumes import descending_path

PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
MAX_RULES, MAX_CODES = 20, 255
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")


def containers(given: list[dict], volumes: set[str], path: str, grace: int | None) -> Iterator[Cause]:
    """Check the containers that run side by side."""
    if not given:
        yield required(path)
        return
    seen: set[str] = set()
    for at, each in items(given, path):
        yield from container(each, volumes, at)
        yield from _unique_name(each, seen, at)
        yield from restart_policy(each, at)
        yield from lifecycle(each.get("lifecycle"), f"{at}.lifecycle", grace)
        yield from probes(each, at)
    yield from host_ports(given, path)


def init_containers(given: list[dict], regular: list[dict], volumes: set[str], path: str,
                    grace: int | None) -> Iterator[Cause]:  # fmt: skip
    """Check the containers that run before the others; a sidecar, restarted always, may have probes."""
    seen = {each.get("name", "") for each in regular}
    for index, (at, each) in enumerate(items(given, path)):
        yield from container(each, volumes, at)
        sidecar = each.get("restartPolicy") == "Always"
        yield from _unique_name(each, seen, at)
        yield from restart_policy(each, at)
        if sidecar:
            yield from lifecycle(each.get("lifecycle"), f"{at}.lifecycle", grace)
            yield from probes(each, at)
        else:
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if each.get(field) is not None:
                    yield forbidden(f"{at}.{field}", "may not be set for init containers without restartPolicy=Always")
        yield from host_ports([each], path, first=index)


EPHEMERAL = "cannot be set for an Ephemeral Container"
NOT_EPHEMERAL = ("ports", "resources", "resizePolicy", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def ephemeral_containers(given: list[dict], others: list[dict], volumes: set[str], path: str) -> Iterator[Cause]:
    """Check the containers that are added to look around with: no services of the pod are theirs."""
    names_of_others = {each.get("name", "") for each in others}
    seen = set(names_of_others)
    for at, each in items(given, path):
        target = each.get("targetContainerName")
        yield from container(each, volumes, at)
        yield from _unique_name(each, seen, at)
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
    if rules and not given.get("restartPolicy"):
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


def _unique_name(given: dict, seen: set[str], path: str) -> Iterator[Cause]:
    if given.get("name"):
        yield from unique(f"{path}.name", given["name"], seen)


def probes(given: dict, path: str) -> Iterator[Cause]:
    for field, once in (("livenessProbe", True), ("readinessProbe", False), ("startupProbe", True)):
        yield from probe(given.get(field), f"{path}.{field}", once)


def container(given: dict, volumes: set[str], path: str) -> Iterator[Cause]:
    """Check what holds for any container."""
    yield from names.needed(names.dns_label, f"{path}.name", given.get("name", ""))
    image = given.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from one_of(f"{path}.terminationMessagePolicy", given.get("terminationMessagePolicy"), MESSAGE_POLICIES)
    yield from ports(given.get("ports") or [], f"{path}.ports")
    yield from environment(given, path)
    yield from mounts(given.get("volumeMounts") or [], volumes, f"{path}.volumeMounts")
    yield from one_of(f"{path}.imagePullPolicy", given.get("imagePullPolicy"), PULL_POLICIES)
    yield from resources(given.get("resources") or {}, f"{path}.resources")
    yield from resize_policy(given.get("resizePolicy") or [], f"{path}.resizePolicy")
    yield from container_security(given.get("securityContext"), f"{path}.securityContext")


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


def host_ports(given: list[dict], path: str, first: int = 0) -> Iterator[Cause]:
    """Refuse two containers that want the same port of the node."""
    taken: set[str] = set()
    for index, each in enumerate(given, first):
        for at, port in items(each.get("ports"), f"{path}[{index}].ports"):
            if port.get("hostPort"):
                wanted = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
                yield from unique(f"{at}.hostPort", wanted, taken)


def mounts(given: list[dict], volumes: set[str], path: str) -> Iterator[Cause]:
    paths = set()
    for at, each in items(given, path):
        where = each.get("mountPath", "")
        if not each.get("name"):
            yield required(f"{at}.name")
        if each.get("name", "") not in volumes:
            yield not_found(f"{at}.name", each.get("name", ""))
        if not where:
            yield required(f"{at}.mountPath")
        if where in paths:
            yield invalid(f"{at}.mountPath", where, "must be unique")
        paths.add(where)
        for field in ("subPath", "subPathExpr"):
            if each.get(field):
                yield from descending_path(each[field], f"{path}.{field}")
        if each.get("subPath") and each.get("subPathExpr"):
            yield invalid(f"{path}.subPathExpr", each["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
        yield from one_of(f"{path}.mountPropagation", each.get("mountPropagation"), PROPAGATIONS)


def resize_policy(given: list[dict], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for each in given:
        resource = each.get("resourceName", "")
        yield from unique(path, resource, seen)
        if resource not in ("cpu", "memory"):
            yield unsupported(path, resource, ("cpu", "memory"))
        yield from one_of(path, each.get("restartPolicy", ""), ("NotRequired", "RestartContainer"))
