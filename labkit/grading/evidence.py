"""A hand-in's cluster, brought back: from a copy, so that what was kept stays as the judge left it."""

import hashlib
import re
import shutil
from pathlib import Path

from labkit import providers
from labkit.cluster import state_home
from labkit.errors import LabError
from labkit.grading.handins import plain


def reopen(grades: Path, student: str) -> tuple[str, Path]:
    """Start a copy of the kept cluster; return its name and kubeconfig; raises LabError when nothing was kept."""
    kept = grades / "kept" / student
    if plain(student) != student or not kept.is_dir():
        there = sorted(p.name for p in (grades / "kept").glob("*"))
        raise LabError(
            f"no cluster of {student} was kept in {grades}", expected=f"one of {', '.join(there)}" if there else ""
        )
    name, provider = name_of(student), providers.find("glassbox")
    provider.stop(name, purge=True)
    shutil.copytree(kept, state_home() / "clusters" / name, symlinks=True)
    provider.start(name)
    return name, provider.kubeconfig(name)[0]


def name_of(student: str) -> str:
    """Name the cluster that is brought back: what a cluster's name cannot hold of a student's is told by a hash."""
    name = f"graded-{re.sub('[^a-z0-9]+', '-', student)}"[:40].strip("-")
    return name if name == f"graded-{student}" else f"{name[:31]}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
