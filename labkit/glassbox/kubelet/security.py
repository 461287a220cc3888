"""Reads security contexts: pure, a pod and a container in, what the container's processes may be and do out.

A container's own context goes before its pod's. What cannot be had here is named by `unimplemented`, and such a pod
does not run; what contradicts itself is a ConfigError, in upstream's words.

How many users there are depends on who started the cluster. Root gave the machine 65,536 ids: a pod's users and groups
are real. An ordinary user has one: then all files of a pod have one owner, which a container sees as the user that it
runs as (confine.py), and supplementary groups are refused.

Upstream: pkg/kubelet/kuberuntime/security_context_others.go, pkg/securitycontext/util.go
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from labkit.glassbox import objects
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.user_namespace import has_one_id

_NAMES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"""
_CONTAINERDS = """CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
AUDIT_WRITE SETFCAP"""
CAPABILITIES = tuple(_NAMES.split())  # in the order of their numbers
DEFAULT = frozenset(_CONTAINERDS.split())
# What a container may add: it reaches no farther than the pod's own namespaces. The rest the kernel would not give.
ADDABLE = DEFAULT | {"NET_ADMIN", "NET_BROADCAST", "IPC_OWNER", "LEASE", "SYS_PTRACE"}
SAFE_SYSCTLS = (  # upstream's list, without those of the ipc namespace
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
ANYTHING = ("runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation", "fsGroupChangePolicy",
            "supplementalGroupsPolicy")  # fmt: skip
IDS = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")
HIGHEST_ID = 65535  # of those that are mapped when root started the cluster


@dataclass(frozen=True)
class Security:
    """What confine.py makes of a process before its command runs: kept in config.json."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: tuple[int, ...] = tuple(n for n, name in enumerate(CAPABILITIES) if name in DEFAULT)
    no_new_privileges: bool = True
    seccomp: bool = True
    read_only_root: bool = False
    masked: bool = True  # what of /proc containerd hides

    def as_dict(self) -> dict:
        """Return it as JSON has it."""
        return asdict(self)


def plan(pod: dict, container: dict, *, single: bool) -> Security:
    """Return what a container's contexts ask for; `single` as `has_one_id` tells. Raises ConfigError."""
    context = effective(pod, container)
    _check_not_root(pod, container, context)
    return Security(
        uid=context.get("runAsUser") or 0,
        gid=context.get("runAsGroup") or 0,
        groups=() if single else tuple(_groups(context)),
        capabilities=capabilities(context.get("capabilities") or {}),
        no_new_privileges=context.get("allowPrivilegeEscalation") is not True,
        seccomp=(context.get("seccompProfile") or {}).get("type") != "Unconfined",
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
        masked=context.get("procMount", "Default") == "Default",
    )


def effective(pod: dict, container: dict) -> dict:
    """Return the pod's context overlaid by the container's."""
    return {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}


def capabilities(wanted: dict) -> tuple[int, ...]:
    """Return the numbers of the capabilities that are left: the default ones, less `drop`, and `add`."""
    drop, add = ({_bare(each) for each in wanted.get(field) or []} for field in ("drop", "add"))
    kept = (set() if "ALL" in drop else DEFAULT - drop) | (add - drop)
    return tuple(number for number, name in enumerate(CAPABILITIES) if name in kept)


def unimplemented(pod: dict, container: dict | None, *, single: bool | None = None) -> Iterator[str]:
    """Name what a context asks for that is not to be had here: the pod's own, or that of a container."""
    single = has_one_id() if single is None else single
    context = (container or pod["spec"]).get("securityContext") or {}
    for field, value in context.items():
        if field not in ANYTHING and (why := _refused(field, value, single)) is not None:
            yield f"securityContext.{field}{why}"
    if "SYS_PTRACE" in _added(context) and pod["spec"].get("shareProcessNamespace"):
        yield "securityContext.capabilities: SYS_PTRACE with shareProcessNamespace"


def _refused(field: str, value: object, single: bool) -> str | None:
    """Return why a field's value is refused, None if it is not; "" where the name says all."""
    if not value or (field in TAKEN and value in TAKEN[field]):
        return None
    if field == "capabilities":
        beyond = sorted(_added({"capabilities": value}) - ADDABLE)
        return f": {', '.join(beyond)}" if beyond else None
    if field in ("seccompProfile", "appArmorProfile") and isinstance(value, dict):
        kinds = ("RuntimeDefault", "Unconfined") if field == "seccompProfile" else ("Unconfined",)
        return None if value.get("type") in kinds else f": {value.get('type')}"
    if field == "sysctls" and isinstance(value, list):
        unsafe = [each["name"] for each in value if each["name"] not in SAFE_SYSCTLS]
        return f": {', '.join(unsafe)}" if unsafe else None
    if field in IDS:
        return _unmapped(field, value if isinstance(value, list) else [value], single)
    return ""


def _unmapped(field: str, ids: list, single: bool) -> str | None:
    if single:
        ordinary = " (an ordinary user started this cluster, whose groups cannot be mapped)"
        return ordinary if field == "supplementalGroups" else None
    beyond = [str(each) for each in ids if each > HIGHEST_ID]
    return f": {', '.join(beyond)} (ids up to {HIGHEST_ID} are mapped)" if beyond else None


TAKEN = {"privileged": (False,), "procMount": ("Default", "Unmasked")}


def _added(context: dict) -> set[str]:
    return {_bare(each) for each in (context.get("capabilities") or {}).get("add") or []}


def _bare(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _check_not_root(pod: dict, container: dict, context: dict) -> None:
    """Hold `runAsNonRoot`; every image here runs as root unless told otherwise."""
    if not context.get("runAsNonRoot") or context.get("runAsUser"):
        return
    who = f"{objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})"
    where = f'(pod: "{who}", container: {container["name"]})'
    if context.get("runAsUser") == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
    raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def user_of(pod: dict, container: dict) -> dict:
    """Return the container's user as a pod's status shows it."""
    context = effective(pod, container)
    ids = {"uid": context.get("runAsUser") or 0, "gid": context.get("runAsGroup") or 0}
    return {"linux": {**ids, "supplementalGroups": _groups(context)}}


def _groups(context: dict) -> list[int]:
    named = [context.get("runAsGroup") or 0, context.get("fsGroup"), *(context.get("supplementalGroups") or [])]
    return list(dict.fromkeys(each for each in named if each is not None))


def sysctls(pod: dict) -> dict[str, str]:
    """Return the kernel parameters of the pod's network namespace."""
    return {each["name"]: each["value"] for each in (pod["spec"].get("securityContext") or {}).get("sysctls") or []}
