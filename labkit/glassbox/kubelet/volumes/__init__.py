"""Makes a pod's volumes: directories on the node that its containers see bound into their root file systems.

What shows the API's objects lies on the machine's tmpfs (atomic_writer.py); emptyDir lies below the kubelet's root
directory, or on a tmpfs of its own with medium Memory; hostPath and claims lie in the node's own tree.

Invariants: a Secret never touches a disk; what a pod wrote goes with the pod, unless it wrote it to a claim or a
hostPath. What a volume needs and the API does not have is a ConfigError: the pod waits.
Left out: sizes of volumes on disk (evictions look at them), block devices, mount propagation.

Upstream: pkg/volume/emptydir, pkg/kubelet/volumemanager
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import quantity, syscalls
from labkit.glassbox.kubelet.env import ConfigError, expand
from labkit.glassbox.kubelet.rootfs import Mount
from labkit.glassbox.kubelet.volumes import claim, host_path
from labkit.glassbox.kubelet.volumes.atomic_writer import DATA, publish
from labkit.glassbox.kubelet.volumes.projected import KINDS, contents
from labkit.glassbox.kubelet.volumes.sources import Sources

MEMORY_SIZE = "64Mi"  # of an emptyDir in memory that names no limit
OWN = ("configMap", "secret", "downwardAPI", "projected")  # kinds that show what the API knows
IMPLEMENTED = ("emptyDir", *OWN, "hostPath", "persistentVolumeClaim", "ephemeral")
LOOKS = 10  # at a token, in its life


@dataclass(frozen=True)
class Places:
    """Where the volumes of one pod lie."""

    disk: Path
    memory: Path


def places(root_dir: Path, run_dir: Path, uid: str) -> Places:
    """Return where the volumes of a pod lie."""
    return Places(root_dir / "pods" / uid / "volumes", run_dir / "volumes" / uid)


def prepare(pod: dict, where: Places, sources: Sources, warn: Callable[[str], None]) -> dict[str, Path]:
    """Make, or bring up to date, all volumes of a pod; return their directories by name. Raises ConfigError.

    What was shown once stays as it was when the API has it no more; `warn` is told why.
    """
    made = {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        try:
            made[name] = _directory(pod, volume, where, sources)
        except claim.NotBound:
            raise
        except (ConfigError, OSError) as error:
            why = f'MountVolume.SetUp failed for volume "{name}" : {error}'
            if not (where.memory / name / DATA).exists():
                raise ConfigError(why) from None
            made[name] = where.memory / name
            warn(why)
    return made


def _directory(pod: dict, volume: dict, where: Places, sources: Sources) -> Path:
    name = volume["name"]
    if "emptyDir" in volume or volume.keys() == {"name"}:
        return _empty_directory(volume.get("emptyDir") or {}, name, where)
    if "hostPath" in volume:
        return host_path.directory(volume["hostPath"], sources.host_tree)
    if "persistentVolumeClaim" in volume or "ephemeral" in volume:
        return claim.directory(pod, volume, sources)
    publish(where.memory / name, contents(pod, volume, where.memory / name, sources))
    return where.memory / name


def mounts(container: dict, made: Mapping[str, Path], pod: dict, variables: Mapping[str, str]) -> list[Mount]:
    """Return what a container mounts of its pod's volumes; raises ConfigError for a subPath that leads elsewhere."""
    read_only = {each["name"] for each in pod["spec"].get("volumes") or [] if _is_read_only(each)}
    found = []
    for mount in container.get("volumeMounts") or []:
        source = made[mount["name"]]
        if path := mount.get("subPath") or _expanded(mount.get("subPathExpr"), variables):
            source = _below(source, path, mount["name"])
        only_read = bool(mount.get("readOnly")) or mount["name"] in read_only
        found.append(Mount(str(source), os.path.normpath(mount["mountPath"]), only_read))
    return found


def _is_read_only(volume: dict) -> bool:
    return shows_api(volume) or bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def _expanded(expression: str | None, variables: Mapping[str, str]) -> str:
    """Return a subPathExpr with the container's variables in their places. Raises ConfigError."""
    for name in re.findall(r"(?<!\$)\$\(([^()]*)\)", expression or ""):
        if name not in variables:
            raise ConfigError(f"missing value for {name}")
    return expand(expression, variables) if expression else ""


def in_memory(pod: dict, container: dict) -> list[str]:
    """Name the volumes in memory that a container mounts, and may fill."""
    volumes = pod["spec"].get("volumes") or []
    tmpfs = {each["name"] for each in volumes if (each.get("emptyDir") or {}).get("medium") == "Memory"}
    return [each["name"] for each in container.get("volumeMounts") or [] if each["name"] in tmpfs]


def remove(where: Places) -> None:
    """Take away all volumes of a pod and what is in them."""
    for directory in where.memory.glob("*"):
        with suppress(OSError):
            syscalls.umount(str(directory), syscalls.MNT_DETACH)
    shutil.rmtree(where.memory, ignore_errors=True)
    shutil.rmtree(where.disk.parent, ignore_errors=True)


def shows_api(volume: dict) -> bool:
    """Tell whether the content of a volume follows the API."""
    return any(kind in volume for kind in OWN)


def is_live(pod: dict) -> bool:
    """Tell whether a pod has volumes whose content follows the API."""
    return any(shows_api(volume) for volume in pod["spec"].get("volumes") or [])


def refresh_after(pod: dict) -> float | None:
    """Return after how many seconds the pod's tokens are to be looked at again; all else is told by the API."""
    lives = [each.get("expirationSeconds", 3600) for each in _projections(pod, "serviceAccountToken")]
    return min(lives) / LOOKS if lives else None


def _projections(pod: dict, kind: str) -> Iterator[dict]:
    for volume in pod["spec"].get("volumes") or []:
        for source in (volume.get("projected") or {}).get("sources") or []:
            if kind in source:
                yield source[kind]


def unimplemented(volume: dict) -> Iterator[str]:
    """Name what a volume asks for and nothing here makes."""
    kinds = [kind for kind in volume if kind != "name"]
    yield from (f"volumes of type {kind}" for kind in kinds if kind not in IMPLEMENTED)
    for source in (volume.get("projected") or {}).get("sources") or []:
        yield from (f"projected {kind}" for kind in source if kind not in KINDS)
    if (volume.get("emptyDir") or {}).get("medium", "") not in ("", "Memory"):
        yield f"emptyDir of medium {volume['emptyDir']['medium']}"


def _empty_directory(source: dict, name: str, where: Places) -> Path:
    if source.get("medium") != "Memory":
        return _open_directory(where.disk / name)
    directory = _open_directory(where.memory / name)
    if not os.path.ismount(directory):
        size = quantity.bytes_of(source.get("sizeLimit") or MEMORY_SIZE)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("tmpfs", str(directory), "tmpfs", flags, f"mode=777,size={size}")
    return directory


def _open_directory(directory: Path) -> Path:
    if not directory.exists():  # else its pod's group may have it by now
        directory.mkdir(parents=True)
        directory.chmod(0o777)
    return directory


def _below(volume: Path, path: str, name: str) -> Path:
    """Return the place of a subPath, made if it is not there; it must lie in its volume, links resolved."""
    target = host_path.below(volume, path)
    if target is None:
        raise ConfigError(f'failed to prepare subPath for volumeMount "{name}": it leads out of the volume')
    if not target.exists():
        target.mkdir(parents=True)
    return target
