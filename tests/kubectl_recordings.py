"""Reads recorded kubectl sessions and compares what kubectl prints here with what it printed there.

A session is a text file: `# namespace: NAME`, then per command `$ command`, `---- exit N`, its output and, after
`---- stderr`, what it complained of; `# wait: commands` is an unrecorded step. Placeholders are those of
`recordings`: one stands for the same value within a session.
"""

import difflib
import re
from dataclasses import dataclass, field

from tests.chance import arranged
from tests.normalise import as_ours
from tests.placeholders import matches


@dataclass
class Step:
    """One command and what is known of it; a wait has no expected status."""

    command: str
    status: int | None = None
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


def parse(text: str) -> tuple[str, list[Step]]:
    """Return a session's namespace and its steps."""
    namespace, steps, lines = "", [], None
    for line in text.split("\n"):
        if found := re.match(r"# namespace: ([\w-]+)", line):
            namespace = found[1]
        elif line.startswith("# wait: "):
            steps.append(Step(line.removeprefix("# wait: ")))
            lines = None
        elif line.startswith("$ "):
            steps.append(Step(line[2:]))
            lines = None
        elif found := re.fullmatch(r"---- exit (\d+)", line):
            steps[-1].status, lines = int(found[1]), steps[-1].stdout
        elif line == "---- stderr":
            lines = steps[-1].stderr
        elif lines is not None:
            lines.append(as_ours(line))
        elif line and steps and steps[-1].status is None:
            steps[-1].command += "\n" + line
    for step in steps:
        step.stdout, step.stderr = trimmed(step.stdout), trimmed(step.stderr)
    return namespace, steps


def trimmed(lines: list[str]) -> list[str]:
    """Drop the padding of columns (it follows from the width of other values), drawn names, empty lines at the end."""
    lines = [re.sub(r"(?<=\S)[ \t]+|(?<=^ {16}) +", " ", line).rstrip() for line in lines]
    lines = [re.sub(r"(?<=kube-api-access-)[a-z0-9]{5}", "<id>", line) for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def difference(step: Step, status: int, stdout: str, stderr: str, bound: dict) -> list[str]:
    """Return a picture of what differs, none if nothing does; learn what placeholders stand for."""
    found = [] if status == step.status else [f"exit {status} instead of {step.status}"]
    for given, wanted in ((trimmed(stdout.split("\n")), step.stdout), (trimmed(stderr.split("\n")), step.stderr)):
        if step.command.startswith("kubectl api-"):  # the recorded cluster had no metrics server
            given = [line for line in given if "metrics.k8s.io" not in line]
        found += compared(*arranged(step.command, given, wanted, bound), bound)
    return found


def compared(given: list[str], wanted: list[str], bound: dict) -> list[str]:
    differing = [line for line, other in zip(given, wanted, strict=False) if not matches(line, other, bound)]
    if not differing and len(given) == len(wanted):
        return []
    for index, line in enumerate(given):
        given[index] = next((other for other in wanted if matches(line, other, bound)), line)
    return [
        line for line in difflib.unified_diff(wanted, given, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
    ]
