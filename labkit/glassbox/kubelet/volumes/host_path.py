"""hostPath: a place in the node's own tree, which lies below the kubelet's root directory.

A node of this cluster is not the host: what a pod sees at /data of its node is a directory of that node alone, kept
with the cluster's state, and no hostPath leads to the host's files.

Upstream: pkg/volume/hostpath/host_path.go
"""

import os
import stat
from pathlib import Path

from labkit.glassbox.kubelet.env import ConfigError

KINDS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def directory(source: dict, tree: Path) -> Path:
    """Return the place that a hostPath means, made if its type says so. Raises ConfigError."""
    path, kind = source["path"], source.get("type") or ""
    tree.mkdir(parents=True, exist_ok=True)
    place = below(tree, path.lstrip("/"))
    if place is None:
        raise ConfigError(f"hostPath {path} leads out of the node's own tree")
    if not place.exists():
        if kind in ("", "DirectoryOrCreate"):
            place.mkdir(parents=True)
        elif kind == "FileOrCreate":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(mode=0o644)
    if kind:
        holds, told = KINDS[kind.removesuffix("OrCreate")]
        if not place.exists() or not holds(place.stat().st_mode):
            raise ConfigError(f"hostPath type check failed: {path} is not {told}")
    return place


def below(root: Path, path: str) -> Path | None:
    """Return the real place of a path below a directory, None if links lead out of it."""
    place = Path(os.path.realpath(root / path))
    return place if place.is_relative_to(os.path.realpath(root)) else None
