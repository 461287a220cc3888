"""What security contexts must satisfy, and what of a pod its operating system does not know.

Left out: the forms of Windows' user names.

Upstream: ValidateSecurityContext, validatePodSpecSecurityContext, validateWindows in
pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    forbidden,
    in_range,
    invalid,
    items,
    one_of,
    required,
    too_long,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.volumes import descending_path

HIGHEST_ID = 2**31 - 1
SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
# the namespace that a kernel's setting belongs to, by its beginning → the field that shares it with the host
OF_HOST = {"net.": "hostNetwork", **dict.fromkeys(("fs.mqueue.", "kernel.shm", "kernel.msg", "kernel.sem$"), "hostIPC")}
PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
LONGEST_PROFILE = 4095
OPERATING_SYSTEMS = ("linux", "windows")
NOT_FOR_WINDOWS = "cannot be set for a windows pod"
# Linux's settings, in upstream's order; what lies beside the security context begins with a dot.
OF_LINUX_PODS = (
    *("appArmorProfile", "seLinuxOptions", ".hostUsers", ".hostPID", ".hostIPC", "seccompProfile", "fsGroup"),
    *("fsGroupChangePolicy", "sysctls", ".shareProcessNamespace", "runAsUser", "runAsGroup", "supplementalGroups"),
    *("supplementalGroupsPolicy", "seLinuxChangePolicy"),
)
OF_LINUX_CONTAINERS = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)


def container_security(given: dict | None, path: str, has_users: bool) -> Iterator[Cause]:
    """Check a container's context; without user ids of its pod's own it must not see the whole of /proc."""
    if given is None:
        return
    yield from in_range(f"{path}.runAsUser", given.get("runAsUser"), 0, HIGHEST_ID)
    yield from in_range(f"{path}.runAsGroup", given.get("runAsGroup"), 0, HIGHEST_ID)
    yield from one_of(f"{path}.procMount", given.get("procMount"), ("Default", "Unmasked"))
    if given.get("procMount") == "Unmasked" and not has_users:
        yield invalid(f"{path}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    yield from _seccomp(given.get("seccompProfile"), f"{path}.seccompProfile")
    if given.get("allowPrivilegeEscalation") is False:
        told = "cannot set `allowPrivilegeEscalation` to false and {}"
        if given.get("privileged"):
            yield invalid(path, struct("SecurityContext", given), told.format("`privileged` to true"))
        if "CAP_SYS_ADMIN" in (dig(given, "capabilities.add") or []):
            told = told.format("`capabilities.Add` CAP_SYS_ADMIN")
            yield invalid(path, struct("SecurityContext", given), told)
    yield from _windows_options(given.get("windowsOptions"), f"{path}.windowsOptions")
    yield from _app_armor(given.get("appArmorProfile"), f"{path}.appArmorProfile")


def pod_security(spec: dict, path: str) -> Iterator[Cause]:
    given = spec.get("securityContext") or {}
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from in_range(f"{path}.{field}", given.get(field), 0, HIGHEST_ID)
    for at, group in items(given.get("supplementalGroups"), f"{path}.supplementalGroups"):
        yield from in_range(at, group, 0, HIGHEST_ID)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        told = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{path}.shareProcessNamespace", True, told)
    yield from _sysctls(given, spec, f"{path}.sysctls")
    changes = ("Always", "OnRootMismatch")
    yield from one_of(f"{path}.fsGroupChangePolicy", given.get("fsGroupChangePolicy"), changes)
    yield from _seccomp(given.get("seccompProfile"), f"{path}.seccompProfile")
    yield from _windows_options(given.get("windowsOptions"), f"{path}.windowsOptions")
    yield from _app_armor(given.get("appArmorProfile"), f"{path}.appArmorProfile")
    groups = given.get("supplementalGroupsPolicy")
    yield from one_of(f"{path}.supplementalGroupsPolicy", groups, ("Merge", "Strict"))
    yield from one_of(f"{path}.seLinuxChangePolicy", given.get("seLinuxChangePolicy"), ("MountOption", "Recursive"))


def _sysctls(given: dict, spec: dict, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for where, each in items(given.get("sysctls"), path):
        name, at = each.get("name", ""), f"{where}.name"
        if not name:
            yield required(at)
        elif len(name) > 253 or not re.fullmatch(SYSCTL, name):
            yield invalid(at, name, f"must have at most 253 characters and match regex ^{SYSCTL}$")
        else:
            yield from unique(at, name, seen)
        dotted = name.replace("/", ".")
        shared = next((field for start, field in OF_HOST.items() if f"{dotted}$".startswith(start)), "")
        if shared and spec.get(shared):
            yield invalid(at, name, f"may not be specified when '{shared}' is true")


def _seccomp(given: dict | None, path: str) -> Iterator[Cause]:
    if given is None:
        return
    kind, local = given.get("type", ""), given.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    yield from one_of(f"{path}.type", kind or None, PROFILES)
    if kind != "Localhost" and local is not None:
        told = "can only be set when seccomp type is Localhost"
        yield invalid(f"{path}.localhostProfile", struct("SeccompProfile", given), told)
    elif kind == "Localhost" and local is None:
        yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
    elif local is not None:
        yield from descending_path(local, f"{path}.localhostProfile")


def _app_armor(given: dict | None, path: str) -> Iterator[Cause]:
    if given is None:
        return
    kind, local, at = given.get("type", ""), given.get("localhostProfile"), f"{path}.localhostProfile"
    if not kind:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    elif kind not in PROFILES:
        yield unsupported(f"{path}.type", kind, PROFILES)
    elif kind != "Localhost":
        if local is not None:
            yield invalid(at, local, "can only be set when AppArmor type is Localhost")
    elif not local:
        yield required(at, "must be set when AppArmor type is Localhost")
    else:
        if local != local.strip():
            yield invalid(at, local, "must not be padded with whitespace")
        if len(local.encode()) > LONGEST_PROFILE:
            yield too_long(at, LONGEST_PROFILE)


def _windows_options(given: dict | None, path: str) -> Iterator[Cause]:
    given = given or {}
    if (name := given.get("gmsaCredentialSpecName")) is not None:
        yield from names.check(names.dns_subdomain, f"{path}.gmsaCredentialSpecName", name)
    for field in ("gmsaCredentialSpec", "runAsUserName"):
        if given.get(field) == "":
            yield invalid(f"{path}.{field}", "", f"{field} cannot be an empty string")


def containers_of(spec: dict, path: str) -> Iterator[tuple[str, dict]]:
    """Yield every container of a pod with its path, in the order in which upstream visits them."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from items(spec.get(field), f"{path}.{field}")


def host_processes(spec: dict, path: str) -> Iterator[Cause]:
    """Check Windows' containers that are processes of their host: all of a pod, and in the host's network."""
    of_pod, every = dig(spec, "securityContext.windowsOptions.hostProcess"), list(containers_of(spec, path))
    own = [dig(each, "securityContext.windowsOptions.hostProcess") for _, each in every]
    for (at, _), value in zip(every, own, strict=True):
        if of_pod is not None and value is not None and of_pod != value:
            told = f"pod hostProcess value must be identical if both are specified, was {str(of_pod).lower()}"
            yield invalid(f"{at}.securityContext.windowsOptions.hostProcess", value, told)
    effective = [of_pod if value is None else value for value in own]
    if any(effective):
        if not all(effective):
            told = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
            yield invalid(path, "", told)
        if not spec.get("hostNetwork"):
            told = "hostNetwork must be true if pod contains any hostProcess containers"
            yield invalid(f"{path}.hostNetwork", False, told)


def own_users(spec: dict, path: str) -> Iterator[Cause]:
    """Refuse the host's namespaces, and raw devices, to a pod that has user ids of its own."""
    if spec.get("hostUsers") is not False:
        return
    for field, called in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            yield forbidden(f"{path}.{called}", "when `hostUsers` is false")
    for at, each in containers_of(spec, path):
        if each.get("volumeDevices"):
            yield forbidden(f"{at}.volumeDevices", "when `hostUsers` is false")


def operating_system(spec: dict, path: str) -> Iterator[Cause]:
    """Refuse the settings of another system than the pod's."""
    if (given := spec.get("os")) is None:
        return
    name = given.get("name", "")
    if not name:
        yield required(f"{path}.os.name")
    elif name not in OPERATING_SYSTEMS:
        yield unsupported(f"{path}.os", name, OPERATING_SYSTEMS)
    context, every = spec.get("securityContext") or {}, list(containers_of(spec, path))
    if name == "linux":
        for at, each in [(path, spec), *every]:
            if dig(each, "securityContext.windowsOptions") is not None:
                told = "windows options cannot be set for a linux pod"
                yield forbidden(f"{at}.securityContext.windowsOptions", told)
    elif name == "windows":
        for field in OF_LINUX_PODS:
            beside = field.startswith(".")
            value = spec.get(field[1:]) if beside else context.get(field)
            if value or (value is not None and field not in (".hostPID", ".hostIPC")):
                yield forbidden(f"{path}{field}" if beside else f"{path}.securityContext.{field}", NOT_FOR_WINDOWS)
        for at, each in every:
            own = each.get("securityContext") or {}
            yield from (
                forbidden(f"{at}.securityContext.{field}", NOT_FOR_WINDOWS)
                for field in OF_LINUX_CONTAINERS
                if own.get(field) is not None
            )
