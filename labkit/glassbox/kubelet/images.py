"""Images: what a name such as python:3.12-slim or busybox:1.36 stands for on this host.

Stands for the container runtime's image service. Nothing is pulled: images.yaml declares which repositories there are
and on what each is based, and rootfs.py makes the files. `resolve` answers in upstream's words when a name stands
for nothing here, and adds which images there are.

Invariant: `python:X.Y` is that version or an error. Left out: registries, layers, credentials.

Upstream: pkg/kubelet/images/image_manager.go
"""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from labkit.glassbox.kubelet import interpreters
from labkit.glassbox.kubelet.interpreters import Interpreter

DECLARATIONS = Path(__file__).with_name("images.yaml")
APPLETS = Path(__file__).with_name("applets")
# No tag of the form "not a version": slim, bookworm, alpine and the like say how the image was made.
PYTHON_TAG = re.compile(
    r"(?:(\d+)(?:\.(\d+))?(?:\.(\d+))?)?(?:-?(?:slim|alpine|bookworm|trixie|bullseye|latest)[\d.]*)*"
)
TOOLS_TAG = re.compile(r"latest|stable|edge|musl|glibc|uclibc|\d+(\.\d+)*(-(musl|glibc|uclibc))?")


class ImageError(Exception):
    """An image that cannot be had; `reason` is the container's waiting reason."""

    def __init__(self, message: str, reason: str = "ErrImagePull") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Image:
    """A resolved image: on what it is based, and the command and environment that it brings."""

    name: str  # as the runtime knows it: docker.io/library/python:3.12
    base: str  # python | tools | pause
    command: tuple[str, ...]
    env: dict[str, str] = field(hash=False)
    interpreter: Interpreter | None = None

    @property
    def id(self) -> str:
        """A digest of what the image is, as `imageID` shows it."""
        text = repr((self.base, self.command, sorted(self.env.items()), self.interpreter))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Images:
    """The images of this host."""

    def __init__(self, found: Sequence[Interpreter] | None = None) -> None:
        self.interpreters = list(interpreters.find() if found is None else found)
        self.declared: dict[str, dict[str, Any]] = declarations()["images"]

    def resolve(self, name: str) -> Image:
        """Return the image called `name`; raises ImageError with reason ErrImagePull or InvalidImageName."""
        repository, tag = split(name)
        declared = self.declared.get(repository)
        if declared is None:
            raise ImageError(
                f'failed to pull and unpack image "{canonical(name)}": this cluster has no registry, and no image '
                f"{repository}; there are: {', '.join(self.names())}"
            )
        interpreter = None
        if declared["base"] == "python":
            interpreter = self._python(name, tag)
        elif declared["base"] == "tools" and not TOOLS_TAG.fullmatch(tag):
            raise ImageError(f'failed to pull and unpack image "{canonical(name)}": {canonical(name)}: not found')
        env = dict(declared["env"])
        if interpreter:
            env["PYTHON_VERSION"] = str(interpreter)
        return Image(canonical(name), declared["base"], tuple(declared["command"]), env, interpreter)

    def names(self) -> list[str]:
        """Return the images there are, for people: one name a Python version."""
        pythons = [f"python:{minor}" for minor in dict.fromkeys(each.minor for each in self.interpreters)]
        return pythons + [name for name, declared in self.declared.items() if declared["base"] != "python"]

    def _python(self, name: str, tag: str) -> Interpreter:
        match = PYTHON_TAG.fullmatch(tag)
        if match is None:
            raise ImageError(f'failed to pull and unpack image "{canonical(name)}": {canonical(name)}: not found')
        wanted = tuple(int(part) for part in match.groups() if part is not None)
        for each in self.interpreters:
            if each.version[: len(wanted)] == wanted:
                return each
        raise ImageError(
            f'failed to pull and unpack image "{canonical(name)}": this host has no Python '
            f"{'.'.join(map(str, wanted))}; it has: {', '.join(map(str, self.interpreters)) or 'none'}"
        )


def split(name: str) -> tuple[str, str]:
    """Cut an image's name into repository, as images.yaml has it, and tag; raises ImageError InvalidImageName."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*?(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?", name):
        raise ImageError(
            f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": '
            "invalid reference format",
            "InvalidImageName",
        )
    repository, _, tag = name.partition("@")[0].rpartition(":")
    if not repository or "/" in tag:
        repository, tag = name.partition("@")[0], "latest"
    for prefix in ("docker.io/library/", "docker.io/", "library/"):
        repository = repository.removeprefix(prefix)
    return repository, tag


def canonical(name: str) -> str:
    """Write an image's name in full, as in docker.io/library/busybox:latest."""
    repository, tag = split(name)
    first, slash, _ = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}:{tag}"
    return f"{repository}:{tag}" if "." in first or ":" in first else f"docker.io/{repository}:{tag}"


@cache
def declarations() -> dict[str, Any]:
    """Return what images.yaml declares."""
    return yaml.safe_load(DECLARATIONS.read_text())


def applets() -> tuple[dict[str, str], list[str]]:
    """Return the tools images' applets, as name -> the host's file, and the names of those that this host lacks."""
    path = os.pathsep.join(("/usr/bin", "/bin", "/usr/sbin", "/sbin"))
    found = {name: shutil.which(name, path=path) for name in declarations()["host_applets"].split()}
    return {name: file for name, file in found.items() if file}, [name for name, file in found.items() if not file]


def own_applets() -> dict[str, Path]:
    """Return the applets that the kit brings, as name -> Python file."""
    return {name: APPLETS / f"{name}.py" for name in declarations()["own_applets"].split()}
