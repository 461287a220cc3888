"""What chance or the moment decides in an answer, twice on one cluster too: each rule is narrow and has its reason.

`normalise` says what no two clusters share; recordings_differences.yaml what else differs.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.normalise import SAFE, of_any_node, of_any_server
from tests.placeholders import alike, unknown

# --- of the API's answers

MOMENTS = [  # recording, exchange, difference, reason
    ("21_subresources_scale_status", "scale as Table", r"body\.rows\[0\]\.cells\[2\]: 1 instead of 0",
     "how many replicas the controller has counted since the scale was changed four times"),
    ("21_subresources_scale_status", "node spec unschedulable",
     r'body\.spec\.taints is missing: \[{"key": "node\.kubernetes\.io/not-ready", "effect": "NoSchedule"}\]',
     "the node has just become ready, and its controller takes the taint away"),
    ("24_access_reviews", "self access nonresource",
     r'body\.status\.reason: "RBAC: allowed by ClusterRoleBinding \\"system:(discovery|public-info-viewer)\\" of .*',
     "which of two bindings that allow it is named is the order of a Go map"),
    ("33_controllers", "", r"body\S*\.status\.terminatingReplicas: [012] instead of [012]",
     "how many pods are ending still"),
]  # fmt: skip
UNORDERED_LISTS = ("endpoints", "addresses")  # of a service: a Go map of its pods


def is_of_the_moment(recording: str, exchange: str, difference: str) -> bool:
    return any(
        stem == recording and name in ("", exchange) and re.fullmatch(pattern, difference)
        for stem, name, pattern, _ in MOMENTS
    )


def once_told(body):
    """Return a list of events with the first failure alone to create a pod: how often was tried by then is chance."""
    if not isinstance(body, dict) or body.get("kind") != "EventList":
        return body
    told: dict[str, dict] = {}
    for each in body["items"]:
        key = each["involvedObject"]["name"] if each["reason"] == "FailedCreate" else each["metadata"]["uid"]
        told.setdefault(key, each)
    return {**body, "items": list(told.values())}


# --- of what kubectl prints


def steady(lines: list[str]) -> list[str]:
    """Return what a rollout came to: how often it was looked at on the way, and in which state, is chance."""
    progress = re.compile(
        r'Waiting for (deployment "web" rollout|daemon set "agent" rollout|partitioned roll out|\d+ pods) to .*'
        r"|Waiting for (deployment|daemon set|statefulset) spec update to be observed\.\.\."
    )
    return [line for line in lines[:-1] if not progress.fullmatch(line)] + lines[-1:]


def said(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line]


def told_once(lines: list[str]) -> list[str]:
    return [re.sub(r"(ProvisioningFailed \S+) \(x\d+ over \S+\)", r"\1", line) for line in lines]


def without_addresses(lines: list[str]) -> list[str]:
    """Return a Go program's death without where in memory it was."""
    lines = [re.sub(r"0x[0-9a-f]+\??", "0x", line) for line in lines]
    return [re.sub(r"(?<=[({])0x.*", "0x", line) for line in lines]


@dataclass(frozen=True)
class Rule:
    """For the commands that match: what to leave of the lines, and the lines that begin what may change places."""

    reason: str
    commands: str
    kept: Callable[[list[str]], list[str]] = list
    movable: str | None = None


DRAWN = rf"(?:[a-z.]+/)?[a-z]+(?:-[a-z0-9]{{8,10}}|-<hash-\d+>)?-(?:<rand-\d+>|[{SAFE}]{{5}}) "
RULES = [
    Rule("how often a rollout is looked at", r"rollout status", steady),
    Rule("a claim that waits is told again every 15 seconds", r"describe pvc", told_once),
    Rule("a value that ends with a line's end prints an empty line, which is trimmed at the end", r"--list", said),
    Rule("rules and annotations are a Go map", r"--list", movable=r"."),
    Rule("limits are a Go map", r"describe (ns|limits) ", movable=r" ?Container "),
    Rule("components are asked side by side", r"get componentstatuses", movable=r"\S+ Healthy"),
    Rule("names drawn by lot are sorted", r"kubectl get ", movable=DRAWN),
    Rule("a replica set's pods are made side by side", r"describe rs", movable=r"  Normal SuccessfulCreate "),
    Rule("a service's endpoints are a Go map", r"describe endpointslice", movable=r"  - Addresses:"),
    Rule("logs are read side by side", r"logs .*--all-", movable=r"."),
    Rule("pods are evicted side by side", r"drain", movable=r"evicting pod|pod/|error when evicting"),
    Rule("whose server it is", r"kubectl version|/version$", of_any_server),
    Rule("whose node it is", r"describe node", of_any_node),
    Rule("where in memory kubectl was when it died", r"auth reconcile", without_addresses),
]  # fmt: skip
_ADDRESS = r"(?:<pod-ip-\d+>|10\.244\.\d+\.\d+)(?::\d+)?"
_LISTS = re.compile(rf"(?P<addresses>{_ADDRESS}(?:,{_ADDRESS})+)|(?P<evictions>(?<=\[)error when evicting [^\]]*)")
ITEM = "· "


def unrolled(lines: list[str]) -> Iterator[str]:
    """Yield the lines, each list of addresses or of failed evictions an item a line: they are in no set order."""
    for line in lines:
        yield _LISTS.sub("", line)
        for found in _LISTS.finditer(line):
            yield from (ITEM + each for each in re.split(r", ?", found[0]))


def arranged(command: str, given: list[str], wanted: list[str], bound: dict) -> tuple[list[str], list[str]]:
    """Return what was printed and what was recorded as far as chance does not decide it, in the recorded order."""
    rules = [rule for rule in RULES if re.search(rule.commands, command)]
    for rule in rules:
        given, wanted = rule.kept(given), rule.kept(wanted)
    given, wanted = list(unrolled(given)), list(unrolled(wanted))
    for movable in [ITEM, *(rule.movable for rule in rules if rule.movable)]:
        given = in_order_of(given, wanted, re.compile(movable), bound)
    return given, wanted


def in_order_of(given: list[str], wanted: list[str], movable: re.Pattern, bound: dict) -> list[str]:
    """Return the lines with what may change places as the recorded ones have it, within each row of such."""
    ours, theirs = rows(given, movable), rows(wanted, movable)
    if len(ours) != len(theirs):
        return given
    arranged = (paired(*pair, bound) if len(pair[0]) > 1 else pair[0] for pair in zip(ours, theirs, strict=True))
    return [line for row in arranged for unit in row for line in unit]


def paired(given: list[list[str]], wanted: list[list[str]], bound: dict) -> list[list[str]]:
    """Return the units that match a recorded one in the order of these, then the others."""
    left, found = list(given), {}
    for index in sorted(range(len(wanted)), key=lambda index: unknown(wanted[index], bound)):
        match = next((each for each in left if alike(each, wanted[index], bound)), None)
        if match is not None:
            left.remove(match)
            found[index] = match
    return [found[index] for index in sorted(found)] + left


def rows(lines: list[str], movable: re.Pattern) -> list[list[list[str]]]:
    """Return the lines as rows of units: units that may change places stand in one row, any other has its own.

    To a unit that is itself indented belong the lines below that are further in.
    """
    found: list[list[list[str]]] = []
    inner = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if inner and indent > inner:
            found[-1][-1].append(line)
        elif movable.match(line):
            if inner is None:
                found.append([])
            found[-1].append([line])
            inner = indent
        else:
            found.append([[line]])
            inner = None
    return found
