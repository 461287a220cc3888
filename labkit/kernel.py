"""The kernel that runs the kit's notebooks: this very interpreter, whatever kernels the user has installed.

A kernelspec `python3` of our own comes first on JUPYTER_PATH, so that notebooks keep their portable name and
~/.local/share/jupyter cannot put another interpreter in its place. Settings and start-up files of the user's IPython
are left out, since they would change outputs. Works where the environment is read-only.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from labkit import progress

NAME = "python3"


def spec(interpreter: str = sys.executable) -> dict[str, object]:
    """Return the kernelspec."""
    argv = [interpreter, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python", "metadata": {"debugger": True}}


def install(folder: Path) -> None:
    """Write the kernelspec below a folder that will be on JUPYTER_PATH."""
    place = folder / "kernels" / NAME
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec(), indent=1))


def watch(folder: Path) -> None:
    """Have the kernels load restarted.py; IPython runs what lies there when it starts."""
    place = folder / "ipython" / "profile_default" / "startup"
    place.mkdir(parents=True)
    (place / "10-watch.py").write_text(
        "from labkit import restarted\n\nrestarted.watch(get_ipython())\ndel restarted\n"
    )


def environment(folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make Jupyter use that kernelspec and keep its own files in the folder."""
    path = os.pathsep.join(p for p in (str(folder), base.get("JUPYTER_PATH", "")) if p)
    (folder / "runtime").mkdir(mode=0o700, exist_ok=True)
    return {
        "JUPYTER_PATH": path,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONHASHSEED": "0",
        progress.VARIABLE: "off",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def prepared(base: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Give an environment for processes that start kernels; its folder goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="labkit-kernel-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        install(folder)
        watch(folder)
        yield {**base, **environment(folder, base)}
