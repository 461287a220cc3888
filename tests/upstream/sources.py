"""A project's source distribution, unpacked, and an environment of its own to run its tests in."""

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in")


def unpack(requirement: str, folder: Path) -> Path:
    """Fetch the source distribution of NAME==VERSION by pip and return where it is unpacked."""
    fetch = ["download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(folder)]
    _run(sys.executable, "-m", "pip", *fetch, requirement)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these packages and return its interpreter."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *requirements)
    return python


def outcomes(
    python: Path, project: Path, *arguments: str, through: tuple[str, ...] = (), **variables: str
) -> dict[str, str]:
    """Run a project's tests with the stand-ins beside them; return test -> passed, skipped, or what went wrong.

    `through` is a command that runs another.
    """
    report = project / "outcomes.xml"
    command = [*through, python, "-m", "pytest", "-o", "addopts=", "-q", f"--junitxml={report}", *arguments]
    path = f"{STAND_IN}:{python.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables |= {"PYTHONPATH": str(STAND_IN), "PATH": path.split(":", 1)[1]}
    done = subprocess.run(command, cwd=project, env={**os.environ, **variables}, capture_output=True, text=True)
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    cases = ElementTree.parse(report).iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}".rpartition(".")[2]: _outcome(case) for case in cases}


def hold(told: dict[str, str], excused: dict[str, str], passed: int) -> None:
    """Fail unless exactly the excused tests failed, and so many passed."""
    failed = {name: why for name, why in told.items() if why not in ("passed", "skipped")}
    assert failed.keys() == excused.keys(), "\n".join(f"{name}: {why}" for name, why in failed.items())
    assert list(told.values()).count("passed") >= passed, told


def _outcome(case: ElementTree.Element) -> str:
    for bad in ("failure", "error"):
        if (found := case.find(bad)) is not None:
            return f"{found.get('message')}\n{(found.text or '')[-2000:]}"
    return "passed" if case.find("skipped") is None else "skipped"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
