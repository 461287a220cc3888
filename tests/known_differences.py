"""What is known to differ from the recordings (recordings_differences.yaml), and what a replay is held to by it.

A difference that is not listed fails, in a listed answer too where its group says which of its lines differ (`lines`);
so does one that is listed and no longer there, unless its group says `sometimes`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).parent / "recordings_differences.yaml"
MOST = 40  # this list only shrinks


@dataclass(frozen=True)
class Known:
    """One answer that differs, of an exchange or a command."""

    recording: str
    name: str
    reason: str
    lines: str = ""  # which of its lines: a regular expression
    sometimes: bool = False


def read() -> list[Known]:
    return [
        Known(recording, name, group["reason"], group.get("lines", ""), group.get("sometimes", False))
        for group in yaml.safe_load(FILE.read_text())
        for recording, names in group["answers"].items()
        for name in names
    ]


def of(recording: str) -> dict[str, Known]:
    return {each.name: each for each in read() if each.recording == recording}


def hold(recording: str, found: dict[str, list[str]]) -> None:
    """Fail if a recording's replay found other differences than those that are known."""
    known = of(recording)
    new = [
        f"{name}\n    {line}"
        for name, lines in found.items()
        for line in lines
        if name not in known or not re.search(known[name].lines, line)
    ]
    assert not new, "answers that differ from the recording:\n" + "\n".join(new)
    gone = [name for name, each in known.items() if name not in found and not each.sometimes]
    assert not gone, f"no longer different, so take them off the list: {gone}"
