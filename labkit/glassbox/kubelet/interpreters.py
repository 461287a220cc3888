"""Finds the CPython versions on this host, for the `python` images.

An interpreter is a prefix with `bin/pythonX.Y` and `lib/pythonX.Y/os.py`: what pyenv, uv, conda, a distribution or
`make install` leave. A virtual environment has no standard library of its own and is not one. Nothing is run: the
patch level stands in the C header beside the library, or in the directory's name.

Invariant: the version in the name of a file is the version; a 3.11 is never offered as a 3.12.
Left out: PyPy, free-threaded builds, Python 2.
"""

import glob
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

# The machine may put interpreters here that it could still reach before it gave up root.
LENT = "/run/glassbox/interpreters"


@dataclass(frozen=True, order=True)
class Interpreter:
    """A CPython on this host."""

    version: tuple[int, ...]  # (3, 12, 1), or (3, 12) when the patch level is unknown
    prefix: str

    @property
    def minor(self) -> str:
        """The version as file names bear it, as in "3.12"."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def program(self) -> str:
        """The interpreter's file."""
        return f"{self.prefix}/bin/python{self.minor}"

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def find(prefixes: list[str] | None = None) -> list[Interpreter]:
    """Return the interpreters under `prefixes` (default: where they usually lie), the newest first."""
    found: dict[tuple[int, ...], Interpreter] = {}
    for prefix in usual_prefixes() if prefixes is None else prefixes:
        for program in glob.glob(f"{glob.escape(prefix)}/bin/python3.*"):
            interpreter = _interpreter(prefix, os.path.basename(program))
            if interpreter is not None:
                found.setdefault(interpreter.version, interpreter)
    return sorted(found.values(), reverse=True)


def usual_prefixes() -> list[str]:
    """Return the directories in which an interpreter may be installed; the kit's own first."""
    home = os.environ.get("HOME", "/nonexistent")
    pyenv = os.environ.get("PYENV_ROOT", f"{home}/.pyenv")
    patterns = [
        f"{LENT}/*",
        f"{pyenv}/versions/*",
        f"{home}/.local/share/uv/python/*",
        f"{home}/*conda*",
        f"{home}/*forge*",
        f"{home}/*conda*/envs/*",
        f"{home}/*forge*/envs/*",
        "/opt/*conda*",
        "/opt/*conda*/envs/*",
        "/opt/hostedtoolcache/Python/*/*",
        "/opt/python*",
        "/usr/local",
        "/usr",
    ]
    prefixes = [sys.base_prefix, *(path for pattern in patterns for path in sorted(glob.glob(pattern)))]
    return list(dict.fromkeys(os.path.realpath(path) for path in prefixes))


def _interpreter(prefix: str, program: str) -> Interpreter | None:
    match = re.fullmatch(r"python(3)\.(\d+)", program)
    if match is None or not os.path.exists(f"{prefix}/lib/{program}/os.py"):
        return None
    if not os.access(f"{prefix}/bin/{program}", os.X_OK):
        return None
    minor = (int(match[1]), int(match[2]))
    return Interpreter(minor + _patch_level(Path(prefix), program, minor), prefix)


def _patch_level(prefix: Path, program: str, minor: tuple[int, int]) -> tuple[int, ...]:
    try:
        header = (prefix / "include" / program / "patchlevel.h").read_text(errors="replace")
    except OSError:
        match = re.search(rf"\b{minor[0]}\.{minor[1]}\.(\d+)", prefix.name)
    else:
        match = re.search(r"#define PY_MICRO_VERSION\s+(\d+)", header)
    return (int(match[1]),) if match else ()
