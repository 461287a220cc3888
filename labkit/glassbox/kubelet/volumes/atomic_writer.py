"""Writes the files of a volume so that a reader sees all of the old or all of the new.

A dated directory, the link ..data to it, and one link a file: an update is a single rename.

Upstream: pkg/volume/util/atomic_writer.go
"""

import shutil
import time
from pathlib import Path

DATA = "..data"
Files = dict[str, tuple[bytes, int]]  # path -> content, mode


def publish(directory: Path, files: Files) -> None:
    """Write `files` into `directory` so that all change at once; nothing when they are there already."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / DATA
    if current.exists() and _read(current.resolve()) == {path: _compared(*each) for path, each in files.items()}:
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
    return {str(path.relative_to(directory)): _compared(path.read_bytes(), path.stat().st_mode) for path in files}


def _compared(content: bytes, mode: int) -> tuple[bytes, int]:
    """Leave out what the group may: a pod's fsGroup is given more than the volume says."""
    return content, mode & 0o707
