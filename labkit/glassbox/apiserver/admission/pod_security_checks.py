"""The Pod Security Standards: what a pod must not do at the level `baseline`, and must do at `restricted`.

A check takes a pod's spec and returns what is wrong, in upstream's words, or "". A restricted check may take the place
of a baseline one.

A pinned version leaves out the checks, and what they allow, that came later.

Left out: AppArmor and, before 1.19, seccomp by annotation; what Windows pods and pods with user namespaces of their own
are excused from.

Upstream: staging/src/k8s.io/pod-security-admission/policy/check_*.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.glassbox.objects import dig

BASELINE_CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
SYSCTLS = {  # name → the version since which it is allowed
    **dict.fromkeys(
        ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"), 0
    ),
    **dict.fromkeys(("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range"), 0),
    "net.ipv4.ip_local_reserved_ports": 27,
    **dict.fromkeys(("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"), 29),
    "net.ipv4.tcp_keepalive_probes": 29,
    **dict.fromkeys(("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"), 32),
}
LATEST = 1000  # higher than any version
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
PROFILE, RUN_AS = "securityContext.seccompProfile.type", "securityContext.runAsNonRoot"


def containers(spec: dict) -> list[dict]:
    """Return all containers, in the order in which they are looked at."""
    fields = ("initContainers", "containers", "ephemeralContainers")
    return [each for field in fields for each in spec.get(field) or ()]


def quoted(values: Iterable[Any]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def named(found: list[dict], what: str = "container") -> str:
    """Return 'container "a"', or 'containers "a", "b"'."""
    return f"{what}{'s' if len(found) > 1 else ''} {quoted(each['name'] for each in found)}"


def where(spec: dict, path: str, bad: Callable[[Any], bool]) -> list[dict]:
    """Return the containers in which the field at a path is bad."""
    return [each for each in containers(spec) if bad(dig(each, path))]


def _setters(spec: dict, path: str, bad: Callable[[Any], bool]) -> str:
    """Return who sets a field badly: "pod", 'container "c"', 'pod and container "c"'."""
    found = where(spec, path, bad)
    return " and ".join([*(["pod"] if bad(dig(spec, path)) else []), *([named(found)] if found else [])])


# --- baseline


def apparmor(spec: dict) -> str:
    setters = _setters(spec, "securityContext.appArmorProfile.type", lambda value: value == "Unconfined")
    return setters and f'forbidden AppArmor profile ({setters} must not set AppArmor profile type to "Unconfined")'


def capabilities(spec: dict) -> str:
    told = _added(spec, BASELINE_CAPABILITIES)
    return told and f"non-default capabilities ({told})"


def _added(spec: dict, allowed: Iterable[str]) -> str:
    found, names = [], set()
    for each in containers(spec):
        if over := set(dig(each, "securityContext.capabilities.add") or ()) - set(allowed):
            found.append(each)
            names |= over
    return (
        f"{named(found)} must not include {quoted(sorted(names))} in securityContext.capabilities.add" if found else ""
    )


def host_namespaces(spec: dict) -> str:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return f"host namespaces ({', '.join(shared)})" if shared else ""


def host_path(spec: dict) -> str:
    found = [each for each in spec.get("volumes") or () if each.get("hostPath")]
    return f"hostPath volumes ({named(found, 'volume')})" if found else ""


def host_ports(spec: dict) -> str:
    found = [each for each in containers(spec) if any(port.get("hostPort") for port in each.get("ports") or ())]
    ports = sorted({port["hostPort"] for each in found for port in each["ports"] if port.get("hostPort")})
    verb, noun = "use" if len(found) > 1 else "uses", "hostPorts" if len(ports) > 1 else "hostPort"
    return f"hostPort ({named(found)} {verb} {noun} {', '.join(map(str, ports))})" if found else ""


def probe_hosts(spec: dict) -> str:
    hosts = {each["name"]: sorted(set(_hosts(each))) for each in containers(spec)}
    found = [each for each in containers(spec) if hosts[each["name"]]]
    verb = "use" if len(found) > 1 else "uses"
    listed = sorted({host for each in hosts.values() for host in each})
    noun = "probe or lifecycle host" + ("s" if len(listed) > 1 else "")
    return f"probe or lifecycle host ({named(found)} {verb} {noun} {quoted(listed)})" if found else ""


def _hosts(container: dict) -> Iterator[str]:
    handlers = [container.get(field) or {} for field in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [(container.get("lifecycle") or {}).get(field) or {} for field in ("postStart", "preStop")]
    for handler in handlers:
        for kind in ("httpGet", "tcpSocket"):
            host = (handler.get(kind) or {}).get("host", "")
            if host not in ("", "127.0.0.1", "::1"):
                yield host


def privileged(spec: dict) -> str:
    found = where(spec, "securityContext.privileged", bool)
    return f"privileged ({named(found)} must not set securityContext.privileged=true)" if found else ""


def proc_mount(spec: dict) -> str:
    found = where(spec, "securityContext.procMount", lambda value: value not in (None, "Default"))
    values = quoted(sorted({dig(each, "securityContext.procMount") for each in found}))
    return f"procMount ({named(found)} must not set securityContext.procMount to {values})" if found else ""


def selinux(spec: dict) -> str:
    path = "securityContext.seLinuxOptions"
    types = sorted({dig(each, f"{path}.type", "") for each in [spec, *containers(spec)]} - set(SELINUX_TYPES))
    faults = [f"type{'s' if len(types) > 1 else ''} {quoted(types)}"] if types else []
    for field in ("user", "role"):
        if any(dig(each, f"{path}.{field}") for each in [spec, *containers(spec)]):
            faults.append(f"{field} may not be set")
    setters = _setters(spec, path, _is_bad_selinux)
    return f"seLinuxOptions ({setters} set forbidden {path}: {'; '.join(faults)})" if faults else ""


def _is_bad_selinux(options: dict | None) -> bool:
    given = options or {}
    return bool(given.get("user") or given.get("role")) or given.get("type", "") not in SELINUX_TYPES


def seccomp(spec: dict) -> str:
    setters = _setters(spec, PROFILE, lambda value: value == "Unconfined")
    return setters and f'seccompProfile ({setters} must not set {PROFILE} to "Unconfined")'


def sysctls(spec: dict, minor: int = LATEST) -> str:
    given = [each["name"] for each in dig(spec, "securityContext.sysctls") or ()]
    found = [name for name in given if SYSCTLS.get(name, LATEST + 1) > minor]
    return f"forbidden sysctls ({', '.join(found)})" if found else ""


def windows(spec: dict) -> str:
    path = "securityContext.windowsOptions.hostProcess"
    setters = _setters(spec, path, bool)
    return setters and f"hostProcess ({setters} must not set {path}=true)"


# --- restricted


def escalation(spec: dict) -> str:
    path = "securityContext.allowPrivilegeEscalation"
    found = where(spec, path, lambda value: value is not False)
    return f"allowPrivilegeEscalation != false ({named(found)} must set {path}=false)" if found else ""


def few_capabilities(spec: dict) -> str:
    kept = where(spec, "securityContext.capabilities.drop", lambda value: "ALL" not in (value or ()))
    told = [f'{named(kept)} must set securityContext.capabilities.drop=["ALL"]'] if kept else []
    told += [added] if (added := _added(spec, ("NET_BIND_SERVICE",))) else []
    return f"unrestricted capabilities ({'; '.join(told)})" if told else ""


def few_volumes(spec: dict) -> str:
    kinds = {each["name"]: next((kind for kind in each if kind != "name"), "") for each in spec.get("volumes") or ()}
    found = [each for each in spec.get("volumes") or () if kinds[each["name"]] not in VOLUMES]
    types = sorted({kinds[each["name"]] for each in found})
    verb, noun = "use" if len(found) > 1 else "uses", "restricted volume type" + ("s" if len(types) > 1 else "")
    return f"restricted volume types ({named(found, 'volume')} {verb} {noun} {quoted(types)})" if found else ""


def non_root(spec: dict) -> str:
    if setters := _setters(spec, RUN_AS, lambda value: value is False):
        return f"runAsNonRoot != true ({setters} must not set {RUN_AS}=false)"
    silent = where(spec, RUN_AS, lambda value: value is None)
    if dig(spec, RUN_AS) or not silent:
        return ""
    return f"runAsNonRoot != true (pod or {named(silent)} must set {RUN_AS}=true)"


def not_user_0(spec: dict) -> str:
    setters = _setters(spec, "securityContext.runAsUser", lambda value: value == 0)
    return setters and f"runAsUser=0 ({setters} must not set runAsUser=0)"


def some_seccomp(spec: dict) -> str:
    good = ("RuntimeDefault", "Localhost")
    if setters := _setters(spec, PROFILE, lambda value: value not in (None, *good)):
        return f'seccompProfile ({setters} must not set {PROFILE} to "Unconfined")'
    silent = where(spec, PROFILE, lambda value: value is None)
    if dig(spec, PROFILE) or not silent:
        return ""
    return f'seccompProfile (pod or {named(silent)} must set {PROFILE} to "RuntimeDefault" or "Localhost")'


Check = Callable[[dict], str]
BASELINE: tuple[Check, ...] = (
    *(apparmor, capabilities, host_namespaces, host_path, host_ports, probe_hosts, privileged, proc_mount, selinux),
    *(seccomp, sysctls, windows),
)
STRICTER: tuple[Check, ...] = (escalation, few_capabilities, few_volumes, non_root, not_user_0, some_seccomp)
REPLACED: dict[Check, Check] = {
    capabilities: few_capabilities,
    host_path: few_volumes,
    seccomp: some_seccomp,
}  # by stricter ones
SINCE: dict[Check, int] = {  # the version that brought a check; the others were there from the beginning
    **{probe_hosts: 34, seccomp: 19, some_seccomp: 19, escalation: 8, few_capabilities: 22, not_user_0: 23},
}
LEVELS: dict[str, tuple[Check, ...]] = {"privileged": (), "baseline": BASELINE, "restricted": (*BASELINE, *STRICTER)}


def violations(level: str, spec: dict, version: str = "latest") -> list[str]:
    """Return what a pod does against a level, as that version of it had it: "reason (detail)" each."""
    minor = LATEST if version == "latest" else int(version.partition(".")[2])
    checks = [each for each in LEVELS[level] if SINCE.get(each, 0) <= minor]
    checks = [each for each in checks if each not in REPLACED or REPLACED[each] not in checks]
    found = (check(spec, minor) if check is sysctls else check(spec) for check in checks)
    return [told for told in found if told]
