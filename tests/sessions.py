"""Replays kubectl sessions against a cluster and compares what a person would see.

A transcript is a text file: `$ command`, `----`, the expected output (stdout and stderr as a terminal mixes them, exit
status at the end when it is not 0). Lines before a command direct it:

    # namespace: NAME      the session's namespace, made before and removed after
    # wait: COMMAND        an unrecorded step that must succeed
    # until: REGEX         the next command streams; it is ended when REGEX has been seen
    # meanwhile: COMMAND   run once the streaming command has printed something
    # sorted               the order of the next command's lines does not matter
    # keep: REGEX          of the next command's lines, only those that match are compared

Names, addresses, ages and times are normalised. `pytest --rewrite` records anew what its tests play.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.normalise import normalise


@dataclass
class Step:
    command: str
    directives: list[tuple[str, str]] = field(default_factory=list)
    expected: str = ""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.directives if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.directives)

    def text(self, output: str) -> str:
        directives = "".join(f"# {key}: {value}\n" if value else f"# {key}\n" for key, value in self.directives)
        return f"{directives}$ {self.command}\n----\n{output}\n"


def parse(text: str) -> tuple[str, list[Step]]:
    """Split a transcript into its heading (comments up to the first blank line) and its steps."""
    heading, _, body = text.partition("\n\n")
    steps: list[Step] = []
    directives: list[tuple[str, str]] = []
    output: list[str] | None = None
    for line in body.split("\n"):
        if directive := re.fullmatch(r"# (wait|until|meanwhile|sorted|keep)(?:: (.*))?", line):
            directives.append((directive[1], directive[2] or ""))
        elif line.startswith("$ "):
            steps.append(Step(line[2:], directives))
            directives, output = [], None
        elif line == "----":
            output = []
        elif output is not None:
            output.append(line)
            steps[-1].expected = "\n".join(output).strip("\n")
    return heading, steps


class Session:
    """Runs a transcript's commands as a shell in its folder would, with the kubectl that lies in `programs`."""

    def __init__(self, kubeconfig: Path, namespace: str, python: str, folder: Path, programs: Path):
        self.namespace, self.python, self.folder = namespace, python, folder
        self.environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "KUBECTL_KUBERC": "false",
        }

    def start(self, command: str, **options) -> subprocess.Popen:
        command = command.replace("python:3.12-slim", f"python:{self.python}-slim")
        if self.namespace:
            command = re.sub(r"\bkubectl ", f"kubectl --namespace {self.namespace} ", command)
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    def succeed(self, command: str) -> None:
        process = self.start(command)
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 0, f"{command}\n{output}"

    def run(self, step: Step) -> str:
        for command in step.all("wait"):
            self.succeed(command)
        output = self.stream(step) if step.has("until") else self.output(step)
        output = normalise(output.replace(f"python:{self.python}-slim", "python:3.12-slim"))
        lines = [line for line in output.split("\n") if all(re.search(each, line) for each in step.all("keep"))]
        return "\n".join(sorted(lines) if step.has("sorted") else lines)

    def output(self, step: Step) -> str:
        process = self.start(step.command)
        output, _ = process.communicate(timeout=90)
        return output + (f"exit {process.returncode}\n" if process.returncode else "")

    def stream(self, step: Step) -> str:
        """Read the command's output until the awaited text, then end it (pytest's time limit guards the wait)."""
        process = self.start(step.command, process_group=0)
        until, output, meanwhile = re.compile(step.all("until")[0]), "", step.all("meanwhile")
        try:
            for line in process.stdout:
                output += line
                if meanwhile:
                    self.succeed(meanwhile.pop(0))
                if until.search(normalise(output)):
                    break
        finally:
            os.killpg(process.pid, 15)
            process.wait()
        return output


def play(path: Path, kubeconfig: Path, python: str, programs: Path | None = None) -> tuple[str, list[tuple[Step, str]]]:
    """Run a transcript in the namespace that it names; return its heading, and each step with what it printed."""
    heading, steps = parse(path.read_text())
    found = re.search(r"^# namespace: (\S+)", heading, re.MULTILINE)
    namespace = found[1] if found else ""
    session = Session(kubeconfig, namespace, python, path.parent, programs or Path(sys.executable).parent)
    if namespace:
        session.succeed(f"kubectl create namespace {namespace}")
    try:
        return heading, [(step, session.run(step)) for step in steps]
    finally:
        if namespace:
            session.succeed("kubectl delete pods --all --now --wait=false")
            session.succeed(f"kubectl delete namespace {namespace}")


def written(heading: str, seen: list[tuple[Step, str]]) -> str:
    """Return the transcript's text with what was seen."""
    return heading + "\n\n" + "\n".join(step.text(output) for step, output in seen)
