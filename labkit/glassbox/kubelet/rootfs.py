"""Plans a container's root file system: pure, an image and mounts in, a list of steps out.

There are no layers and no overlay: the root is a fresh tmpfs in which the host's system files are bound read-only, a
few files of /etc are written, /proc and /dev made, and the pod's volumes bound. What is not named here is not
there: no home, no /run, /tmp or /var of the host's.

A step is (kind, target, source, options), carried out in order by container.py; paths are the container's, sources
the machine's. Invariant: a step may rely on earlier ones only.
Left out: images' own /var and /opt, /sys.

Upstream: github.com/opencontainers/runc libcontainer/rootfs_linux.go
"""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labkit.glassbox.kubelet import images
from labkit.glassbox.kubelet.images import Image
from labkit.glassbox.kubelet.interpreters import Interpreter
from labkit.glassbox.user_namespace import has_one_id

Step = tuple[str, str, str, str]

PRIVATE = "/.glassbox"  # where the tools images keep what their applets are made of
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What containerd hides of /proc, or lets be read only.
MASKED = ("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "scsi", "sched_debug", "timer_list",
          "timer_stats")  # fmt: skip
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\nnogroup:x:65534:\n"


@dataclass(frozen=True)
class Mount:
    """Something of the pod's that the container sees."""

    source: str  # the machine's path
    target: str  # the container's path
    read_only: bool = False


@dataclass(frozen=True)
class PodFiles:
    """What the containers of one pod have in common."""

    hostname: str
    hosts: str  # the text of /etc/hosts
    shm: str  # the directory behind /dev/shm
    resolv_conf: str = ""


def plan(image: Image, pod: PodFiles, mounts: Sequence[Mount], *, masked: bool = True) -> list[Step]:
    """Return the steps that make the root file system of a container."""
    base = {"python": _python, "tools": _tools, "pause": lambda _: []}[image.base]
    return [
        *base(image),
        *(("bind", target, source, "ro") for target, source in image.files),
        *_system(),
        *_etc(image, pod),
        *(
            [
                *(("mask", f"/proc/{name}", "", "") for name in MASKED),
                *(("readonly", f"/proc/{name}", "", "") for name in READ_ONLY),
            ]
            if masked
            else []
        ),
        ("bind", "/dev/shm", pod.shm, ""),
        *(("volume", each.target, each.source, "ro" if each.read_only else "") for each in sorted_mounts(mounts)),
    ]


def sorted_mounts(mounts: Iterable[Mount]) -> list[Mount]:
    """Order mounts so that none covers one made before it."""
    return sorted(mounts, key=lambda each: each.target.rstrip("/").count("/"))


def _system() -> list[Step]:
    return [
        ("proc", "/proc", "", ""),
        ("directory", "/tmp", "", "1777"),
        ("directory", "/root", "", "711"),  # not 700: an interpreter's own library may lie below, for every user
        ("directory", "/var/tmp", "", "1777"),
        ("directory", "/run", "", ""),
        ("link", "/var/run", "../run", ""),
        *(("bind", f"/dev/{name}", f"/dev/{name}", "") for name in DEVICES),
        ("devpts", "/dev/pts", "", ""),
        ("link", "/dev/ptmx", "pts/ptmx", ""),
        ("link", "/dev/fd", "/proc/self/fd", ""),
        ("link", "/dev/stdin", "/proc/self/fd/0", ""),
        ("link", "/dev/stdout", "/proc/self/fd/1", ""),
        ("link", "/dev/stderr", "/proc/self/fd/2", ""),
    ]


def _etc(image: Image, pod: PodFiles) -> list[Step]:
    repository, tag = images.split(image.name)
    name = repository.rpartition("/")[2]
    release = (
        f'PRETTY_NAME="{name} {tag} (a view of the host\'s files)"\nNAME="{name}"\nID={name}\nVERSION_ID="{tag}"\n'
    )
    return [
        ("file", "/etc/passwd", PASSWD, ""),
        ("file", "/etc/group", GROUP, ""),
        ("file", "/etc/hosts", pod.hosts, ""),
        ("file", "/etc/hostname", pod.hostname + "\n", ""),
        ("file", "/etc/resolv.conf", pod.resolv_conf, ""),
        ("file", "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", ""),
        ("file", "/etc/os-release", release, ""),
        *_existing("/etc/ld.so.cache"),
    ]


def _python(image: Image) -> list[Step]:
    """The host's system files, with the interpreter at /usr/local, without anything installed into it."""
    assert image.interpreter is not None
    return [
        ("bind", "/usr", "/usr", "ro"),
        *(_top_level(name, f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64") if os.path.lexists(f"/{name}")),
        *_existing("/etc/alternatives", "/etc/ssl", "/etc/localtime"),
        ("tmpfs", "/usr/local", "", "mode=755,size=64m"),
        ("directory", "/usr/local/bin", "", ""),
        *([_tar("/usr/local/bin/tar", "/usr/bin/tar")] if has_one_id() else []),
        *_interpreter(image.interpreter),
    ]


def _interpreter(found: Interpreter) -> list[Step]:
    name = f"python{found.minor}"
    if found.prefix == "/usr":  # a distribution's: it stays where it is, without the distribution's packages
        library, program = [("tmpfs", "/usr/lib/python3/dist-packages", "", "mode=755,size=64m")], f"/usr/bin/{name}"
        library = library if os.path.isdir("/usr/lib/python3/dist-packages") else []
    else:
        program = name
        library = [
            ("bind", "/usr/local/lib", f"{found.prefix}/lib", "ro"),
            ("tmpfs", f"/usr/local/lib/{name}/site-packages", "", "mode=755,size=64m"),
            ("bind", f"/usr/local/bin/{name}", found.program, "ro"),
            *_shared_library(found),
        ]
    links = [("link", f"/usr/local/bin/{alias}", program, "") for alias in ("python", "python3")]
    return [*library, *links]


def _shared_library(found: Interpreter) -> list[Step]:
    """A libpython with a fixed run path is looked for at the interpreter's own place, so it must be there too."""
    name = f"libpython{found.minor}.so.1.0"
    library = f"{found.prefix}/lib/{name}"
    return [("bind", library, library, "ro")] if os.path.exists(library) else []


def _tools(image: Image) -> list[Step]:
    """/bin with the declared applets and nothing else that PATH finds."""
    found, _ = images.applets()
    kit = kit_interpreter()
    steps: list[Step] = [
        ("bind", f"{PRIVATE}/usr", "/usr", "ro"),
        _top_level("lib", f"{PRIVATE[1:]}/usr/lib"),
        *([_top_level("lib64", f"{PRIVATE[1:]}/usr/lib64")] if os.path.lexists("/lib64") else []),
        ("link", "/usr/lib", f"..{PRIVATE}/usr/lib", ""),
        *_existing("/etc/alternatives"),
        ("file", "/etc/inputrc", "set enable-bracketed-paste off\n", ""),  # bash's, which busybox's shell does not know
        ("bind", f"{PRIVATE}/applets", str(images.APPLETS), "ro"),
    ]
    if not kit.startswith("/usr/bin/"):
        prefix = os.path.dirname(os.path.dirname(kit))
        steps.append(("bind", f"{PRIVATE}/python", prefix, "ro"))
    steps += [_host_applet(f"/bin/{name}", PRIVATE + _real(file)) for name, file in found.items()]
    steps += [("file", f"/bin/{name}", _wrapper(kit, name), "755") for name in images.own_applets()]
    return [*steps, ("link", "/usr/bin/env", "../../bin/env", ""), ("directory", "/sbin", "", "")]


def _host_applet(path: str, program: str) -> Step:
    if path == "/bin/ps":  # busybox's shows everybody's processes, whatever their terminal
        return (
            "file",
            path,
            f'#!/bin/sh\n[ $# -gt 0 ] || set -- -e -o pid,user,time,args\nexec {program} "$@"\n',
            "755",
        )
    return _tar(path, program) if path == "/bin/tar" and has_one_id() else ("link", path, program, "")


def _tar(path: str, program: str) -> Step:
    """tar for a pod that has one id: files cannot be given to another, as root's tar would, for `kubectl cp` too."""
    return ("file", path, f'#!/bin/sh\nTAR_OPTIONS="--no-same-owner $TAR_OPTIONS" exec {program} "$@"\n', "755")


def kit_interpreter() -> str:
    """Return the file of the interpreter that runs the kit, and so the kit's own applets."""
    program = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return os.path.realpath(f"{sys.base_prefix}/bin/{program}")


def _wrapper(kit: str, applet: str) -> str:
    inside = PRIVATE + kit if kit.startswith("/usr/bin/") else f"{PRIVATE}/python/bin/{os.path.basename(kit)}"
    return f'#!/bin/sh\nexec {inside} -IS {PRIVATE}/applets/{applet}.py "$@"\n'


def _real(file: str) -> str:
    """Return where a tool lies under /usr: alternatives and the old top-level directories resolved."""
    real = os.path.realpath(file)
    return real if real.startswith("/usr/") else "/usr" + file


def _top_level(name: str, target: str) -> Step:
    """/bin, /lib and the like: a link where the host has merged them into /usr, else its directory."""
    return ("link", f"/{name}", target, "") if os.path.islink(f"/{name}") else ("bind", f"/{name}", f"/{name}", "ro")


def _existing(*paths: str) -> list[Step]:
    return [("bind", path, os.path.realpath(path), "ro") for path in paths if os.path.exists(path)]


def architecture() -> str:
    """Return the machine's architecture as Go names it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
