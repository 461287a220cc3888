"""JupyterLab on the student edition: on the loopback address alone, with this interpreter as its kernel."""

import os
import subprocess
import sys
from pathlib import Path

from labkit import kernel


def open_lab(folder: Path, *, browser: bool = True, port: int = 8888) -> int:
    """Run JupyterLab in the folder until it is stopped; return its exit code."""
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.absolute()}", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", *([] if browser else ["--no-browser"]),
    ]  # fmt: skip
    with kernel.prepared(os.environ) as environment:
        server = subprocess.Popen(command, env={**environment, "LABKIT_WORK": str(folder.absolute())})
        try:
            return server.wait()
        except KeyboardInterrupt:
            return server.wait()  # the terminal sent it the signal too: it asks, then ends
