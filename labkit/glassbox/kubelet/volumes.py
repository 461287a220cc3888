"""Makes a pod's volumes: directories on the host that its containers see bound into their root file systems.

ConfigMaps, Secrets and the downward API lie on the machine's tmpfs, written as upstream does: a dated directory, the
link ..data to it, and one link a file, so that an update is a single rename and a reader sees all of the old or all
of the new. emptyDir lies below the kubelet's root directory, or on a tmpfs of its own with medium Memory.

Invariants: a Secret never touches a disk; what a pod wrote goes with the pod. What a volume needs and the API does not
have is a ConfigError: the pod waits. Left out: hostPath, PersistentVolumeClaims; sizes of emptyDirs on disk.

Upstream: pkg/volume/emptydir, pkg/volume/configmap, pkg/volume/util/atomic_writer.go
"""

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import quantity, syscalls
from labkit.glassbox.kubelet import env
from labkit.glassbox.kubelet.env import ConfigError, Lookup
from labkit.glassbox.kubelet.rootfs import Mount

DATA = "..data"
MEMORY_SIZE = "64Mi"  # of an emptyDir in memory that names no limit
Files = dict[str, tuple[bytes, int]]  # path -> content, mode


@dataclass(frozen=True)
class Places:
    """Where the volumes of one pod lie."""

    disk: Path
    memory: Path


def places(root_dir: Path, run_dir: Path, uid: str) -> Places:
    """Return where the volumes of a pod lie."""
    return Places(root_dir / "pods" / uid / "volumes", run_dir / "volumes" / uid)


def prepare(pod: dict, where: Places, facts: Mapping[str, str], lookup: Lookup) -> dict[str, Path]:
    """Make, or bring up to date, all volumes of a pod; return their directories by name. Raises ConfigError."""
    made = {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        try:
            if "emptyDir" in volume or volume.keys() == {"name"}:
                made[name] = _empty_directory(volume.get("emptyDir") or {}, name, where)
            else:
                made[name] = where.memory / name
                publish(made[name], contents(pod, volume, facts, lookup))
        except ConfigError as error:
            raise ConfigError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from None
    return made


def mounts(container: dict, made: Mapping[str, Path], pod: dict) -> list[Mount]:
    """Return what a container mounts of its pod's volumes; raises ConfigError for a subPath that leads elsewhere."""
    files = {each["name"] for each in pod["spec"].get("volumes") or [] if "emptyDir" not in each}
    found = []
    for mount in container.get("volumeMounts") or []:
        source = made[mount["name"]]
        if path := mount.get("subPath"):
            source = _below(source, path, mount["name"])
        read_only = bool(mount.get("readOnly")) or mount["name"] in files
        found.append(Mount(str(source), os.path.normpath(mount["mountPath"]), read_only))
    return found


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


def is_live(pod: dict) -> bool:
    """Tell whether a pod has volumes whose content follows the API."""
    return any(key not in ("name", "emptyDir") for volume in pod["spec"].get("volumes") or [] for key in volume)


def contents(pod: dict, volume: dict, facts: Mapping[str, str], lookup: Lookup) -> Files:
    """Return the files of a volume that shows API objects."""
    if projected := volume.get("projected"):
        files: Files = {}
        for source in projected.get("sources") or []:
            files |= _source(pod, source, projected.get("defaultMode"), facts, lookup)
        return files
    return _source(pod, volume, None, facts, lookup)


def _source(pod: dict, source: dict, mode: int | None, facts: Mapping[str, str], lookup: Lookup) -> Files:
    if downward := source.get("downwardAPI"):
        return _downward(pod, downward, mode, facts)
    for field, resource in (("configMap", "configmaps"), ("secret", "secrets")):
        if reference := source.get(field):
            found = env.fetch(lookup, resource, reference)
            return _items(reference, env.data_of(found), mode) if found else {}
    raise ConfigError(f"{', '.join(source)} is not implemented by this kubelet")


def _items(reference: dict, data: dict[str, bytes], mode: int | None) -> Files:
    mode = reference.get("defaultMode") or mode or 0o644
    items = reference.get("items")
    if not items:
        return {key: (value, mode) for key, value in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not reference.get("optional"):
        raise ConfigError(f"references non-existent config key: {missing[0]}")
    return {item["path"]: (data[item["key"]], item.get("mode") or mode) for item in items if item["key"] in data}


def _downward(pod: dict, source: dict, mode: int | None, facts: Mapping[str, str]) -> Files:
    files = {}
    for item in source.get("items") or []:
        if reference := item.get("fieldRef"):
            value = env.field_value(pod, reference["fieldPath"], facts)
        else:
            value = env.resource_value(pod, "", item["resourceFieldRef"], facts)
        files[item["path"]] = (value.encode(), item.get("mode") or source.get("defaultMode") or mode or 0o644)
    return files


def publish(directory: Path, files: Files) -> None:
    """Write `files` into `directory` so that all change at once; nothing when they are there already."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / DATA
    if current.exists() and _read(current.resolve()) == files:
        return
    old = current.resolve() if current.is_symlink() else None
    fresh = directory / time.strftime(f"..%Y_%m_%d_%H_%M_%S.{time.time_ns() % 10**9}")
    fresh.mkdir(mode=0o755)
    for path, (content, mode) in files.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).write_bytes(content)
        (fresh / path).chmod(mode)
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(current)
    _link_names(directory, {path.split("/")[0] for path in files})
    if old:
        shutil.rmtree(old, ignore_errors=True)


def _link_names(directory: Path, names: set[str]) -> None:
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")
    for path in directory.iterdir():
        if not path.name.startswith("..") and path.name not in names:
            path.unlink()


def _read(directory: Path) -> Files:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mode & 0o7777) for path in files}


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
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o777)
    return directory


def _below(volume: Path, path: str, name: str) -> Path:
    """Return the place of a subPath, made if it is not there; it must lie in its volume, links resolved."""
    target = Path(os.path.realpath(volume / path))
    if not target.is_relative_to(os.path.realpath(volume)):
        raise ConfigError(f'failed to prepare subPath for volumeMount "{name}": it leads out of the volume')
    if not target.exists():
        target.mkdir(parents=True)
    return target
