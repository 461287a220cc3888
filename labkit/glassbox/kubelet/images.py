"""Images: what a name such as python:3.12-slim or busybox:1.36 stands for on this host.

Stands for the container runtime's image service. Nothing is pulled: images.yaml declares which repositories there are
and on what each is based, and rootfs.py makes the files. A cluster may have a file of its own beside it, in the same
form, which counts as soon as it is there: `labkit up --images FILE` puts it there. `resolve` answers in upstream's
words when a name stands for nothing here, and adds which images there are.

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
    files: tuple[tuple[str, str], ...] = ()  # what is the image's own: path in it, path on the host

    @property
    def id(self) -> str:
        """A digest of what the image is, as `imageID` shows it."""
        text = repr((self.base, self.command, sorted(self.env.items()), self.interpreter, self.files))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Images:
    """The images of this host."""

    def __init__(self, found: Sequence[Interpreter] | None = None, more: Path | None = None) -> None:
        self.interpreters = list(interpreters.find() if found is None else found)
        self.more = more

    @property
    def declared(self) -> dict[str, dict[str, Any]]:
        """What there is, by repository; raises ImageError when the cluster's own file is not to be read."""
        built_in: dict[str, dict[str, Any]] = declarations()["images"]
        if self.more is None or not self.more.exists():
            return built_in
        return built_in | read_declarations(self.more)

    def resolve(self, name: str) -> Image:
        """Return the image called `name`; raises ImageError with reason ErrImagePull or InvalidImageName."""
        repository, tag = split(name)
        declared = self.declared.get(repository)
        if declared is None:
            raise ImageError(
                f'failed to pull and unpack image "{canonical(name)}": this cluster has no registry, and no image '
                f"{repository}; there are: {', '.join(self.names())}"
            )
        interpreter, own = None, repository not in declarations()["images"]
        if declared["base"] == "python":
            interpreter = self._python(name, str(declared.get("version", "latest")) if own else tag)
        elif declared["base"] == "tools" and not own and not TOOLS_TAG.fullmatch(tag):
            raise ImageError(f'failed to pull and unpack image "{canonical(name)}": {canonical(name)}: not found')
        env = dict(declared["env"])
        if interpreter:
            env["PYTHON_VERSION"] = str(interpreter)
        files = tuple((declared.get("files") or {}).items())
        return Image(canonical(name), declared["base"], tuple(declared["command"]), env, interpreter, files)

    def names(self) -> list[str]:
        """Return the images there are, for people: one name a Python version."""
        pythons = [f"python:{minor}" for minor in dict.fromkeys(each.minor for each in self.interpreters)]
        return pythons + [name for name in self.declared if name != "python"]

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


def read_declarations(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a cluster's own file declares, with what it leaves out filled in; raises ImageError."""
    try:
        found: Any = (yaml.safe_load(path.read_text()) or {}).get("images")
        return {name: _declaration(name, each, path.parent) for name, each in dict(found).items()}
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError, ImageError) as error:
        raise ImageError(f"{path}: expected images: with an entry for each name ({error})") from None


def _declaration(name: str, given: dict[str, Any], base: Path) -> dict[str, Any]:
    if split(name)[0] != name:
        raise ImageError(f"{name}: expected a name without a tag")
    bases: dict[str, dict] = {each["base"]: each for each in declarations()["images"].values()}
    if given.get("base") not in bases:
        raise ImageError(f"{name}: base must be one of {', '.join(bases)}, not {given.get('base')!r}")
    if unknown := given.keys() - {"base", "version", "command", "env", "files"}:
        raise ImageError(f"{name}: unknown field {min(unknown)!r}")
    like = bases[given["base"]]
    files = {inside: str(base / outside) for inside, outside in (given.get("files") or {}).items()}
    env = {**like["env"], **{key: str(value) for key, value in (given.get("env") or {}).items()}}
    return {**given, "command": given.get("command") or like["command"], "env": env, "files": files}


def declare(file: Path, place: Path) -> list[str]:
    """Make a file's images those of the cluster whose own file is `place`; return their names. Raises ImageError.

    What is an image's own is copied, so that whoever runs the cluster can read it, and a later change changes nothing.
    """
    found = read_declarations(file.absolute())
    for name, each in found.items():
        kept = place.parent / "images" / name.replace("/", "_")
        shutil.rmtree(kept, ignore_errors=True)
        each["files"] = {inside: _keep(Path(outside), kept) for inside, outside in each["files"].items()}
    fresh = place.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"images": found}))
    fresh.rename(place)
    return list(found)


def _keep(source: Path, place: Path) -> str:
    target = place / f"{len(os.listdir(place)) if place.exists() else 0}-{source.name}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    except OSError as error:
        raise ImageError(f"{source}: {error.strerror or error}") from None
    return str(target)


def applets() -> tuple[dict[str, str], list[str]]:
    """Return the tools images' applets, as name -> the host's file, and the names of those that this host lacks.

    sh is bash where there is one: like busybox's shell, and unlike dash, it knows `echo -e` and `[[`.
    """
    path = os.pathsep.join(("/usr/bin", "/bin", "/usr/sbin", "/sbin"))
    found = {name: shutil.which(name, path=path) for name in declarations()["host_applets"].split()}
    found["sh"] = shutil.which("bash", path=path) or found["sh"]
    return {name: file for name, file in found.items() if file}, [name for name, file in found.items() if not file]


def own_applets() -> dict[str, Path]:
    """Return the applets that the kit brings, as name -> Python file."""
    return {name: APPLETS / f"{name}.py" for name in declarations()["own_applets"].split()}
