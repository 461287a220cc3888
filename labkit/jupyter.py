"""JupyterLab on the student edition: on the loopback address alone, with this interpreter as its kernel."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from labkit import kernel, progress


def open_lab(folder: Path, *, browser: bool = True, port: int = 8888) -> int:
    """Run JupyterLab in the folder until it is stopped; return its exit code."""
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.absolute()}", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", *([] if browser else ["--no-browser"]),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    with kernel.prepared(os.environ) as environment:
        settings = configure(Path(environment["JUPYTER_RUNTIME_DIR"]).parent / "config")
        environment |= {"JUPYTER_CONFIG_PATH": str(settings), "LABKIT_WORK": str(folder.absolute())}
        environment[progress.VARIABLE] = "on"
        return until_stopped(command, environment)


def until_stopped(command: list[str], environment: dict[str, str]) -> int:
    """Run a server until it ends; return its exit code. Who ends this process ends the server."""
    server = subprocess.Popen(command, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        return server.wait()
    except KeyboardInterrupt:
        return server.wait()  # the terminal sent it the signal too: it asks, then ends


def configure(folder: Path) -> Path:
    """Write the settings of this JupyterLab and return their folder: no question about news before a lesson."""
    (folder / "labconfig").mkdir(parents=True)
    settings = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (folder / "labconfig" / "page_config.json").write_text(json.dumps(settings))
    return folder
