"""What an embedded cluster needs of this machine, tried rather than guessed.

A child process does what a machine does at its start, step by step, in namespaces that vanish with it; the first step
that fails names the cure for the place where it failed. `unshare` alone would pass falsely where capabilities are
taken away afterwards, as on Ubuntu 24.04.

Upstream: none; kubeadm's preflight checks are the nearest (cmd/kubeadm/app/preflight)
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from labkit.glassbox import nftables, syscalls
from labkit.glassbox.netlink import Netlink

OLDEST_PYTHON = (3, 11)

DOCKER = (
    "in Docker: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined …"
)
PODMAN = "in Podman: podman run --security-opt unmask=ALL …"
ELSEWHERE = "this kernel cannot (WSL1, a chroot, Colab): use another machine, or a real cluster"

Step = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Finding:
    """The outcome of one probe; `cure` is what to do when it is not ok."""

    name: str
    ok: bool
    found: str = ""
    cure: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Host:
    """What of the host decides on the cure."""

    python: str
    sysctls: dict[str, str]


def examine() -> Iterator[Finding]:
    """Yield one finding a probe, in the order in which a cluster would need them."""
    yield _python()
    yield from _namespaces(_host())
    yield _nft()
    yield _tools()
    yield _interpreters()


def cure(step: str, error: int, host: Host) -> str:
    """Return what to do about a step that failed with that errno."""
    if step == "user namespace":
        return _cure_unshare(error, host.sysctls)
    restricted = host.sysctls.get("kernel.apparmor_restrict_unprivileged_userns") == "1"
    if restricted and error in (errno.EPERM, errno.EACCES):
        return apparmor_cure(host.python)
    if step == "fresh /proc" and error in (errno.EPERM, errno.EACCES):
        return f"{PODMAN}\n{DOCKER}"
    if error in (errno.EPERM, errno.EACCES):
        return DOCKER
    if error == errno.ENOSPC:
        return "sudo sysctl user.max_net_namespaces=1000 user.max_mnt_namespaces=1000 user.max_pid_namespaces=1000"
    if step == "veth link" and error == errno.EOPNOTSUPP:
        return "sudo modprobe veth"
    return ELSEWHERE


def apparmor_cure(python: str) -> str:
    """Return what lets this interpreter make user namespaces on Ubuntu 24.04 and later, ready to paste."""
    return f"""\
sudo tee /etc/apparmor.d/labkit >/dev/null <<'EOF'
abi <abi/4.0>,
include <tunables/global>
profile labkit {python} flags=(unconfined) {{
  userns,
  include if exists <local/labkit>
}}
EOF
sudo apparmor_parser -r /etc/apparmor.d/labkit
or, for every program: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"""


def _cure_unshare(error: int, sysctls: dict[str, str]) -> str:
    if sysctls.get("kernel.unprivileged_userns_clone") == "0":
        return "sudo sysctl kernel.unprivileged_userns_clone=1"
    if error == errno.ENOSPC or sysctls.get("user.max_user_namespaces") == "0":
        return "sudo sysctl user.max_user_namespaces=10000"
    return DOCKER if error in (errno.EPERM, errno.EACCES) else ELSEWHERE


def _host() -> Host:
    names = (
        "kernel.apparmor_restrict_unprivileged_userns",
        "kernel.unprivileged_userns_clone",
        "user.max_user_namespaces",
    )
    values = {}
    for name in names:
        try:
            values[name] = Path("/proc/sys", *name.split(".")).read_text().strip()
        except OSError:
            continue
    return Host(os.path.realpath(sys.executable), values)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Finding(f"Python {wanted} or newer", sys.version_info >= OLDEST_PYTHON, found, f"install Python {wanted}")


def _nft() -> Finding:
    program = nftables.binary()
    install = "apt install nftables (Debian, Ubuntu), dnf install nftables (Fedora); no root needed to use it"
    return Finding("nft, for Service addresses in the kernel", program is not None, program or "", install, True)


def _tools() -> Finding:
    from labkit.glassbox.kubelet import images

    found, missing = images.applets()
    install = "install what the host lacks (apt, dnf); pods can do without"
    told = f"{len(found)} tools" + (f"; missing: {' '.join(missing)}" if missing else "")
    return Finding("tools for busybox:* and alpine:* images", not missing, told, install, True)


def _interpreters() -> Finding:
    from labkit.glassbox.kubelet import interpreters

    found = interpreters.find()
    versions = ", ".join(dict.fromkeys(one.minor for one in found))
    return Finding("interpreters for python:* images", bool(found), versions, "apt install python3", True)


def _namespaces(host: Host) -> Iterator[Finding]:
    """Try the steps in a child process, and tell of each that was reached."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _try_all(sink, host)
    os.close(sink)
    with open(source) as lines:
        for line in lines:
            yield Finding(**json.loads(line))
    os.waitpid(child, 0)


def _try_all(sink: int, host: Host) -> NoReturn:
    map_ids = partial(_map_ids, os.geteuid(), os.getegid())  # as they are outside
    steps: list[Step] = [STEPS[0], ("user and group map", map_ids), *STEPS[1:]]
    for name, attempt in steps:
        try:
            attempt()
        except OSError as error:
            number = error.errno or 0
            finding = Finding(name, False, f"{errno.errorcode.get(number, number)}: {error}", cure(name, number, host))
            os.write(sink, json.dumps(asdict(finding)).encode() + b"\n")
            break
        os.write(sink, json.dumps(asdict(Finding(name, True))).encode() + b"\n")
    os._exit(0)


def _user_namespace() -> None:
    syscalls.unshare(syscalls.CLONE_NEWUSER)


def _map_ids(uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _other_namespaces() -> None:
    syscalls.unshare(
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWPID
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS
    )
    child = os.fork()
    if child:  # the rest happens in the first process of the new pid namespace
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _loopback() -> None:
    with Netlink() as netlink:
        netlink.set_up("lo")


def _tmpfs() -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    syscalls.mount("tmpfs", "/tmp", "tmpfs")


def _proc() -> None:
    syscalls.mount("proc", "/proc", "proc")


def _veth() -> None:
    with open("/proc/self/ns/net", "rb") as netns, Netlink() as netlink:
        netlink.add_veth("labkit0", peer="labkit1", peer_netns=netns.fileno())
        netlink.add_address("labkit0", "10.244.0.1/32")


def _nftables() -> None:
    program = nftables.binary()
    if program is None:
        return  # told apart, as a finding of its own
    rules = "table ip t { chain c { type nat hook prerouting priority -100; ip daddr 10.96.0.1 dnat to 10.244.1.1; }; }"
    run = subprocess.run([program, "-f", "-"], input=rules, capture_output=True, text=True, timeout=10)
    if run.returncode:
        raise OSError(errno.EOPNOTSUPP, run.stderr.strip().splitlines()[0] if run.stderr else "nft failed")


STEPS: list[Step] = [
    ("user namespace", _user_namespace),
    ("mount, network, pid, ipc and UTS namespaces", _other_namespaces),
    ("loopback up", _loopback),
    ("tmpfs", _tmpfs),
    ("fresh /proc", _proc),
    ("veth link", _veth),
    ("nftables", _nftables),
]
