"""The package's files agree with one another."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=;\[ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_conda_environment_asks_for_what_the_package_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in environment if isinstance(entry, dict))
    assert [line for line in pip if not line.startswith("-")] == PROJECT["dependencies"]
    assert f"python{PROJECT['requires-python']}" in environment


def test_every_requirement_is_pinned_by_the_constraints():
    pinned = {name_of(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {name_of(requirement) for requirement in wanted} <= pinned


def test_makefile_targets_are_documented_by_help():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("course", "lab", "test", "test-all", "check", "bench", "regen"):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
