"""clusters.yaml: names for clusters, so that `labkit run --cluster campus` says enough.

    clusters:
      embedded: glassbox
      three: glassbox:three
      laptop: kind:labkit
      campus: kubeconfig:campus-admin
      exam: /home/ana/exam.kubeconfig

A name stands for what a notebook's parameter `cluster` takes. The file is optional; it holds no secret.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from labkit.cluster import parse
from labkit.errors import LabError

FILE = Path("clusters.yaml")


def read(file: Path | None = None) -> dict[str, str]:
    """Return what each name stands for; raises LabError for a file that cannot be read, naming the entry."""
    path = file or FILE
    if file is None and not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LabError(f"{path} cannot be read", value=" ".join(str(error).split())) from None
    entries = content.get("clusters") if isinstance(content, dict) and set(content) == {"clusters"} else None
    if not isinstance(entries, dict):
        raise LabError(f"{path} names no clusters", expected="clusters: {NAME: CLUSTER, …}, and nothing beside it")
    return {str(name): _checked(address, f"{path}: clusters.{name}") for name, address in entries.items()}


def resolve(names: Sequence[str], known: dict[str, str]) -> dict[str, str]:
    """Return what each name given stands for, in order: an entry of the file, or a cluster as it is written."""
    where = {}
    for name in names:
        if name not in known:
            _parsed(name, known)
        where[name] = known.get(name, name)
    return where


def _checked(address: object, entry: str) -> str:
    if not isinstance(address, str):
        raise LabError(f"{entry} is no cluster", value=repr(address), expected="text, e.g. kind:labkit")
    try:
        parse(address)
    except LabError as error:
        raise LabError(f"{entry}: {error.what}", expected=error.expected) from None
    return address


def _parsed(name: str, known: dict[str, str]) -> None:
    try:
        parse(name)
    except LabError as error:
        beside = f"; {FILE} names {', '.join(known)}" if known else f"; no {FILE} here names more"
        raise LabError(error.what, expected=error.expected + beside, next_step=error.next_step) from None
