"""What security contexts must satisfy.

Upstream: ValidateSecurityContext, ValidatePodSpecSecurityContext in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import forbidden, in_range, invalid, items, required, unique
from labkit.glassbox.resources.validation.internal_struct import struct

HIGHEST_ID = 2**31 - 1
SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
LINUX_ONLY = (
    *("seLinuxOptions", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser", "runAsGroup"),
    "supplementalGroups",
)


def container_security(given: dict | None, path: str) -> Iterator[Cause]:
    if given is None:
        return
    yield from in_range(f"{path}.runAsUser", given.get("runAsUser"), 0, HIGHEST_ID)
    yield from in_range(f"{path}.runAsGroup", given.get("runAsGroup"), 0, HIGHEST_ID)
    if given.get("allowPrivilegeEscalation") is False:
        if given.get("privileged"):
            told = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield invalid(path, struct("SecurityContext", given), told)
        if "CAP_SYS_ADMIN" in ((given.get("capabilities") or {}).get("add") or []):
            told = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, struct("SecurityContext", given), told)


def unmasked(spec: dict, path: str) -> Iterator[Cause]:
    """Refuse a whole /proc to the containers of a pod without a user namespace of its own."""
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for at, each in items(spec.get(field), f"{path}.{field}"):
            if (each.get("securityContext") or {}).get("procMount") == "Unmasked":
                told = "`hostUsers` must be false to use `Unmasked`"
                yield invalid(f"{at}.securityContext.procMount", "Unmasked", told)


def pod_security(given: dict, path: str) -> Iterator[Cause]:
    yield from in_range(f"{path}.fsGroup", given.get("fsGroup"), 0, HIGHEST_ID)
    yield from in_range(f"{path}.runAsUser", given.get("runAsUser"), 0, HIGHEST_ID)
    yield from in_range(f"{path}.runAsGroup", given.get("runAsGroup"), 0, HIGHEST_ID)
    for at, group in items(given.get("supplementalGroups"), f"{path}.supplementalGroups"):
        yield from in_range(at, group, 0, HIGHEST_ID)
    seen: set[str] = set()
    for where, each in items(given.get("sysctls"), f"{path}.sysctls"):
        name, at = each.get("name", ""), f"{where}.name"
        if not name:
            yield required(at)
        elif len(name) > 253 or not re.fullmatch(SYSCTL, name):
            yield invalid(at, name, f"must have at most 253 characters and match regex ^{SYSCTL}$")
        yield from unique(at, name, seen)


def operating_system(spec: dict, path: str) -> Iterator[Cause]:
    """Refuse Linux's settings on a pod for Windows."""
    if (spec.get("os") or {}).get("name") != "windows":
        return
    context = spec.get("securityContext") or {}
    for field in ("hostPID", "hostIPC"):
        if spec.get(field):
            yield forbidden(f"{path}.securityContext.{field}", "cannot be set for a windows pod")
    for field in LINUX_ONLY:
        if context.get(field) is not None:
            yield forbidden(f"{path}.securityContext.{field}", "cannot be set for a windows pod")
