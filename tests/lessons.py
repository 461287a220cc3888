"""What the tests of all lessons share: where a lesson's files lie, and kubectl as its cells type it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def manifests(lesson: str) -> Path:
    """Return the folder of a lesson's manifests, by its number."""
    (found,) = (ROOT / "manifests").glob(f"{lesson}_*")
    return found


def kubectl(command: str) -> str:
    """Run a kubectl command as a cell does, through a shell, and return what it says."""
    run = subprocess.run(f"kubectl {command}", shell=True, capture_output=True, text=True, timeout=60)
    return run.stdout + run.stderr
