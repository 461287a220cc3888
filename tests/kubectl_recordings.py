"""Reads recorded kubectl sessions and compares what kubectl prints here with what it printed there.

A session is a text file: `# namespace: NAME`, then per command `$ command`, `---- exit N`, its output and, after
`---- stderr`, what it complained of; `# wait: commands` is an unrecorded step. Placeholders are those of
`recordings`: one stands for the same value within a session.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from labkit.glassbox.resources import REGISTRY
from tests.normalise import as_ours
from tests.recordings import matches

COMMANDS_NOT_SERVED = {
    "reconcile", "top", "--prune",
}  # fmt: skip
KINDS = {
    "jobs": "job", "cronjobs": "cronjob cj", "statefulsets": "statefulset sts", "daemonsets": "daemonset ds",
    "ingresses": "ingress ing", "ingressclasses": "ingressclass", "networkpolicies": "networkpolicy netpol",
    "persistentvolumeclaims": "persistentvolumeclaim pvc", "persistentvolumes": "persistentvolume pv",
    "storageclasses": "storageclass sc", "roles": "role", "rolebindings": "rolebinding",
    "clusterroles": "clusterrole", "clusterrolebindings": "clusterrolebinding",
    "horizontalpodautoscalers": "horizontalpodautoscaler hpa", "poddisruptionbudgets": "poddisruptionbudget pdb",
    "resourcequotas": "resourcequota quota", "limitranges": "limitrange limits", "priorityclasses": "priorityclass pc",
    "customresourcedefinitions": "customresourcedefinition crd", "endpoints": "endpoints ep",
    "endpointslices": "endpointslice", "componentstatuses": "componentstatus cs",
}  # fmt: skip


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
        if "--list" in step.command:  # in the order of a Go map
            given, wanted = sorted(given), sorted(wanted)
        found += compared(given, wanted, bound)
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


def is_served(command: str, folder: Path) -> bool:
    """Tell whether all kinds and actions that a command names are served here."""
    words = set(re.split(r"[\s,/.=]+", command.split(" -- ")[0]))
    if words & COMMANDS_NOT_SERVED:
        return False
    for plural, others in KINDS.items():
        if words & {plural, *others.split()} and not known(plural):
            return False
    return all(REGISTRY.for_kind(*kind) or kind[1] in ("Unknown", "Gizmo") for kind in kinds_in(command, folder))


def known(name: str) -> bool:
    try:
        return bool(REGISTRY.find(name))
    except KeyError:
        return False


def kinds_in(command: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the kinds in the manifests that a command names."""
    for name in re.findall(r"-f (\S+\.yaml)", command):
        try:
            documents = list(yaml.safe_load_all((folder / name).read_text()))
        except (OSError, yaml.YAMLError):
            continue
        for each in documents:
            if each and "apiVersion" in each and not name.endswith("unknown-kind.yaml"):
                yield each["apiVersion"], each["kind"]


def needed(command: str) -> bool:
    """Tell whether later steps need a command that cannot be compared: kubectl applies what is served of a file."""
    return command.startswith("kubectl apply -f")
