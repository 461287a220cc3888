"""`labkit dashboard`: the live view as a page of its own, served by Voilà on the loopback address, behind a token.

The page is a notebook of one cell in a folder that goes with the server. Each visitor gets a kernel, which ends with
the page.
"""

import importlib.util
import os
import sys
from pathlib import Path

from labkit import cluster as clusters
from labkit import jupyter, kernel, progress
from labkit.errors import LabError


def serve(cluster: str, namespace: str, *, browser: bool = True, port: int = 8866) -> int:
    """Serve the page until it is stopped; return the server's exit code; raises LabError when it cannot begin."""
    if importlib.util.find_spec("voila") is None:
        raise LabError(
            "the dashboard needs Voilà, which is not installed",
            next_step=f"{sys.executable} -m pip install voila",
        )
    clusters.connect(cluster).api.request("GET", "/version")
    with kernel.prepared(os.environ) as environment:
        page = Path(environment["JUPYTER_RUNTIME_DIR"]).parent / "dashboard.ipynb"
        write(page, clusters.from_anywhere(cluster), namespace)
        environment[progress.VARIABLE] = "on"
        return jupyter.until_stopped(command(page, browser, port), environment)


def command(page: Path, browser: bool, port: int) -> list[str]:
    """Return Voilà's command line."""
    return [
        sys.executable, "-m", "voila", str(page), "--Voila.ip=127.0.0.1", f"--port={port}", "--Voila.auto_token=True",
        "--VoilaConfiguration.file_allowlist=[]", *([] if browser else ["--no-browser"]),
    ]  # fmt: skip


def write(page: Path, cluster: str, namespace: str) -> None:
    """Write the notebook that is the page."""
    import nbformat

    cell = nbformat.v4.new_code_cell(
        f"from labkit.widgets.dashboard import page\npage({cluster!r}, {namespace!r})", id="dashboard"
    )
    spec = {"name": kernel.NAME, "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": spec, "title": "labkit"}), page)
